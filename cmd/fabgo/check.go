package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (e *env) checkCommand() *cobra.Command {
	var set []string
	var hosts []string
	cmd := &cobra.Command{
		Use:   "check BUNDLE...",
		Short: "Find mistakes in bundles without a host",
		Long: `Check parses bundles and all they load, resolves every name, compares calls with the signatures of
the builtins, and finds variables that are not set. It runs nothing and needs no host.`,
		Args: takes(1, -1, "a bundle, such as web1.star"),
		RunE: func(_ *cobra.Command, args []string) error {
			bad := 0
			for _, path := range args {
				if err := e.checkOne(path, hosts, set); err != nil {
					bad++
					e.tell(err)
				}
			}
			if bad > 0 {
				return done(exitInvalid)
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVarP(&set, "set", "e", nil, "set a variable: `NAME=VALUE`, or @FILE")
	cmd.Flags().StringArrayVarP(&hosts, "host", "H", nil, "check the variables for this host or @GROUP (default: those that the bundle is for)")
	return cmd
}

func (e *env) checkOne(path string, hosts, set []string) error {
	o, err := e.read(path)
	if err != nil {
		return err
	}
	repo, err := o.repository()
	if err != nil {
		return err
	}
	if hosts, err = repo.choose(hosts); err != nil {
		return err
	}
	if len(hosts) == 0 {
		hosts = repo.targets(o)
	} else if hosts, err = (&connectFlags{repo: repo}).resolve(hosts); err != nil {
		return err
	}
	if _, err := o.variables(repo, hosts, set); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.Stdout, "%s: ok\n", path)
	return err
}
