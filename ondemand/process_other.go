//go:build !unix

package ondemand

import (
	"os"
	"syscall"
)

// attributes are the system's own: there are no process groups here.
func attributes() *syscall.SysProcAttr { return nil }

// killAll ends the process.
func killAll(p *os.Process) { _ = p.Kill() }
