package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"fabgo/internal/inventory"
	"fabgo/internal/report"
	"fabgo/internal/scaffold"
)

func (e *env) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init [DIR]",
		Short: "Begin a repository of bundles",
		Long: `Init writes the files with which a repository of bundles begins into DIR, by default the working
folder: an inventory, a bundle and what it needs, folders for files, templates, variables, libraries
and secrets, and an example for CI. It works as it stands. Nothing that is there is overwritten.`,
		Example: "  fabgo init servers",
		Args:    takes(0, 1, "a folder"),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			files, err := scaffold.Repository()
			if err != nil {
				return err
			}
			if err := scaffold.Write(dir, files); err != nil {
				return invalid(fmt.Errorf("begin a repository in %s: %w", dir, err))
			}
			for _, f := range files {
				fmt.Fprintln(e.Stdout, report.Escape(filepath.Join(dir, filepath.FromSlash(f.Name))))
			}
			_, err = fmt.Fprintf(e.Stderr, "Next: fabgo plan %s -H @local\n", report.Escape(filepath.Join(dir, "bundles", "web1.star")))
			return err
		},
	}
}

func (e *env) newCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Begin a file of the repository",
		Args:  takes(0, 0, ""),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		ValidArgsFunction: completeHosts,

		Use:   "bundle NAME",
		Short: "Begin a bundle",
		Long: `Bundle writes NAME.star into the folder bundles of the repository that you are in, or into its root
where there is no such folder. NAME is that of the host it is for. Nothing that is there is
overwritten.`,
		Example: "  fabgo new bundle web2",
		Args:    takes(1, 1, "the name of a bundle, such as web2"),
		RunE:    func(_ *cobra.Command, args []string) error { return e.newBundle(args[0]) },
	})
	return cmd
}

func (e *env) newBundle(name string) error {
	repo, err := repositoryHere()
	if err != nil {
		return err
	}
	if !repo.marked {
		return invalid(fmt.Errorf("begin the bundle %s: this is no repository of bundles (no .git, fab.mod or .fabgo here or above); fabgo init begins one", name))
	}
	folder := ""
	if st, err := os.Stat(filepath.Join(repo.root, "bundles")); err == nil && st.IsDir() {
		folder = "bundles"
	}
	f, err := scaffold.Bundle(folder, name)
	if err != nil {
		return usage("%w", err)
	}
	if err := scaffold.Write(repo.root, []scaffold.File{f}); err != nil {
		return invalid(fmt.Errorf("begin the bundle %s: %w", name, err))
	}
	path := filepath.Join(repo.shown, filepath.FromSlash(f.Name))
	host := strings.TrimSuffix(filepath.Base(path), ".star")
	if _, known := repo.hosts.Host(host); !known && repo.hosts.Path != "" {
		fmt.Fprintf(e.Stderr, "%s does not know the host %s yet; below hosts:\n  %s: {address: %s, bundle: %s}\n", report.Escape(filepath.Join(repo.shown, inventory.File)), host, host, host, f.Name)
	}
	_, err = fmt.Fprintln(e.Stdout, report.Escape(path))
	return err
}
