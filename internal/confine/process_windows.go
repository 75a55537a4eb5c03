package confine

import "os"

func (c *Child) launch() error { return c.cmd.Start() }

func killGroup(p *os.Process) { p.Kill() }

func deathSignal(*os.ProcessState) string { return "" }
