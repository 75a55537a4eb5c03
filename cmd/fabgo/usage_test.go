package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

func TestHelpFitsIntoItsColumns(t *testing.T) {
	var visit func(path []string, c *cobra.Command)
	visit = func(path []string, c *cobra.Command) {
		e, out, _ := testEnv(append(path, "--help")...)
		if code := e.main(); code != exitOK || !strings.Contains(out.String(), "Usage:\n  fabgo") {
			t.Errorf("%s --help: exit code %d, %s", c.CommandPath(), code, out)
		}
		for l := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(l, "\n")); n > helpWidth {
				t.Errorf("%s --help: %d columns: %s", c.CommandPath(), n, l)
			}
		}
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				visit(append(append([]string{}, path...), sub.Name()), sub)
			}
		}
	}
	e, _, _ := testEnv()
	visit(nil, e.root())
}
