//go:build unix && !linux

package ondemand

// serve is for a test that only Linux has.
func serve() {}
