package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"sync"
	"time"

	"go.starlark.net/starlark"

	"fabgo/builtins"
	"fabgo/internal/beside"
	"fabgo/internal/controller"
	"fabgo/internal/evaluator"
	"fabgo/internal/helper"
	"fabgo/internal/inventory"
	"fabgo/internal/journal"
	"fabgo/internal/secrets"
	"fabgo/transport"
	"fabgo/transport/ssh"
)

// evaluate plays the bundle on a host that was reached: beside it where a helper can run, else here.
func (r *rollout) evaluate(soft, hard context.Context, conn *connection, vars inventory.Vars, start journal.Start, sinks []journal.Sink) error {
	j, err := r.job(conn, vars, start)
	if err != nil {
		return err
	}
	if conn.far == nil || r.flags.where == "controller" {
		return r.evaluateHere(soft, hard, conn, j, sinks)
	}
	_, err = beside.Play(soft, hard, j, r.beside(conn, vars, sinks))
	unable, ok := errors.AsType[*beside.Unable](err)
	switch {
	case err == nil:
		return nil
	case ok && r.flags.where == "auto":
		r.notice(conn.info.Name, "evaluated here, with every question over SSH: "+unable.Why)
		return r.evaluateHere(soft, hard, conn, j, sinks)
	case ok:
		err = &transport.Error{Kind: transport.Unsupported, Message: unable.Why, Hint: "--evaluate=controller asks over SSH instead", Err: err}
	}
	return r.failed(soft, conn.info.Name, start, err, sinks)
}

// failed records a session that did not begin. Where it is the journal that failed, that is the error.
func (r *rollout) failed(soft context.Context, host string, start journal.Start, err error, sinks []journal.Sink) error {
	if _, ok := errors.AsType[*transport.Error](err); !ok {
		if _, ok := errors.AsType[*beside.Locked](err); !ok && soft.Err() == nil {
			return err
		}
	}
	return r.unreached(soft, host, start, err, sinks)
}

func (r *rollout) job(conn *connection, vars inventory.Vars, start journal.Start) (helper.Job, error) {
	encoded, err := builtins.EncodeVars(vars.Values)
	if err != nil {
		return helper.Job{}, err
	}
	j := helper.Job{
		Job: evaluator.Job{
			Closure: r.opened.bundle.Closure(), Tasks: evaluator.Words(r.opened.tasks), Vars: encoded, Mode: r.mode, Info: conn.info, Start: start,
		},
		Holder: helper.Holder{User: r.env.whoami(), Run: r.run.ID, Bundle: filepath.Base(r.opened.path), Since: r.env.Now().UTC()},
		Wait:   r.flags.wait, Reconnect: r.flags.recon, Stop: r.flags.onLoss == "stop",
	}
	j.Files = r.files(conn.info.Name, vars)
	j.Reboots = conn.far != nil && conn.info.Name != "@sandbox"
	if j.Holder.Controller, err = os.Hostname(); err != nil {
		j.Holder.Controller = "an unnamed machine"
	}
	return j, nil
}

// What goes along with a job: small files that the bundle will read, so that it need not ask for them.
const (
	alongFile = 32 << 10
	alongAll  = 128 << 10
)

// files are the answers to what the bundle will ask, as far as that can be told. Those that cannot be read are left to be asked for.
func (r *rollout) files(host string, vars inventory.Vars) map[string]helper.File {
	ctl := r.answers(host)
	ctl.Spelled = r.spelled(vars)
	out := map[string]helper.File{}
	total := int64(0)
	for _, name := range r.opened.reads {
		if _, ok := out[name]; ok {
			continue
		}
		d, err := transport.Do[transport.Data](context.Background(), ctl.Over(nil), transport.Ask{What: transport.AskFile, Name: transport.Text(name)})
		if err != nil {
			continue
		}
		f := helper.File{Content: d.Content}
		if n := d.Content.Size; n <= alongFile && total+n <= alongAll {
			if f.Bytes, err = d.Content.ReadAll(n); err != nil {
				continue
			}
			total += n
		}
		out[name] = f
	}
	return out
}

// spelled are the texts of the bundle and of its variables.
func (r *rollout) spelled(vars inventory.Vars) controller.Spelled {
	texts := controller.Spelled(r.opened.bundle.Texts())
	var add func(v starlark.Value)
	add = func(v starlark.Value) {
		switch v := v.(type) {
		case starlark.String:
			texts = append(texts, string(v))
		case starlark.IterableMapping:
			for _, kv := range v.Items() {
				add(kv[1])
			}
		case starlark.Iterable:
			for e := range starlark.Elements(v) {
				add(e)
			}
		}
	}
	for _, v := range vars.Values {
		add(v)
	}
	if texts == nil {
		texts = controller.Spelled{}
	}
	return texts
}

func (e *env) whoami() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "somebody"
}

