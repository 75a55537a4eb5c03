//go:build unix

package sshd

import (
	"fmt"
	"os"
	"syscall"
)

// signals are the names of RFC 4254, section 6.10.
var signals = map[string]syscall.Signal{
	"ABRT": syscall.SIGABRT, "ALRM": syscall.SIGALRM, "FPE": syscall.SIGFPE, "HUP": syscall.SIGHUP,
	"ILL": syscall.SIGILL, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL, "PIPE": syscall.SIGPIPE,
	"QUIT": syscall.SIGQUIT, "SEGV": syscall.SIGSEGV, "TERM": syscall.SIGTERM,
	"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
}

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// killGroup signals a process group and says whether that was possible.
func killGroup(pgid int, name string) bool {
	sig, ok := signals[name]
	return ok && syscall.Kill(-pgid, sig) == nil
}

func statusOf(state *os.ProcessState) exitStatus {
	ws, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !ws.Signaled() {
		return exitStatus{code: state.ExitCode()}
	}
	for name, sig := range signals {
		if sig == ws.Signal() {
			return exitStatus{signal: name, core: ws.CoreDump()}
		}
	}
	// RFC 4254 wants names outside of its list to carry a domain.
	return exitStatus{signal: fmt.Sprintf("%d@fabgo", int(ws.Signal())), core: ws.CoreDump()}
}
