//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExecShowsOutputAsItComes: what a command says is seen while it runs, with one host and with several.
func TestExecShowsOutputAsItComes(t *testing.T) {
	ways(t, func(t *testing.T, w *world, host string) {
		other := map[string]string{"@local": "web1", "web1": "@local"}[host]
		for _, more := range [][]string{nil, {"-H", other}} {
			hosts := append([]string{"-H", host}, more...)
			p := w.start(append(append([]string{"exec"}, hosts...), "cd "+w.dir+"; echo one; until [ -e on ]; do sleep 0.02; done; echo two >&2")...)
			w.must(p.stdout.says("one", len(hosts)/2))
			if strings.Contains(p.stderr.String(), "two") {
				t.Error("the command did not wait")
			}
			w.file("on", "")
			p.exits(0)
			w.must(os.Remove(filepath.Join(w.dir, "on")))
			if got := strings.Count(p.stderr.String(), "two\n"); got != len(hosts)/2 {
				t.Errorf("it says two %d times:\n%s", got, p.stderr)
			}
		}
	})
}
