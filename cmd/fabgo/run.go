package main

import (
	"time"

	"github.com/spf13/cobra"

	"fabgo/internal/journal"
)

// runFlags are those of run and plan.
type runFlags struct {
	connect  connectFlags
	set      []string
	check    bool
	detailed bool
	json     bool
	diff     bool
	verbose  int
	quiet    bool
	timeout  time.Duration
	where    string // --evaluate
	wait     time.Duration
	recon    time.Duration
	onLoss   string
}

func (e *env) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run BUNDLE [TASK [NAME=VALUE...]...]",
		Short: "Make hosts as a bundle wants them",
		Long: `Run evaluates a bundle against its hosts and makes them so. Without a task it calls bootstrap_all,
else main; with neither, the top level of the bundle is all there is. Several tasks run in their
order; NAME=VALUE after a task are its arguments.

Without -H the hosts are those that inventory.yaml gives to the bundle, else the one that it is
named after: web1.star is for web1.

The bundle is evaluated beside the host, by a helper that the first run brings there; where none
can run, it is evaluated here. Beside the host the run goes on when the connection is lost: fabgo
attach follows it. While it works, no other run does.

Ctrl-C lets the step under way end and begins no other; a second one cuts it off. --timeout cuts a
host off that takes longer: it counts as failed, or as unreachable while it was being connected
to, and the others go on.`,
		Example: "  fabgo run web1.star\n  fabgo run web1.star bootstrap_app port=8000 -H deploy@10.0.0.5 --sudo",
		Args:    takes(1, -1, "a bundle, such as web1.star"),
		RunE: func(cmd *cobra.Command, args []string) error {
			mode := journal.Running
			if f.check {
				mode = journal.Planning
			}
			return e.rollOut(cmd.Context(), mode, f, args)
		},
	}
	f.bind(e, cmd)
	cmd.Flags().DurationVar(&f.wait, "wait", 0, "how much `TIME` to wait while another run works on the host (default: none, which is exit code 6)")
	cmd.Flags().DurationVar(&f.recon, "reconnect", 2*time.Minute, "for how much `TIME` to try again when the connection is lost")
	cmd.Flags().StringVar(&f.onLoss, "on-lost-connection", "continue", "what the run does `THEN`: continue, or stop after the step under way")
	cmd.Flags().BoolVarP(&f.check, "check", "C", false, "only plan: the same as fabgo plan")
	return cmd
}

func (e *env) planCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:     "plan BUNDLE [TASK [NAME=VALUE...]...]",
		Short:   "Show what a run would change; touches nothing",
		Long:    "Plan runs the same bundle against an overlay of the host: each step sees what earlier steps would\nhave done. What cannot be known before the run is said to be unknown, with its cause. Nothing on\nthe host is changed.",
		Example: "  fabgo plan web1.star --diff",
		Args:    takes(1, -1, "a bundle, such as web1.star"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.rollOut(cmd.Context(), journal.Planning, f, args)
		},
	}
	f.bind(e, cmd)
	return cmd
}

func (f *runFlags) bind(e *env, cmd *cobra.Command) {
	fl := cmd.Flags()
	f.connect.bind(fl)
	fl.StringArrayVarP(&f.set, "set", "e", nil, "set a variable: `NAME=VALUE`, or @FILE (YAML, TOML or JSON); may be given several times")
	fl.BoolVar(&f.detailed, "detailed-exitcode", false, "exit with 5 when a plan has changes to make")
	fl.BoolVar(&f.json, "json", false, "one JSON record a line on standard output, everything else on standard error")
	fl.BoolVar(&f.diff, "diff", false, "show the differences of contents line by line")
	fl.CountVarP(&f.verbose, "verbose", "v", "also show what was well already, what only looked, and positions; -vv: every op")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "show failures only")
	fl.DurationVar(&f.timeout, "timeout", 0, "`TIME` limit for all of one host, such as 30m: what is under way then is cut off, and the host has failed (default: none)")
	fl.StringVar(&f.where, "evaluate", "auto", "`WHERE` the bundle is evaluated: target (beside the host), controller (here, with every question over SSH), or auto: target where a helper can run")
	cmd.ValidArgsFunction = e.completeRun
	completeConnection(cmd)
	_ = cmd.RegisterFlagCompletionFunc("set", e.completeSet)
}

// verify finds what is wrong with the flags by themselves.
func (f *runFlags) verify(mode journal.Mode) error {
	switch {
	case f.detailed && mode != journal.Planning:
		return usage("--detailed-exitcode is for plans: fabgo plan, or --check")
	case f.quiet && f.verbose > 0:
		return usage("-q and -v contradict each other")
	case f.timeout < 0:
		return usage("--timeout %s: want a time from now", f.timeout)
	case f.where != "auto" && f.where != "target" && f.where != "controller":
		return usage("--evaluate=%s: want auto, target or controller", f.where)
	case f.onLoss != "" && f.onLoss != "continue" && f.onLoss != "stop":
		return usage("--on-lost-connection=%s: want continue or stop", f.onLoss)
	case f.wait < 0:
		return usage("--wait %s: want a time from now", f.wait)
	case f.recon < 0:
		return usage("--reconnect %s: want a time from now", f.recon)
	}
	return nil
}
