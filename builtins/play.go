package builtins

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/internal/journal"
	"fabgo/interp"
	"fabgo/transport"
)

// Play is one bundle to be evaluated against one host.
type Play struct {
	Interp    *interp.Interp
	Bundle    *interp.Bundle
	Tasks     []interp.TaskCall
	Vars      map[string]starlark.Value
	Mode      journal.Mode
	Info      converge.Info
	Recorder  *journal.Recorder
	Ledger    converge.Ledger // the host's memory of unsettled changes; nil: it has none
	Start     journal.Start   // what the first record says; Play adds what it knows itself
	Sleep     func(ctx context.Context, d time.Duration) error
	Deliver   func(name string, c transport.Content) error        // puts a file of the host on the controller; nil: fetching is an error in a run
	Rebooting func(ctx context.Context, wait time.Duration) error // see Runtime
	Replaying bool                                                // the recorder answers from a journal
	Ops       context.Context                                     // when it ends, ops under way are cut off; nil: the context of Run
}

// Run evaluates the bundle: its top level, the tasks, then what was put off to the end. It returns how the session ended; the journal holds
// the rest. An error means that the journal could not be written.
func (p Play) Run(ctx context.Context) (journal.Verdict, error) {
	start := p.Start
	start.Mode, start.Address, start.Login, start.User = p.Mode, p.Info.Address, p.Info.User, p.Info.Acting
	for _, t := range p.Tasks {
		task := journal.Task{Name: t.Task.Name}
		for _, a := range t.Args {
			task.Args = append(task.Args, a.Name+"="+a.Value)
		}
		start.Tasks = append(start.Tasks, task)
	}
	var err error
	if start.Vars, err = EncodeVars(p.Vars); err != nil {
		return journal.Invalid, err
	}
	ops := p.Ops
	if ops == nil {
		ops = ctx
	}
	from := converge.Unsettled{Run: start.Run, Tasks: start.Tasks, Ledger: p.Ledger}
	opened := from.Open(ops)
	start.State, start.Carried = string(from.State), from.Carried
	if err := p.Recorder.Start(start); err != nil {
		return journal.Invalid, err
	}
	if opened != nil {
		fin := p.unkept(ctx, opened)
		return fin.Status, p.Recorder.Finish(fin)
	}
	session := converge.New(ctx, ops, p.Info, p.Mode, p.Recorder)
	session.Carry(from)
	rt := &Runtime{Session: session, Vars: p.Vars, Interp: p.Interp, Locate: p.locate, Deliver: p.Deliver, Replaying: p.Replaying, Rebooting: p.Rebooting}
	if p.Sleep != nil && p.Mode == journal.Running {
		rt.Sleep = func(d time.Duration) error { return p.Sleep(ctx, d) }
	}
	err = p.evaluate(ctx, rt)
	if stopped := rt.Stopped(); stopped != nil {
		err = stopped
	}
	fin := p.finish(ctx, err)
	switch fin.Status {
	case journal.Finished:
		if err := session.Settle(ops); err != nil {
			fin = p.unkept(ctx, err)
		}
	case journal.Broken, journal.Invalid:
		session.Leave(ops)
	}
	return fin.Status, p.Recorder.Finish(fin)
}

func (p Play) evaluate(ctx context.Context, rt *Runtime) error {
	inst, err := p.Bundle.Exec(ctx, interp.ExecOptions{
		Locals:  rt.Locals(),
		PerHost: starlark.StringDict{"host": rt.Host()},
		Name:    p.Info.Name,
		Started: func(t *starlark.Thread) { rt.thread = t },
		Print: func(pos interp.Position, msg string) {
			if err := rt.Session.Note(msg, pos.String()); err != nil && rt.thread != nil {
				rt.thread.Cancel(err.Error())
			}
		},
	})
	if err != nil {
		return err
	}
	for _, t := range p.Tasks {
		if _, err := inst.Run(t); err != nil {
			return err
		}
	}
	for i := 0; i < len(rt.ends); i++ {
		if _, err := inst.CallValue(rt.ends[i], nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// finish sorts how an evaluation ended.
func (p Play) finish(ctx context.Context, err error) journal.Finish {
	if err == nil {
		return journal.Finish{Status: journal.Finished}
	}
	f := p.explain(err)
	kind := transport.KindOf(err)
	if _, ok := errors.AsType[*interp.PanicError](err); ok {
		f.Kind = journal.Internal
		return journal.Finish{Status: journal.Broken, Error: &f}
	}
	if overtime(ctx, &f) {
		return journal.Finish{Status: journal.Broken, Error: &f}
	}
	_, step := errors.AsType[*converge.StepError](err)
	_, failed := errors.AsType[*interp.FailError](err)
	switch {
	case converge.CauseOf(err) != nil:
		return journal.Finish{Status: journal.Partial, Error: &f}
	case ctx.Err() != nil, kind == transport.Interrupted:
		return journal.Finish{Status: journal.Interrupted, Error: &f}
	case kind == transport.Unreachable, kind == transport.Auth, kind == transport.HostKey, kind == transport.Lost:
		return journal.Finish{Status: journal.Unreachable, Error: &f}
	case step, failed, errors.Is(err, journal.ErrWrite):
		return journal.Finish{Status: journal.Broken, Error: &f}
	}
	return journal.Finish{Status: journal.Invalid, Error: &f}
}

// unkept is the end of a session whose host does not remember what is unsettled.
func (p Play) unkept(ctx context.Context, err error) journal.Finish {
	f := converge.Failure(err)
	fin := journal.Finish{Status: journal.Broken, Error: &f}
	switch {
	case overtime(ctx, &f):
	case f.Kind == transport.Unreachable, f.Kind == transport.Auth, f.Kind == transport.HostKey, f.Kind == transport.Lost:
		fin.Status = journal.Unreachable
	case f.Kind == transport.Interrupted:
		fin.Status = journal.Interrupted
	}
	return fin
}

// overtime makes a failure that of the time limit for a host, where it is over.
func overtime(ctx context.Context, f *journal.Failure) bool {
	over, ok := errors.AsType[*transport.Error](context.Cause(ctx))
	if !ok || over.Kind != transport.Timeout {
		return false
	}
	f.Kind, f.Message, f.Hint = over.Kind, over.Message, over.Hint
	f.Command, f.Code, f.Stderr = nil, 0, ""
	return true
}

// explain is an error for the journal: the message of the failed step or of the interpreter, with the user's frames, innermost first.
func (p Play) explain(err error) journal.Failure {
	why := p.Bundle.Explain(err)
	f := journal.Failure{Kind: transport.KindOf(err), Message: why.Msg, Hint: why.Hint}
	if se, ok := errors.AsType[*converge.StepError](err); ok {
		f = se.Failure
		f.Message = se.Error()
	} else if u := unknown(err); u != nil {
		f.Message = u.Error()
	}
	for i := len(why.Frames) - 1; i >= 0; i-- {
		fr := why.Frames[i]
		line := fr.Position.String()
		if fr.Func != "" {
			line += " in " + fr.Func
		}
		f.Frames = append(f.Frames, line)
	}
	if why.Source != "" {
		f.Source = why.Source
	}
	return f
}

// locate names a source of the bundle for the controller.
func (p Play) locate(file, src string) (string, error) {
	from := p.Bundle.Canonical(file)
	if from == "" {
		return "", fmt.Errorf("%q: the file that names it is not known", src)
	}
	return interp.ResolveSource(from, src)
}
