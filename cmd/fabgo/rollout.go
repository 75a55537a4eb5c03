package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"fabgo/builtins"
	"fabgo/internal/beside"
	"fabgo/internal/inventory"
	"fabgo/internal/journal"
	"fabgo/internal/report"
	"fabgo/internal/vault"
	"fabgo/transport"
	"fabgo/transport/ssh"
)

// rollout is one bundle on its hosts.
type rollout struct {
	env     *env
	flags   runFlags
	opened  *opened
	mode    journal.Mode
	run     *journal.Run
	shared  *ssh.Shared
	prompt  *prompter
	secrets *vault.Vault
	sum     *report.Summary
	show    *outlet
	screen  *screen
	stop    *interrupts
	told    sync.Map // which overrides were told of, by host and name
}

func (e *env) rollOut(ctx context.Context, mode journal.Mode, f runFlags, args []string) error {
	if err := f.verify(mode); err != nil {
		return err
	}
	if err := f.connect.check(f.connect.hosts); err != nil {
		return err
	}
	o, err := e.open(args[0], args[1:])
	if err != nil {
		return err
	}
	if tasks := o.bundle.Tasks(); len(o.tasks) == 0 && len(tasks) > 0 {
		fmt.Fprintf(e.Stderr, "%s has neither bootstrap_all nor main, so only its top level runs; `fabgo tasks %s` lists its tasks\n", report.Escape(args[0]), report.Escape(args[0]))
	}
	if f.connect.repo, err = o.repository(); err != nil {
		return err
	}
	hosts, err := f.connect.repo.choose(f.connect.hosts)
	if err != nil {
		return err
	}
	if len(hosts) == 0 {
		hosts = f.connect.repo.targets(o)
	}
	names, err := f.connect.resolve(hosts)
	if err != nil {
		return err
	}
	vars, err := o.variables(f.connect.repo, names, f.set)
	if err != nil {
		return err
	}
	if f.where != "controller" && slices.ContainsFunc(hosts, func(h string) bool { return !strings.HasPrefix(h, "@") }) {
		go e.binaries().Prepare()
	}
	r := &rollout{env: e, flags: f, opened: o, mode: mode, shared: &ssh.Shared{}, sum: &report.Summary{}, prompt: e.prompter()}
	r.secrets = e.vault(o.bundle.Root(), r.prompt)
	if err := o.lookUp(func(name string) error { _, err := r.secrets.Get(name); return err }); err != nil {
		return err
	}
	if err := r.record(); err != nil {
		return err
	}
	return r.all(ctx, hosts, vars)
}

// record begins the journal.
func (r *rollout) record() error {
	dir, err := r.env.state()
	if err != nil {
		return err
	}
	if r.run, err = (journal.Store{Dir: filepath.Join(dir, "runs")}).NewRun(r.env.Now()); err != nil {
		return invalid(err)
	}
	closure, err := json.Marshal(r.opened.bundle.Closure())
	if err != nil {
		return err
	}
	if err := r.run.Save("closure.json", closure); err != nil {
		return invalid(err)
	}
	return nil
}

// all plays the bundle on every host and tells how it went.
func (r *rollout) all(ctx context.Context, hosts []string, vars []inventory.Vars) error {
	finish := r.print(hosts)
	r.stop = r.env.interruptible(ctx, func() { r.screen.aside(r.env.lastStep) })
	r.show.stop = r.stop.stop
	defer r.stop.close()
	places := make(chan struct{}, r.flags.connect.parallel)
	errs := make([]error, len(hosts))
	var wg sync.WaitGroup
	for i, h := range hosts {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			errs[i] = r.env.guard(func() error { return r.one(h, vars[i]) })
		})
	}
	wg.Wait()
	err := errors.Join(append(errs, r.show.failure(), finish())...)
	if errors.Is(err, report.ErrClosed) { // fabgo run | head: nobody is left to be told
		return done(exitInterrupted)
	}
	if err != nil {
		return err
	}
	return done(r.code())
}

// one plays the bundle on a host. An error means that the journal broke; everything else is in the journal.
func (r *rollout) one(host string, vars inventory.Vars) (err error) {
	w, err := r.run.Writer(host)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	soft, hard, cancel := r.limited()
	defer cancel()
	sinks := []journal.Sink{w, r.sum, r.show}
	start := journal.Start{
		Run: r.run.ID, Fabgo: r.env.Version, Bundle: r.opened.absolute(),
		Digests: map[string]string{"prelude": builtins.PreludeDigest(), "closure": r.opened.bundle.Digest()},
	}
	r.screen.status(host, "connecting")
	conn, err := r.env.reach(soft, host, r.flags.connect.options(r.prompt, r.shared), &r.flags.connect)
	if err != nil {
		err = r.nameless(host, err)
		return r.unreached(soft, host, start, err, sinks)
	}
	err = r.evaluate(soft, hard, conn, vars, start, sinks)
	if cerr := conn.close(); cerr != nil { // all is done and recorded: not the run's failure
		r.screen.notice(host, "close the connection: "+cerr.Error())
	}
	return err
}

