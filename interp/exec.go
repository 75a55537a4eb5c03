package interp

import (
	"context"
	"fmt"
	"runtime/debug"

	"go.starlark.net/starlark"
)

// ExecOptions is what one execution brings along.
type ExecOptions struct {
	// Locals reach natives through thread.Local: the session and the like. They are not visible to Starlark.
	Locals map[string]any
	// PerHost gives the values that Options.PerHost names.
	PerHost starlark.StringDict
	// Print receives what print writes, with the position of the call. Nil discards it.
	Print func(pos Position, msg string)
	// Started receives the thread before anything runs on it.
	Started func(*starlark.Thread)
	// Name of the thread, for debugging: the host.
	Name string
}

// Instance is a bundle executed for one host. It belongs to one goroutine at a time.
type Instance struct {
	bundle  *Bundle
	thread  *starlark.Thread
	guard   *guard
	globals starlark.StringDict
}

// Exec runs the top level of the bundle on a new thread. The context and the limits hold for the tasks called later too.
// On failure the Instance is nil and the error is one for Explain.
func (b *Bundle) Exec(ctx context.Context, o ExecOptions) (*Instance, error) {
	predeclared := make(starlark.StringDict, len(b.in.bundle.values)+len(o.PerHost))
	for name, v := range b.in.bundle.values {
		predeclared[name] = v
	}
	for name := range b.in.bundle.perHost {
		v := o.PerHost[name]
		if v == nil {
			return nil, fmt.Errorf("exec %s: no value for %q", b.Display(), name)
		}
		predeclared[name] = v
	}
	inst := &Instance{bundle: b, thread: &starlark.Thread{Name: o.Name}}
	if o.Started != nil {
		o.Started(inst.thread)
	}
	for key, v := range o.Locals {
		inst.thread.SetLocal(key, v)
	}
	inst.guard = newGuard(ctx, inst.thread, b.in.opts.MaxSteps, b.in.opts.Trace)
	inst.thread.Print = func(t *starlark.Thread, msg string) {
		if inst.guard.print(t, msg) && o.Print != nil {
			o.Print(CallerPos(t), msg)
		}
	}
	heard := map[*module]bool{}
	inst.thread.Load = func(_ *starlark.Thread, raw string) (starlark.StringDict, error) {
		m, err := b.library.load(ctx, b.main.loads[raw])
		if err != nil {
			return nil, err
		}
		m.replay(heard, func(p printed) {
			if inst.guard.print(inst.thread, p.msg) && o.Print != nil {
				o.Print(p.pos, p.msg)
			}
		})
		return m.globals, nil
	}
	err := inst.do(func() (err error) {
		inst.globals, err = b.main.prog.Init(inst.thread, predeclared)
		return err
	})
	if err != nil {
		return nil, err
	}
	return inst, nil
}

// Thread is the thread of the bundle, for callbacks that natives kept.
func (i *Instance) Thread() *starlark.Thread { return i.thread }

// Bundle is what was executed.
func (i *Instance) Bundle() *Bundle { return i.bundle }

// Global is the value of a top-level name of the bundle, or nil.
func (i *Instance) Global(name string) starlark.Value { return i.globals[name] }

// Steps is how many Starlark steps the instance has made.
func (i *Instance) Steps() uint64 { return i.thread.ExecutionSteps() }

// Call calls a top-level function of the bundle by its name.
func (i *Instance) Call(name string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	fn, ok := i.globals[name].(starlark.Callable)
	if !ok {
		return nil, fmt.Errorf("%s: there is no function %q", i.bundle.Display(), name)
	}
	return i.CallValue(fn, args, kwargs)
}

// CallValue calls a function value on the thread of the bundle, under its limits: a handler kept for the end of a run.
func (i *Instance) CallValue(fn starlark.Value, args starlark.Tuple, kwargs []starlark.Tuple) (v starlark.Value, err error) {
	err = i.do(func() (err error) {
		v, err = starlark.Call(i.thread, fn, args, kwargs)
		return err
	})
	return v, err
}

// do runs f under the guard and gives its error the sources that Explain wants.
func (i *Instance) do(f func() error) error {
	return i.guard.run(i.bundle, i.thread, f)
}

// run arms the context for the time of f.
func (g *guard) run(b *Bundle, thread *starlark.Thread, f func() error) (err error) {
	if err := g.stopped(); err != nil {
		return &runError{bundle: b, err: err}
	}
	disarm := context.AfterFunc(g.ctx, func() { thread.Cancel(context.Cause(g.ctx).Error()) })
	defer disarm()
	defer func() {
		if r := recover(); r != nil {
			pe, ok := r.(*PanicError)
			if !ok {
				pe = &PanicError{Value: r, Stack: debug.Stack()}
			}
			err = &runError{bundle: b, err: pe}
		}
	}()
	if err := g.wrap(f()); err != nil {
		return &runError{bundle: b, err: err}
	}
	return nil
}

// PanicError is a defect of fabgo, or of the interpreter, met while evaluating: the process lives on.
type PanicError struct {
	Value  any
	Stack  []byte  // of the goroutine
	Frames []Frame // the user's calls that led there, when known
}

func (e *PanicError) Error() string { return fmt.Sprintf("internal error: %v", e.Value) }

// runError is an error of an evaluation with the bundle whose sources explain it.
type runError struct {
	bundle *Bundle
	err    error
}

func (e *runError) Error() string { return e.err.Error() }
func (e *runError) Unwrap() error { return e.err }
