package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fabgo/builtins"
	"fabgo/internal/beside"
	"fabgo/internal/journal"
	"fabgo/internal/report"
	"fabgo/transport"
	"fabgo/transport/ssh"
)

// attachFlags are those of attach.
type attachFlags struct {
	connect connectFlags
	stop    bool
	json    bool
	diff    bool
	verbose int
	recon   time.Duration
}

func (e *env) attachCommand() *cobra.Command {
	var f attachFlags
	cmd := &cobra.Command{
		Use:   "attach HOST [RUN]",
		Short: "Follow a run that goes on on a host, or read how it ended",
		Long: `Attach shows a run that was begun on a host with fabgo run and whose connection was lost, from its
first step on, and follows it to its end. RUN is its ID, or the beginning or end of it; without
one it is the run under way, else the latest. The journal is kept here too, so that fabgo runs and
fabgo replay know the run.

The host is reached as by fabgo run: a run with --sudo needs --sudo here too.

Ctrl-C leaves the run to itself. --stop ends it after the step under way.`,
		Example: "  fabgo attach web1\n  fabgo attach deploy@10.0.0.5 --sudo --stop",
		Args:    takes(1, 2, "a host, as in fabgo run -H"),
		RunE: func(cmd *cobra.Command, args []string) error {
			run := ""
			if len(args) > 1 {
				run = args[1]
			}
			return e.attach(cmd.Context(), f, args[0], run)
		},
	}
	fl := cmd.Flags()
	f.connect.bind(fl)
	for _, name := range []string{"host", "keep", "parallel"} {
		if err := fl.MarkHidden(name); err != nil {
			panic(err) // bind has just made them
		}
	}
	fl.BoolVar(&f.stop, "stop", false, "end the run after the step under way")
	fl.BoolVar(&f.json, "json", false, "one JSON record a line on standard output, everything else on standard error")
	fl.BoolVar(&f.diff, "diff", false, "show the differences of contents line by line")
	fl.CountVarP(&f.verbose, "verbose", "v", "also show what was well already, what only looked, and positions; -vv: every op")
	fl.DurationVar(&f.recon, "reconnect", 2*time.Minute, "for how much `TIME` to try again when the connection is lost")
	completeConnection(cmd)
	return cmd
}

func (e *env) attach(ctx context.Context, f attachFlags, host, run string) error {
	switch {
	case len(f.connect.hosts) > 0:
		return usage("attach: the host is an argument, not -H")
	case f.recon < 0:
		return usage("--reconnect %s: want a time from now", f.recon)
	case host == "@local" || host == "@sandbox":
		return usage("attach %s: only runs beside a host behind SSH go on by themselves", host)
	}
	if err := f.connect.check([]string{host}); err != nil {
		return err
	}
	if strings.HasPrefix(host, "@") {
		return usage("attach %s: want one host; a group has many", host)
	}
	var err error
	if f.connect.repo, err = repositoryHere(); err != nil {
		return err
	}
	if _, err := f.connect.resolve([]string{host}); err != nil {
		return err
	}
	store, err := e.store()
	if err != nil {
		return err
	}
	prompt := e.prompter()
	stop := e.interruptible(ctx, func() {})
	defer stop.close()
	conn, err := e.reach(stop.soft, host, f.connect.options(prompt, &ssh.Shared{}), &f.connect)
	if err != nil {
		return e.notReached(stop.soft, err)
	}
	defer conn.close()
	var show journal.Sink
	finish := func() error { return nil }
	screen := &screen{stderr: e.Stderr}
	if f.json {
		show = report.NewJSON(e.Stdout, report.JSONOptions{Verbose: f.verbose > 0})
	} else {
		t := report.NewTerminal(e.Stdout, report.TerminalOptions{Color: e.color(e.Stdout), Verbosity: f.verbose, Diff: f.diff, Hosts: []string{host}, Live: report.IsTerminal(e.Stdout)})
		show, finish, screen.lines = t, t.Recap, t
		if prompt != nil {
			prompt.aside = t.Aside
		}
	}
	copied, sum := &copied{store: store}, &report.Summary{}
	defer copied.close()
	refuse := transport.HostFunc(func(_ context.Context, op transport.Op) (transport.Result, error) {
		return nil, &transport.Error{Kind: transport.Unsupported, Message: op.Kind() + ": the controller that follows the run has not begun it, and does not know its bundle",
			Hint: "run the bundle again: what is done already is not done twice"}
	})
	_, err = beside.Attach(stop.soft, host, run, f.stop, beside.Options{
		Far: far{conn.far}, Binaries: e.binaries(), Root: conn.info.Acting == "root", Version: e.Version, Prelude: builtins.PreludeDigest(),
		Controller: refuse, Sinks: []journal.Sink{copied, sum, show}, Now: e.Now, Reconnect: f.recon,
		Deliver: func(string, transport.Content) error {
			return &transport.Error{Kind: transport.Unsupported, Message: "the controller that follows the run does not know where its files go"}
		},
		Notice: func(text string) { screen.notice(host, text) }, Upload: screen.upload(host),
	})
	if beside.Left(err) {
		screen.aside(func() {
			fmt.Fprintf(e.Stderr, "\nthe run goes on on %s; `fabgo attach %s` follows it again\n", report.Escape(host), report.Escape(host))
		})
		return done(exitInterrupted)
	}
	if err != nil {
		return e.notReached(stop.soft, err)
	}
	if err := finish(); err != nil {
		return err
	}
	return done((&rollout{sum: sum}).code())
}

// notReached is the exit of a command that could not reach its host.
func (e *env) notReached(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return done(exitInterrupted)
	}
	if _, ok := errors.AsType[*beside.Unable](err); ok {
		return &exit{code: exitFailed, err: err}
	}
	switch transport.KindOf(err) {
	case transport.Unreachable, transport.Auth, transport.HostKey, transport.Lost:
		return &exit{code: exitUnreachable, err: err}
	}
	return &exit{code: exitFailed, err: err}
}

// copied is the journal of a run that another process began: kept under its ID, as soon as the first record tells that.
type copied struct {
	store journal.Store
	w     *journal.Writer
}

// Record implements journal.Sink.
func (c *copied) Record(r journal.Record) error {
	if s, ok := r.Body.(journal.Start); ok && c.w == nil {
		run, err := c.store.Make(s.Run)
		if err != nil {
			return err
		}
		if c.w, err = run.Rewriter(r.Host); err != nil {
			return err
		}
	}
	if c.w == nil {
		return errors.New("the journal of the run has no beginning")
	}
	return c.w.Record(r)
}

// Keep implements journal.Sink.
func (c *copied) Keep(content transport.Content) error {
	if c.w == nil { // it comes behind the first record
		return nil
	}
	return c.w.Keep(content)
}

// Sync implements journal.Sink.
func (c *copied) Sync() error {
	if c.w == nil {
		return nil
	}
	return c.w.Sync()
}

func (c *copied) close() {
	if c.w != nil {
		c.w.Close()
	}
}
