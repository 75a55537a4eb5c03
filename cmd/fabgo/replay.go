package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"fabgo/builtins"
	"fabgo/bundles"
	"fabgo/internal/converge"
	"fabgo/internal/journal"
	"fabgo/internal/report"
	"fabgo/interp"
	"fabgo/transport"
)

func (e *env) replayCommand() *cobra.Command {
	var recorded bool
	var bundle string
	cmd := &cobra.Command{
		ValidArgsFunction: e.completeRuns,

		Use:   "replay RUN",
		Short: "Evaluate a past run again from its journal, with no host",
		Long: `Replay evaluates the bundle of a past run or plan again. The journal answers instead of the host,
so nothing is touched. RUN is the run's ID, the beginning of it, or last.

When the bundle was edited since, replay names the first point at which it departs from the
journal.`,
		Args: takes(1, 1, "a run: its ID, the beginning of it, or last"),
		RunE: func(cmd *cobra.Command, args []string) error {
			run, hosts, err := e.pastRun(args[0])
			if err != nil {
				return err
			}
			code := exitOK
			for _, h := range hosts {
				same, err := e.replay(cmd.Context(), run, h, bundle, recorded)
				if err != nil {
					return err
				}
				if !same {
					code = exitFailed
				}
			}
			return done(code)
		},
	}
	cmd.Flags().BoolVar(&recorded, "recorded", false, "evaluate the bundle as it was recorded, not as it is now")
	cmd.Flags().StringVar(&bundle, "bundle", "", "evaluate this `FILE` instead of the bundle of the run")
	return cmd
}

// replay evaluates one host of a run again and tells how that compares.
func (e *env) replay(ctx context.Context, run *journal.Run, host, bundle string, recorded bool) (same bool, err error) {
	recs, err := run.Read(host)
	if err != nil {
		return false, invalid(err)
	}
	then, ok := journal.StartOf(recs)
	if !ok {
		return false, invalid(fmt.Errorf("replay %s: the journal of %s has no beginning", run.ID, host))
	}
	if then.Address == "" {
		fmt.Fprintf(e.Stdout, "%s: was not reached, so there is nothing to replay\n", report.Escape(host))
		return true, nil
	}
	o, err := e.again(run, then, bundle, recorded)
	if err != nil {
		return false, err
	}
	for _, d := range []struct{ name, then, now string }{
		{"fabgo", then.Fabgo, e.Version},
		{"the prelude", then.Digests["prelude"], builtins.PreludeDigest()},
		{"the bundle", then.Digests["closure"], o.bundle.Digest()},
	} {
		if d.then != d.now {
			fmt.Fprintf(e.Stderr, "%s: %s is not the one of the run (then %s, now %s)\n", report.Escape(host), d.name, short(d.then), short(d.now))
		}
	}
	vars, err := builtins.DecodeVars(then.Vars)
	if err != nil {
		return false, invalid(err)
	}
	from := journal.NewReplay(recs, run.Blob)
	info := converge.Info{Name: host, Address: then.Address, User: then.Login, Acting: then.User}
	verdict, perr := e.playAgain(o, then, info, vars, from).Run(ctx)
	if d := from.Divergence(); d != nil && cutShort(d) {
		fmt.Fprintf(e.Stdout, "%s: the same up to where the run was interrupted\n", report.Escape(host))
		return true, nil
	} else if d != nil {
		e.diverged(host, d)
		return false, nil
	}
	if perr != nil {
		return false, perr
	}
	fmt.Fprintf(e.Stdout, "%s: %s again, with the same %d records\n", report.Escape(host), verdict, len(recs))
	return true, nil
}

// again opens the bundle of a past run, with its tasks.
func (e *env) again(run *journal.Run, then journal.Start, bundle string, recorded bool) (*opened, error) {
	path := then.Bundle
	if cwd, err := os.Getwd(); err == nil { // so that positions look as they do in the run
		if rel, err := filepath.Rel(cwd, path); err == nil && filepath.IsLocal(rel) {
			path = rel
		}
	}
	if bundle != "" {
		path = bundle
	}
	var words []string
	for _, t := range then.Tasks {
		words = append(append(words, t.Name), t.Args...)
	}
	if !recorded {
		if _, err := os.Stat(path); err == nil {
			o, err := e.read(path)
			if err != nil {
				return nil, err
			}
			if o.tasks, err = o.bundle.ParseTasks(words); err != nil {
				return nil, invalid(fmt.Errorf("%s is not as it was: %w", path, err))
			}
			return o, nil
		} else if !errors.Is(err, fs.ErrNotExist) || bundle != "" {
			return nil, invalid(err)
		}
		fmt.Fprintf(e.Stderr, "%s is not there any more: replaying the recorded bundle\n", report.Escape(path))
	}
	b, err := run.Load("closure.json")
	if err != nil {
		return nil, invalid(fmt.Errorf("read the recorded bundle: %w", err))
	}
	var c interp.Closure
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, invalid(fmt.Errorf("read the recorded bundle: %w", err))
	}
	in, err := builtins.Interp(interp.Options{Fab: bundles.Fab()})
	if err != nil {
		return nil, err
	}
	o := &opened{path: path, in: in}
	if o.bundle, err = in.OpenClosure(c); err != nil {
		return nil, invalid(err)
	}
	o.tasks, err = o.bundle.ParseTasks(words)
	if err != nil {
		return nil, invalid(err)
	}
	return o, nil
}

// cutShort reports whether a replay went on where the run did not: not a difference in what the bundle does.
func cutShort(d *journal.Divergence) bool {
	if d.Then == nil {
		return true // the journal ends in the middle: the process was killed
	}
	switch b := d.Then.Body.(type) {
	case journal.Finish:
		return b.Status == journal.Interrupted || b.Error != nil && b.Error.Kind == transport.Timeout
	case journal.Outcome:
		return b.Error != nil && b.Error.Kind == transport.Interrupted
	case journal.End:
		return b.Error != nil && b.Error.Kind == transport.Interrupted
	}
	return false
}

func (e *env) diverged(host string, d *journal.Divergence) {
	fmt.Fprintf(e.Stdout, "%s: the bundle departs from the journal\n  then: %s\n  now:  %s\n", report.Escape(host), report.Escape(d.ThenText()), report.Escape(d.NowText()))
}

func short(digest string) string {
	if len(digest) > 19 {
		return digest[:19]
	}
	return digest
}
