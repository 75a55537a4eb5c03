package builtins

import (
	"context"
	"fmt"
	"time"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/interp"
	"fabgo/interp/template"
	"fabgo/transport"
)

const runtimeLocal = "fabgo.runtime"

// Runtime is what the natives of one session share.
type Runtime struct {
	Session *converge.Session
	Vars    map[string]starlark.Value // what var() answers from, as it was given
	// Locate names a source for an Ask: src as it stands in the file that names it becomes the name by which the controller knows it.
	Locate func(file, src string) (string, error)
	// Sleep waits between the tries of retry; nil: it does not (plans, replays).
	Sleep func(d time.Duration) error

	// Deliver puts a file of the host on the controller, under the name that Locate gave; nil: fetching is an error in a run.
	Deliver   func(name string, c transport.Content) error
	Replaying bool // the journal answers: nothing is delivered

	// Rebooting says that the host is about to restart, and has to be back after wait; nil: it cannot be restarted.
	Rebooting func(ctx context.Context, wait time.Duration) error

	// Interp is the interpreter that evaluates the bundle.
	Interp *interp.Interp

	thread *starlark.Thread
	ends   []starlark.Callable
	facts  map[string]fact
	bound  bound
	apt    aptMemory
	loaded map[string]*loaded // what units were loaded with, by unit, as far as it was read

	secrets   map[string]string            // tokens by name
	sources   map[string]transport.Content // files of the bundle, by the controller's name, as they were first asked for
	texts     map[string][]byte            // those of them that were read
	templates map[templateKey]*template.Template

	stopped *converge.Unknown
}

type fact struct {
	generation int
	value      starlark.Value
}

// bound is what shell() lays over the calls that are made through it.
type bound struct {
	user transport.Text
	cwd  transport.Path
	env  map[string]string
}

// Locals are the thread locals of an Exec of this session's bundle.
func (rt *Runtime) Locals() map[string]any { return map[string]any{runtimeLocal: rt} }

// Host is the value of the name host in bundles.
func (rt *Runtime) Host() starlark.Value { return hostValue{rt} }

// step names a step that is not a call of a builtin: reading a fact.
func (rt *Runtime) step(what string) converge.Step {
	pos := ""
	if rt.thread != nil {
		pos = interp.CallerPos(rt.thread).String()
	}
	return converge.Step{Builtin: what, Pos: pos}
}

// source reads a file of the bundle, named relative to the file of the caller.
func (c *call) source(src string) (transport.Content, error) {
	name, err := c.locate(src)
	if err != nil {
		return transport.Content{}, err
	}
	return c.ask(name)
}

// ask gives a file of the bundle by the controller's name for it. A session asks for each once: it goes on with what it has seen, whatever
// becomes of the file meanwhile.
func (rt *Runtime) ask(name string) (transport.Content, error) {
	if content, ok := rt.sources[name]; ok {
		return content, nil
	}
	content, err := rt.Session.Ask(transport.AskFile, name)
	if err != nil {
		return content, err
	}
	if rt.sources == nil {
		rt.sources = map[string]transport.Content{}
	}
	rt.sources[name] = content
	return content, nil
}

func (c *call) locate(src string) (string, error) {
	name, err := c.Locate(interp.CallerPos(c.thread).File, src)
	if err != nil {
		return "", fmt.Errorf("%s: src: %w", c.name, err)
	}
	return name, nil
}
