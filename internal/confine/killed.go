package confine

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Reasons for which a child is ended.
const (
	Memory  = "memory"
	CPU     = "cpu"
	Time    = "time"
	Stack   = "stack"
	Runtime = "runtime" // Go's own runtime gave up
	Signal  = "signal"  // somebody else's: the kernel's when memory is short, or a person's
)

// Killed says that a child was ended by a limit, not by a defect of its program.
type Killed struct {
	Reason string // one of the above
	Limit  string // the limit, "512 MiB"; of Runtime and Signal what is known
	Where  string // file:line the child last told, or ""
}

func (e *Killed) Error() string {
	msg := "killed: " + e.Reason
	if e.Limit != "" {
		msg += " (" + e.Limit + ")"
	}
	if e.Where != "" {
		msg += " at " + e.Where
	}
	return msg
}

// Hint is what a person can look for.
func (e *Killed) Hint() string {
	switch e.Reason {
	case Memory:
		return "is there a value that doubles, or is repeated, far more often than was meant?"
	case CPU:
		return "is there a computation that grows with each turn of a loop?"
	case Time:
		return "it neither computed nor asked for anything: is the machine overloaded?"
	case Stack:
		return "is a value nested thousands of levels deep?"
	case Signal:
		return "the kernel does this when the machine runs out of memory: see dmesg"
	}
	return ""
}

// Crash is the end of a child by a defect of its program.
type Crash struct {
	Message string // "panic: ..."
	Where   string // file:line the child last told, or ""
	Stderr  string // for the report
}

func (e *Crash) Error() string {
	if e.Where != "" {
		return "crashed at " + e.Where + ": " + e.Message
	}
	return "crashed: " + e.Message
}

// judge sorts how the child ended. The caller holds mu.
func (c *Child) judge(err error) error {
	where := c.last
	switch {
	case c.killed != nil:
		c.killed.Where = where
		return c.killed
	case c.ended:
		return ErrEnded
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	said := c.stderr.String()
	switch signal := deathSignal(exit.ProcessState); {
	case signal == "" && exit.ExitCode() == 2: // so end both what panics and what the runtime gives up
		if why := c.fatal(said); why != nil {
			why.Where = where
			return why
		}
		if msg := lineWith(said, "panic: ", "fatal error: "); msg != "" {
			return &Crash{Message: msg, Where: where, Stderr: said}
		}
	case signal != "":
		used := exit.UserTime() + exit.SystemTime()
		if c.limits.Total > 0 && used >= c.limits.Total {
			return &Killed{Reason: CPU, Limit: c.limits.Total.String() + " in all", Where: where}
		}
		return &Killed{Reason: Signal, Limit: signal, Where: where}
	}
	if said = strings.TrimSpace(said); said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// fatal recognises what the Go runtime says when it gives up. Recover cannot catch any of it.
func (c *Child) fatal(said string) *Killed {
	memory := func() *Killed {
		k := &Killed{Reason: Memory}
		if c.limits.Memory > 0 {
			k.Limit = bytesText(c.limits.Memory)
		}
		return k
	}
	// A fault inside the runtime: its collector does not check whether it got the memory it asked for (Go 1.26,
	// spanQueue.drain). A fault in code of ours is a panic and says so.
	if fault := lineWith(said, "SIGSEGV: "); fault != "" && !strings.Contains(said, "panic: ") {
		if c.hard {
			return memory()
		}
		return &Killed{Reason: Runtime, Limit: fault}
	}
	msg := strings.TrimPrefix(lineWith(said, "fatal error: "), "fatal error: ")
	switch {
	case msg == "":
		return nil
	case msg == "stack overflow":
		return &Killed{Reason: Stack, Limit: bytesText(maxStack)}
	case containsAny(msg, "out of memory", "cannot allocate memory", "failed to reserve", "failed to create new OS thread"):
		return memory()
	case containsAny(msg, "concurrent map", "sync: ", "goroutines are asleep"):
		return nil // a defect of ours
	}
	return &Killed{Reason: Runtime, Limit: msg}
}

// lineWith is the first line that starts with one of the prefixes, or "".
func lineWith(text string, prefixes ...string) string {
	for line := range strings.Lines(text) {
		for _, p := range prefixes {
			if strings.HasPrefix(line, p) {
				return strings.TrimSpace(line)
			}
		}
	}
	return ""
}

func containsAny(s string, words ...string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}
