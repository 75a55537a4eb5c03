package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"fabgo/internal/journal"
	"fabgo/internal/report"
)

func (e *env) store() (journal.Store, error) {
	dir, err := e.state()
	return journal.Store{Dir: filepath.Join(dir, "runs")}, err
}

func (e *env) runsCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "runs",
		Short: "List past runs and plans; show one",
		Args:  takes(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			store, err := e.store()
			if err != nil {
				return err
			}
			runs, err := store.Runs()
			if err != nil {
				return invalid(err)
			}
			var past []report.Past
			for i, r := range runs {
				if limit > 0 && i == limit {
					break
				}
				past = append(past, report.History(r))
			}
			if len(past) == 0 {
				_, err := fmt.Fprintf(e.Stderr, "no run is recorded in %s\n", store.Dir)
				return err
			}
			return report.RunTable(e.Stdout, report.TableOptions{Color: e.color(e.Stdout), Now: e.Now()}, past...)
		},
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", 20, "how many of the latest: `N`; 0 is all")
	cmd.AddCommand(e.runsShowCommand())
	return cmd
}

// pastRun finds a run of the history and the hosts that it was for.
func (e *env) pastRun(name string) (*journal.Run, []string, error) {
	store, err := e.store()
	if err != nil {
		return nil, nil, err
	}
	run, err := store.Find(name)
	if err != nil {
		return nil, nil, invalid(err)
	}
	hosts, err := run.Hosts()
	if err != nil {
		return nil, nil, invalid(err)
	}
	return run, hosts, nil
}

func (e *env) runsShowCommand() *cobra.Command {
	var verbose int
	var asJSON, diff bool
	cmd := &cobra.Command{
		ValidArgsFunction: e.completeRuns,

		Use:   "show RUN",
		Short: "Show a past run again; RUN is its ID, the beginning of it, or last",
		Args:  takes(1, 1, "a run: its ID, the beginning of it, or last"),
		RunE: func(_ *cobra.Command, args []string) error {
			run, hosts, err := e.pastRun(args[0])
			if err != nil {
				return err
			}
			var all [][]journal.Record
			for _, h := range hosts {
				recs, err := run.Read(h)
				if err != nil {
					return invalid(err)
				}
				all = append(all, recs)
			}
			if asJSON {
				return report.Play(report.NewJSON(e.Stdout, report.JSONOptions{Verbose: verbose > 0}), all...)
			}
			t := report.NewTerminal(e.Stdout, report.TerminalOptions{Color: e.color(e.Stdout), Verbosity: verbose, Diff: diff, Hosts: hosts})
			if err := report.Play(t, all...); err != nil {
				return err
			}
			if err := t.Recap(); err != nil {
				return err
			}
			if past := report.History(run); past.Attach != "" {
				fmt.Fprintf(e.Stderr, "the run may have gone on there: `fabgo attach %s %s` tells how it ended\n", report.Escape(past.Attach), run.ID)
			}
			return nil
		},
	}
	cmd.Flags().CountVarP(&verbose, "verbose", "v", "also show what was well already and what only looked; -vv: every op")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON record a line")
	cmd.Flags().BoolVar(&diff, "diff", false, "show the differences of contents line by line")
	return cmd
}
