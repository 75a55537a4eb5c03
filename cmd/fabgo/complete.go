package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
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

// completeConnection offers the values of connection flags that have few.
func completeConnection(cmd *cobra.Command) {
	_ = cmd.RegisterFlagCompletionFunc("host-keys", cobra.FixedCompletions([]string{"ask", "yes", "accept-new"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("host", cobra.FixedCompletions([]string{"@local", "@sandbox"}, cobra.ShellCompDirectiveNoFileComp))
}