// evaluateHere plays the bundle in a process of this machine.
func (r *rollout) evaluateHere(soft, hard context.Context, conn *connection, j helper.Job, sinks []journal.Sink) error {
	j.Beside = conn.far == nil
	if conn.info.Name != "@sandbox" { // whose folders are its own
		j.State = transport.Path(helper.Memory(r.env.Getenv(helper.StateEnv)))
	}
	command, err := helper.LocalEvaluator()
	if err != nil {
		return err
	}
	var host transport.Host = conn
	if conn.far == nil && r.mode == journal.Running {
		lock, holder, err := helper.Acquire(soft, j.Holder, j.Wait, func(h helper.Holder) { r.notice(conn.info.Name, "waiting for another run: "+h.String()) })
		if holder != nil {
			err = &beside.Locked{Holder: *holder}
		}
		if te, ok := errors.AsType[*transport.Error](err); ok {
			err = &beside.Failed{Why: te}
		}
		if err != nil {
			return r.failed(soft, conn.info.Name, j.Start, err, sinks)
		}
		defer lock.Release()
		host = lock.Guard(host)
	}
	ctl := r.answers(conn.info.Name)
	p, err := evaluator.Start(evaluator.Options{Command: command, Host: secrets.Over(ctl.Over(host)), Sinks: sinks, Deliver: ctl.Deliver, Now: r.env.Now,
		Heard:     func() { r.announce(conn.info.Name, helper.WasTold) },
		Rebooting: func(time.Duration) error { return nil }, // the connection is made anew by whoever asks next
	})
	if err != nil {
		return err
	}
	_, err = p.Run(soft, hard, j.Job)
	return err
}

// far is an SSH connection as beside wants it.
type far struct{ h *ssh.Host }

// Start implements beside.Far.
func (f far) Start(ctx context.Context, script string) (beside.Stream, error) {
	s, err := f.h.Start(ctx, script)
	if err != nil {
		return nil, err
	}
	return stream{s}, nil
}

type stream struct{ *ssh.Stream }

// Wait implements beside.Stream.
func (s stream) Wait() error {
	x, err := s.Stream.Wait(context.Background())
	switch {
	case err != nil:
		return err
	case x.Code != 0:
		return fmt.Errorf("exit code %d: %s", x.Code, s.Stderr())
	}
	return nil
}

// beside are the options of a session beside its host.
func (r *rollout) beside(conn *connection, vars inventory.Vars, sinks []journal.Sink) beside.Options {
	ctl := r.answers(conn.info.Name)
	ctl.Spelled = r.spelled(vars)
	b := r.env.binaries()
	at := ""
	if conn.info.Name == "@sandbox" { // a copy of this machine, so this program is there
		at = b.Self
	}
	return beside.Options{
		Far: far{conn.far}, Binaries: b, At: at, Root: conn.info.Acting == "root", Version: r.env.Version, Prelude: builtins.PreludeDigest(),
		Controller: ctl.Over(nil), Deliver: ctl.Deliver, Sinks: sinks, Now: r.env.Now, Reconnect: r.flags.recon,
		Notice: func(text string) { r.announce(conn.info.Name, text) },
		Upload: r.screen.upload(conn.info.Name),
	}
}

// announce is notice, but for what is of interest only to somebody who has typed Ctrl-C: a run also ends early because nobody reads its output
// any more, and then has nothing to say.
func (r *rollout) announce(host, text string) {
	if ended := r.stop.soft; text == helper.WasTold && ended.Err() != nil && context.Cause(ended) != errOnce {
		return
	}
	r.notice(host, text)
}

// notice shows a line that belongs to no step.
func (r *rollout) notice(host, text string) { r.screen.notice(host, text) }

// helpers finds the helpers for hosts, once.
type helpers struct {
	once sync.Once
	b    *beside.Binaries
}

func (e *env) binaries() *beside.Binaries {
	e.helpers.once.Do(func() {
		b := &beside.Binaries{}
		if d := e.cache(); d != "" {
			b.Cache = filepath.Join(d, "packed")
		}
		if self, err := os.Executable(); err == nil {
			if real, err := filepath.EvalSymlinks(self); err == nil {
				self = real
			}
			b.Self = self
			b.Dirs = append(b.Dirs, filepath.Dir(self), filepath.Join(filepath.Dir(self), "helpers")) // the latter as make release leaves them
		}
		if d := e.Getenv("XDG_DATA_HOME"); filepath.IsAbs(d) {
			b.Dirs = append(b.Dirs, filepath.Join(d, "fabgo", "helpers"))
		} else if home := e.Getenv("HOME"); filepath.IsAbs(home) {
			b.Dirs = append(b.Dirs, filepath.Join(home, ".local", "share", "fabgo", "helpers"))
		}
		e.helpers.b = b
	})
	return e.helpers.b
}
