package main

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"fabgo/interp"
)

// completeRun offers bundles first, then their tasks, then the arguments of the task before.
func (e *env) completeRun(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return []string{"star"}, cobra.ShellCompDirectiveFilterFileExt
	}
	o, err := e.read(args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	last := ""
	for _, w := range args[1:] {
		if !strings.Contains(w, "=") {
			last = w
		}
	}
	for _, t := range o.bundle.Tasks() {
		if t.Name == last {
			for _, p := range t.Params {
				if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, p.Name+"=") }) {
					out = append(out, p.Name+"=\t"+p.Doc)
				}
			}
		}
		out = append(out, t.Name+"\t"+t.Summary)
	}
	return slices.DeleteFunc(out, func(s string) bool { return !strings.HasPrefix(s, word) }), cobra.ShellCompDirectiveNoFileComp
}

// completeRuns offers the names of past runs, the latest first.
func (e *env) completeRuns(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	store, err := e.store()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	runs, _ := store.Runs()
	out := []string{"last"}
	for _, r := range runs {
		out = append(out, r.ID)
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// completeConnection offers the values of connection flags that have few, and the hosts that are known.
func completeConnection(cmd *cobra.Command) {
	_ = cmd.RegisterFlagCompletionFunc("host-keys", cobra.FixedCompletions([]string{"ask", "yes", "accept-new"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("host", func(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		return beginning(append(hostWords(args), "@local", "@sandbox"), word), cobra.ShellCompDirectiveNoFileComp
	})
}

// completeHosts offers the hosts and the groups of the inventory.
func completeHosts(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	return beginning(hostWords(nil), word), cobra.ShellCompDirectiveNoFileComp
}

// hostWords are the hosts and groups of the inventory that lies around the bundle among the words, else around the working folder.
func hostWords(args []string) []string {
	repo, err := repositoryHere()
	for _, a := range args {
		if abs, aerr := filepath.Abs(a); aerr == nil && strings.HasSuffix(a, ".star") {
			if root := interp.Root(filepath.Dir(abs)); root != "" {
				repo, err = newRepository(root, true)
			}
			break
		}
	}
	if err != nil || repo.hosts.Path == "" {
		return nil
	}
	return append(repo.hosts.Names(), repo.groups()...)
}

// completeSet offers the variables that the bundle asks for.
func (e *env) completeSet(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var out []string
	for _, name := range e.variableNames(args[0]) {
		out = append(out, name+"=")
	}
	return beginning(out, word), cobra.ShellCompDirectiveNoSpace
}

// variableNames are the variables that a bundle asks for.
func (e *env) variableNames(bundle string) (names []string) {
	o, err := e.read(bundle)
	if err != nil {
		return nil
	}
	for _, c := range o.bundle.Calls("var") {
		if c.Name != "" && !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// completeExplain offers variables that are set for a host of -H or that its bundle asks for, then bundles.
func (e *env) completeExplain(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return []string{"star"}, cobra.ShellCompDirectiveFilterFileExt
	}
	repo, err := repositoryHere()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	words, _ := cmd.Flags().GetStringArray("host")
	hosts, err := repo.choose(words)
	if err != nil || len(hosts) == 0 {
		hosts = repo.hosts.Names()
	}
	var names []string
	for _, h := range hosts {
		bundle := repo.bundleOf(h)
		if vars, err := repo.load(bundle, h, nil); err == nil {
			names = slices.AppendSeq(names, maps.Keys(vars.Values))
		}
		if bundle != "" {
			names = append(names, e.variableNames(bundle)...)
		}
	}
	slices.Sort(names)
	return beginning(slices.Compact(names), word), cobra.ShellCompDirectiveNoFileComp
}

// beginning are the words that begin with what was typed.
func beginning(words []string, typed string) []string {
	return slices.DeleteFunc(words, func(w string) bool { return !strings.HasPrefix(w, typed) })
}
