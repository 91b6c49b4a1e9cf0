package ondemand

import "syscall"

// attributes put the process into a group of its own, and let the kernel end it with the server.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
