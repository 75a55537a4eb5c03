package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (e *env) checkCommand() *cobra.Command {
	var set []string
	var hosts []string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "check BUNDLE...",
		Short: "Find mistakes in bundles without a host",
		Long: `Check parses bundles and all they load, resolves every name, compares calls with the signatures of
the builtins, and finds variables and secrets that are not there. It runs nothing and needs no host.`,
		Args: takes(1, -1, "a bundle, such as web1.star"),
		RunE: func(_ *cobra.Command, args []string) error {
			bad := 0
			for _, path := range args {
				o, err := e.checkOne(path, hosts, set)
				if err != nil {
					bad++
					e.tell(err)
				} else if verbose {
					e.tellOverrides(o)
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
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "also say which files of libraries are replaced by those in override")
	completeConnection(cmd)
	return cmd
}

func (e *env) checkOne(path string, hosts, set []string) (*opened, error) {
	o, err := e.read(path)
	if err != nil {
		return nil, err
	}
	repo, err := o.repository()
	if err != nil {
		return nil, err
	}
	if hosts, err = repo.choose(hosts); err != nil {
		return nil, err
	}
	if len(hosts) == 0 {
		hosts = repo.targets(o)
	} else if hosts, err = (&connectFlags{repo: repo}).resolve(hosts); err != nil {
		return nil, err
	}
	if _, err := o.variables(repo, hosts, set); err != nil {
		return nil, err
	}
	if err := o.lookUp(e.vault(o.bundle.Root(), nil).Has); err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(e.Stdout, "%s: ok\n", path)
	return o, err
}
