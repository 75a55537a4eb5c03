package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"fabgo/internal/helper"
	"fabgo/internal/report"
	"fabgo/internal/sandbox"
)

// main runs the command line and returns the exit code.
func (e *env) main() int {
	if len(e.Args) > 0 && e.Args[0] == sandbox.Command {
		if err := sandbox.Child(e.Args[1:]); err != nil {
			fmt.Fprintln(e.Stderr, "fabgo:", err)
			return exitFailed
		}
		return exitOK
	}
	if len(e.Args) > 0 && e.Args[0] == helper.Command {
		return e.help()
	}
	cmd := e.root()
	cmd.SetArgs(e.Args)
	cmd.SetIn(e.Stdin)
	cmd.SetOut(e.Stdout)
	cmd.SetErr(e.Stderr)
	err := e.guard(func() error { return cmd.ExecuteContext(context.Background()) })
	if err == nil {
		return exitOK
	}
	x, ok := errors.AsType[*exit](err)
	switch {
	case ok:
	case errors.Is(err, report.ErrClosed):
		x = &exit{code: exitInterrupted, silent: true}
	default:
		x = &exit{code: exitFailed, err: err}
	}
	if !x.silent {
		e.tell(err)
		if x.code == exitUsage {
			fmt.Fprintf(e.Stderr, "Try: %s --help\n", commandPath(cmd, e.Args))
		}
	}
	return x.code
}

// help is the life of fabgo as a helper: at the far end of a connection, or as the process that evaluates.
func (e *env) help() int {
	in, inOK := e.Stdin.(io.ReadCloser)
	out, outOK := e.Stdout.(io.WriteCloser)
	if !inOK || !outOK {
		return exitBug
	}
	err := e.guard(func() error {
		return helper.Main(helper.Env{Stdin: in, Stdout: out, Getenv: e.Getenv, Version: e.Version}, e.Args[1:])
	})
	if err != nil {
		fmt.Fprintln(e.Stderr, "fabgo helper:", err)
		return exitFailed
	}
	return exitOK
}

func commandPath(root *cobra.Command, args []string) string {
	c, _, err := root.Find(args)
	if err != nil {
		return root.CommandPath()
	}
	return c.CommandPath()
}

func (e *env) root() *cobra.Command {
	var version bool
	cmd := &cobra.Command{
		Use:   "fabgo",
		Short: "Deploy and maintain servers with Starlark bundles over SSH",
		Long: `fabgo keeps the configuration of servers as code: a bundle (web1.star) is a Starlark script
that, run against its server, makes it fully operational; run again, it changes nothing.

    fabgo plan web1.star                    what would change, touching nothing
    fabgo run  web1.star                    make it so
    fabgo run  web1.star bootstrap_base     one task of the bundle
    fabgo doc file.put                      how a builtin is used

` + exitHelp,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				return e.printVersion()
			}
			return cmd.Help()
		},

		DisableFlagsInUseLine: true,
		SilenceUsage:          true,
		SilenceErrors:         true,
	}
	// Not cobra's own: its template for that keeps the linker from leaving unused methods out, a tenth of what is uploaded to hosts.
	cmd.Flags().BoolVar(&version, "version", false, "print the version")
	cmd.SetFlagErrorFunc(flagError)
	cmd.SetUsageFunc(printUsage)
	cmd.AddCommand(
		e.runCommand(), e.planCommand(), e.tasksCommand(), e.checkCommand(), e.explainCommand(), e.hostsCommand(), e.docCommand(), e.execCommand(),
		e.attachCommand(), e.replayCommand(), e.runsCommand(), e.secretCommand(), e.initCommand(), e.newCommand(), e.versionCommand(), e.sandboxCommand(), e.modCommand(),
	)
	return cmd
}
