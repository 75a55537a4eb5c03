// Package helper is fabgo at the far end of an SSH connection: it evaluates a bundle beside the host that the bundle is for.
//
// The one rule: a run belongs to a process that does not depend on the connection. What speaks to SSH is a relay; when it dies, the run
// goes on, and a controller that comes back reads on from where it stopped.
//
// The trap: nothing here may wait for a controller while it holds up the run, but for a question that only the controller can answer, and
// even that has an end.
//
// The promise: at most one run works on a host at a time, what it did is in the journal on the host before anybody is told, and a plan
// leaves no trace.
package helper

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"fabgo/builtins"
	"fabgo/internal/evaluator"
	"fabgo/transport/local"
	"fabgo/transport/wire"
)

// Env is what the helper is given by main.
type Env struct {
	Stdin   io.ReadCloser
	Stdout  io.WriteCloser
	Getenv  func(string) string
	Version string
}

// Main runs the helper in the mode that the first argument names. It returns when its work is done.
func Main(e Env, args []string) error {
	mode, rest := "", ""
	if len(args) > 0 {
		mode = args[0]
	}
	if len(args) > 1 {
		rest = args[1]
	}
	switch mode {
	case ModeRun:
		return relayToOwner(e, "")
	case ModeAttach:
		return relayToRun(e, rest)
	case ModePlan:
		o, err := newOwner(e.Version)
		if err != nil {
			return err
		}
		return o.live(e.Stdin, e.Stdout, func() error { e.Stdin.Close(); return e.Stdout.Close() })
	case ModeResume:
		return relayToResumed(e, rest)
	case modeOwn:
		return ownRun(e.Version, rest)
	case modeEvaluate:
		return evaluator.Child(e.Stdin, e.Stdout, e.Getenv)
	case ModeOps:
		h, err := local.New(local.Options{})
		if err != nil {
			return err
		}
		c := wire.New(e.Stdin, e.Stdout, e.Stdin.Close, wire.Options{Host: h})
		<-c.Done()
		return nil
	}
	return fmt.Errorf("helper %q: there is no such mode", mode)
}

func (o *owner) hello() Hello {
	return Hello{Version: o.version, Prelude: builtins.PreludeDigest(), Started: time.Now()}
}

// evaluate is the command of the evaluator: this program again, with nothing of our environment.
func evaluate(self string) func() *exec.Cmd {
	return func() *exec.Cmd {
		cmd := exec.Command(self, Command, modeEvaluate)
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
		cmd.Dir = "/"
		return cmd
	}
}

// LocalEvaluator is the command of the evaluator for a controller that evaluates itself.
func LocalEvaluator() (func() *exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's file, to evaluate in a process of its own: %w", err)
	}
	return evaluate(self), nil
}

// background is the context of what has no other end than the process.
func background() (context.Context, context.CancelCauseFunc) {
	return context.WithCancelCause(context.Background())
}
