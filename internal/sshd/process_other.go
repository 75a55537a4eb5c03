//go:build !unix

package sshd

import (
	"os"
	"syscall"
)

func ownGroup() *syscall.SysProcAttr { return nil }

// killGroup can only end the program itself: there are no process groups here.
func killGroup(pid int, name string) bool {
	if name != "KILL" && name != "TERM" {
		return false
	}
	p, err := os.FindProcess(pid)
	return err == nil && p.Kill() == nil
}

func statusOf(state *os.ProcessState) exitStatus { return exitStatus{code: state.ExitCode()} }
