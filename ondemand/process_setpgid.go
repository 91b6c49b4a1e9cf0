//go:build unix && !linux

package ondemand

import "syscall"

// attributes put the process into a group of its own. It ends with the server because its standard input does.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
