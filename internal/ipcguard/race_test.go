//go:build race

package ipcguard

const defaultMutations = 10_000 // the race detector makes each ten times as slow