// nameless adds, where a host's name has no address, who gave that name: the inventory, or nobody, and it is the bundle's.
func (r *rollout) nameless(host string, err error) error {
	te, ok := errors.AsType[*transport.Error](err)
	_, dns := errors.AsType[*net.DNSError](err)
	if !ok || !dns {
		return err
	}
	e := *te
	e.Err = err
	hosts := r.flags.connect.repo.hosts
	if h, known := hosts.Host(host); known {
		e.Hint = fmt.Sprintf("%s:%d says how the host is reached: address gives it another one", hosts.Path, h.Line)
		return &e
	}
	if len(r.flags.connect.hosts) > 0 {
		return err
	}
	e.Hint = fmt.Sprintf("the name comes from that of the bundle, %s: -H names another host, and a line in %s or HostName in ssh_config gives %s an address", filepath.Base(r.opened.path), inventory.File, host)
	return &e
}

// limited bounds the interrupts by --timeout.
func (r *rollout) limited() (soft, hard context.Context, cancel func()) {
	d := r.flags.timeout
	if d == 0 {
		return r.stop.soft, r.stop.hard, func() {}
	}
	over := &transport.Error{
		Kind: transport.Timeout, Message: fmt.Sprintf("the time limit for a host, %s, is over", shortDuration(d)),
		Hint: "--timeout sets it; run again to go on from here",
	}
	end := time.Now().Add(d)
	soft, c1 := context.WithDeadlineCause(r.stop.soft, end, over)
	hard, c2 := context.WithDeadlineCause(r.stop.hard, end, over)
	return soft, hard, func() { c1(); c2() }
}

// unreached records a host that could not be reached.
func (r *rollout) unreached(ctx context.Context, host string, start journal.Start, cause error, sinks []journal.Sink) error {
	rec := journal.NewRecorder(host, nil, r.env.Now, sinks...)
	start.Mode = r.mode
	f := journal.Failure{Kind: transport.KindOf(cause), Message: cause.Error()}
	if te, ok := errors.AsType[*transport.Error](cause); ok {
		f.Hint, f.Stderr = te.Hint, string(te.Stderr)
	}
	v := journal.Unreachable
	if reached(cause) {
		v = journal.Broken
	}
	if l, ok := errors.AsType[*beside.Locked](cause); ok {
		v, f.Hint = journal.Locked, "--wait 10m waits for it; `fabgo attach "+host+"` shows it"
		f.Message = l.Error()
	}
	if r.stop.soft.Err() != nil {
		v = journal.Interrupted
		if !reached(cause) {
			f = journal.Failure{Kind: transport.Interrupted, Message: "interrupted before " + host + " was reached"}
		}
	} else if over, ok := errors.AsType[*transport.Error](context.Cause(ctx)); ok && !reached(cause) {
		f.Hint = over.Hint
	}
	return errors.Join(rec.Start(start), rec.Finish(journal.Finish{Status: v, Error: &f}))
}

// reached reports whether a session that did not begin failed on a host that was reached and could not be worked on.
func reached(cause error) bool {
	if _, ok := errors.AsType[*beside.Unable](cause); ok {
		return true
	}
	f, ok := errors.AsType[*beside.Failed](cause)
	return ok && f.Why.Kind != transport.Lost
}

// print chooses what shows the run; the function that it returns ends the output.
func (r *rollout) print(hosts []string) (finish func() error) {
	r.screen = &screen{stderr: r.env.Stderr}
	if r.flags.json {
		r.show = &outlet{to: report.NewJSON(r.env.Stdout, report.JSONOptions{Verbose: r.flags.verbose > 0})}
		return func() error { return nil }
	}
	verbosity := r.flags.verbose
	if r.flags.quiet {
		verbosity = -1
	}
	t := report.NewTerminal(r.env.Stdout, report.TerminalOptions{
		Color: r.env.color(r.env.Stdout), Verbosity: verbosity, Diff: r.flags.diff, Hosts: hosts, Live: report.IsTerminal(r.env.Stdout) && !r.flags.quiet,
	})
	r.show, r.screen.lines = &outlet{to: t}, t
	if r.prompt != nil {
		r.prompt.aside = t.Aside
	}
	return t.Recap
}

// code is the exit code of what the summary says.
func (r *rollout) code() int {
	var codes []int
	for _, h := range r.sum.Hosts() {
		switch {
		case h.Error != nil && h.Error.Kind == journal.Internal:
			codes = append(codes, exitBug)
		case h.Verdict == journal.Broken:
			codes = append(codes, exitFailed)
		case h.Verdict == journal.Invalid && h.Mode == journal.Running && h.Changed() > 0:
			codes = append(codes, exitFailed) // something was touched
		case h.Verdict == journal.Invalid:
			codes = append(codes, exitInvalid)
		case h.Verdict == journal.Locked:
			codes = append(codes, exitLocked)
		case h.Verdict == journal.Unreachable:
			codes = append(codes, exitUnreachable)
		case h.Verdict == journal.Interrupted:
			codes = append(codes, exitInterrupted)
		case r.flags.detailed && h.Pending():
			codes = append(codes, exitPending)
		}
	}
	return worst(codes...)
}

// worst is the exit code that counts.
func worst(codes ...int) int {
	at := 0
	for _, c := range codes {
		at = max(at, slices.Index(severity, c))
	}
	return severity[at]
}

// outlet passes records to what shows them. When that fails, the run ends as with Ctrl-C: the step under way is the last, and the
// journal tells so.
type outlet struct {
	to   journal.Sink
	stop context.CancelCauseFunc

	mu  sync.Mutex
	err error
}

func (o *outlet) Record(rec journal.Record) error {
	if err := o.to.Record(rec); err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.err == nil {
			o.err = err
			o.stop(err)
		}
	}
	return nil
}

func (o *outlet) Keep(transport.Content) error { return nil }

func (o *outlet) Sync() error { return nil }

func (o *outlet) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}
