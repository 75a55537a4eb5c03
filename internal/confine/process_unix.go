//go:build unix && !linux

package confine

import (
	"os"
	"syscall"
)

func (c *Child) launch() error {
	if c.cmd.SysProcAttr == nil {
		c.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if !c.cmd.SysProcAttr.Setsid {
		c.cmd.SysProcAttr.Setpgid, c.cmd.SysProcAttr.Pgid = true, 0
	}
	return c.cmd.Start()
}

func killGroup(p *os.Process) { syscall.Kill(-p.Pid, syscall.SIGKILL) }

func deathSignal(s *os.ProcessState) string {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return ws.Signal().String()
	}
	return ""
}
