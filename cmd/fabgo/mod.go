package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"fabgo/internal/module"
	"fabgo/internal/report"
	"fabgo/interp"
)

// repository opens the one that a bundle is of, or any other file.
func (e *env) repository(path string) (*module.Repository, error) {
	root, err := interp.RootOfBundle(path)
	if err != nil {
		return nil, err
	}
	o := module.Options{Root: root, Display: root, Environ: e.Environ}
	if cwd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(cwd, root); err == nil && len(rel) < len(root) {
			o.Display = rel
		}
	}
	if dir := e.cache(); dir != "" {
		o.Cache = filepath.Join(dir, "module")
	}
	r, err := module.Open(o)
	if err != nil {
		return nil, invalid(err)
	}
	return r, nil
}

// used lets bundles load the modules of a repository.
func used(r *module.Repository) func(from, name string) (fs.FS, error) {
	return func(from, name string) (fs.FS, error) { return r.Use(context.Background(), from, name) }
}

// moduleFile reads a file by the name that a load in the current folder would use.
func (e *env) moduleFile(name string) ([]byte, error) {
	lib, file, ok := strings.Cut(strings.TrimPrefix(name, "@"), "//")
	if !ok {
		return nil, fmt.Errorf(`%q: the name of a library's file is "@library//file.star"`, name)
	}
	r, err := e.repository(modFile)
	if err != nil {
		return nil, err
	}
	fsys, err := r.Use(context.Background(), "", lib)
	if err != nil {
		return nil, err
	}
	return fs.ReadFile(fsys, file)
}

// modFile is a name in the current folder, whose repository is meant.
const modFile = module.ModName

func (e *env) modCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mod",
		Short: "Share libraries between repositories: fab.mod and fab.lock",
		Long: `Mod keeps fab.mod, which names the modules that a repository requires (git repositories at
tagged versions), and fab.lock, which holds the commit and the hash of each. A bundle loads what
they offer by load("@acme//nginx.star", "site"). git fetches, with your credentials for it.`,
		Example: "  fabgo mod init\n  fabgo mod add acme https://git.example.org/acme.git\n  fabgo mod update\n  fabgo mod verify",
		Args:    takes(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(e.modInit(), e.modAdd(), e.modUpdate(), e.modTidy(), e.modVendor(), e.modVerify(), e.modWhy(), e.modGraph(), e.modDownload())
	return cmd
}

// modRun makes a command over the repository of the current folder.
func (e *env) modRun(f func(ctx context.Context, r *module.Repository, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		r, err := e.repository(modFile)
		if err != nil {
			return err
		}
		if err := f(cmd.Context(), r, args); err != nil {
			return invalid(err)
		}
		return nil
	}
}

// say writes a line about modules, whose names and versions come from others.
func (e *env) say(format string, args ...any) error {
	_, err := fmt.Fprintf(e.Stdout, "%s\n", report.Escape(fmt.Sprintf(format, args...)))
	return err
}

func (e *env) modInit() *cobra.Command {
	return &cobra.Command{
		Use:   "init [NAME]",
		Short: "Make fab.mod in this folder",
		Args:  takes(0, 1, "one name"),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := os.Getwd()
			if err != nil {
				return err
			}
			name, err := module.Init(dir, strings.Join(args, ""))
			if err != nil {
				return invalid(err)
			}
			return e.say("%s: module %s", module.ModName, name)
		},
	}
}

func (e *env) modAdd() *cobra.Command {
	return &cobra.Command{
		Use:   "add NAME SOURCE [VERSION]",
		Short: "Require a module, at its latest version or the one named",
		Args:  takes(2, 3, "a name, a source such as https://git.example.org/acme.git, and perhaps a version"),
		RunE: e.modRun(func(ctx context.Context, r *module.Repository, args []string) error {
			version, err := r.Add(ctx, args[0], args[1], strings.Join(args[2:], ""))
			if err != nil {
				return err
			}
			return e.say("%s %s", args[0], version)
		}),
	}
}

func (e *env) modUpdate() *cobra.Command {
	return &cobra.Command{
		Use:   "update [NAME[@VERSION]]...",
		Short: "Raise modules to their latest version of the same major version",
		Args:  takes(0, -1, "names of modules"),
		RunE: e.modRun(func(ctx context.Context, r *module.Repository, args []string) error {
			return r.Update(ctx, args, func(name, from, to string) { _ = e.say("%s %s -> %s", name, from, to) })
		}),
	}
}

func (e *env) modTidy() *cobra.Command {
	return &cobra.Command{
		Use:   "tidy",
		Short: "Drop modules that nothing loads, and write fab.lock",
		Args:  takes(0, 0, ""),
		RunE: e.modRun(func(ctx context.Context, r *module.Repository, _ []string) error {
			dropped, err := r.Tidy(ctx)
			for _, name := range dropped {
				_ = e.say("%s: no file loads it: dropped", name)
			}
			return err
		}),
	}
}

func (e *env) modVendor() *cobra.Command {
	return &cobra.Command{
		Use:   "vendor",
		Short: "Copy all modules to vendor/, where they are used from then on",
		Args:  takes(0, 0, ""),
		RunE: e.modRun(func(ctx context.Context, r *module.Repository, _ []string) error {
			lock, err := r.MakeVendor(ctx)
			if err != nil {
				return err
			}
			return e.say("%d modules are in %s", len(lock), module.Vendor)
		}),
	}
}

func (e *env) modVerify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Compare fab.lock with the sources, the cache and vendor/",
		Args:  takes(0, 0, ""),
		RunE: e.modRun(func(ctx context.Context, r *module.Repository, _ []string) error {
			n, err := r.Verify(ctx)
			if err != nil {
				return err
			}
			return e.say("%d modules are as %s says", n, module.LockName)
		}),
	}
}

func (e *env) modDownload() *cobra.Command {
	return &cobra.Command{
		Use:   "download",
		Short: "Bring all modules of fab.lock into the cache, to work offline",
		Args:  takes(0, 0, ""),
		RunE: e.modRun(func(ctx context.Context, r *module.Repository, _ []string) error {
			lock, err := r.Download(ctx)
			if err != nil {
				return err
			}
			return e.say("%d modules are in the cache", len(lock))
		}),
	}
}

func (e *env) modWhy() *cobra.Command {
	return &cobra.Command{
		Use:   "why NAME",
		Short: "Say through which modules a module is required",
		Args:  takes(1, 1, "the name of a module"),
		RunE: e.modRun(func(ctx context.Context, r *module.Repository, args []string) error {
			chain, err := r.Why(ctx, args[0])
			if err != nil {
				return err
			}
			if chain == nil {
				return fmt.Errorf("nothing requires %s: fabgo mod graph shows what is required", args[0])
			}
			return e.edges(chain)
		}),
	}
}

func (e *env) modGraph() *cobra.Command {
	return &cobra.Command{
		Use:   "graph",
		Short: "Print who requires what",
		Args:  takes(0, 0, ""),
		RunE: e.modRun(func(ctx context.Context, r *module.Repository, _ []string) error {
			edges, err := r.Graph(ctx)
			if err != nil {
				return err
			}
			return e.edges(edges)
		}),
	}
}

// edges prints one requirement a line. The repository itself is a dot.
func (e *env) edges(edges []module.Edge) error {
	for _, x := range edges {
		from := strings.TrimSpace(x.From + " " + x.FromVersion)
		if x.From == "" {
			from = "."
		}
		if err := e.say("%s requires %s %s", from, x.Name, x.Version); err != nil {
			return err
		}
	}
	return nil
}
