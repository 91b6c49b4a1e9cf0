//go:build !race

package ipcguard

const defaultMutations = 200_000
