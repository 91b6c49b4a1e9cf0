//go:build unix

package ondemand

import (
	"os"
	"syscall"
)

// killAll ends the process and everything that it started and that did not leave its group.
func killAll(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }
