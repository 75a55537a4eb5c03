//go:build linux

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fabgo/internal/machines"
)

// The example bundles, and one with something of every family.
var eitherWay = []string{"../../bundles/demo/web1.star", "testdata/families/families.star"}

// where gives a copy of a bundle's folder, so that what it fetches does not land in ours.
func (w *world) bundle(file string) string {
	w.t.Helper()
	dir := filepath.Join(w.dir, "bundle-"+filepath.Base(file))
	if _, err := os.Stat(dir); err != nil {
		w.must(os.CopyFS(dir, os.DirFS(filepath.Dir(file))))
	}
	return filepath.Join(dir, filepath.Base(file))
}

// TestSameEitherWay: a bundle has the same records whether it is evaluated beside the host or on the controller: in a plan, in a run that
// changes, and in one that finds all done.
func TestSameEitherWay(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the sandbox needs root")
	}
	for _, bundle := range eitherWay {
		t.Run(filepath.Base(bundle), func(t *testing.T) {
			compareWays(t, bundle, func(t *testing.T) *side {
				w := newWorld(t)
				t.Cleanup(func() { w.output("sandbox", "remove") })
				return &side{w, "@sandbox", []string{"-H", "@sandbox", "--keep"}}
			})
		})
	}
}

// TestMachineSameEitherWay is the same on real machines, with systemd and packages.
func TestMachineSameEitherWay(t *testing.T) {
	m := machines.Boot(t, 1)[0]
	for _, bundle := range append(eitherWay, "../../bundles/examples/web1.star") {
		t.Run(filepath.Base(filepath.Dir(bundle)), func(t *testing.T) {
			compareWays(t, bundle, func(t *testing.T) *side {
				m.Fresh(t)
				m.SSH(t, "mkdir -p /etc/nginx/sites-enabled; touch /etc/nginx/sites-enabled/default; apt-get update -qq")
				args := []string{"-H", "m"}
				if strings.Contains(bundle, "families") {
					args = append(args, "-e", "systemd_here=true")
				}
				if strings.Contains(bundle, "examples") {
					args = append(args, "-e", "listen="+m.Host()+":80")
				}
				return &side{settled(t, m), "m", args}
			})
		})
	}
}

// side is a host, fresh, and how it is reached.
type side struct {
	*world
	host string
	args []string
}

func compareWays(t *testing.T, bundle string, fresh func(*testing.T) *side) {
	var got [2][]string
	acts := []string{"plan", "run", "run", "plan"}
	for i, where := range []string{"target", "controller"} {
		s := fresh(t)
		for _, act := range acts {
			p := s.start(append([]string{act, "--evaluate=" + where, s.bundle(bundle)}, s.args...)...)
			p.exits(0)
			got[i] = append(got[i], essence(t, s.mine(s.host), strings.NewReplacer(s.dir, "DIR")))
		}
	}
	for n, act := range acts {
		if d := differ(plain(got[0][n]), plain(got[1][n])); d != "" {
			t.Errorf("%s number %d: beside the host (-) and on the controller (+): %s", act, n, d)
		}
	}
}

// plain forgets what the clock has in a journal, what apt says of its speed and systemd of the time that is left, and the words in which
// SFTP, commands and system calls say that something is not there. The account of transport/ssh's tests comes and goes on this machine.
func plain(s string) string {
	for _, p := range []struct{ pattern, with string }{
		{`,?\{"key":"fabgo-test","fields":\{[^{}]*\}\}`, ``},
		{`"mtime":\d+`, `"mtime":0`},
		{`"closure":"[^"]*"`, `"closure":""`},
		{`"stdout":"\d{10}\\n"`, `"stdout":"now"`},
		// What units were loaded with has times in it.
		{`("path":"[^"]*/state/loaded/[^"]*".*?"content":\{"digest":")[^"]*`, `$1`},
		{`("kind":"write","path":"[^"]*/state/loaded/[^"]*".*?\},"digest":")[^"]*`, `$1`},
		{`("argv":\["(?:apt-get|systemd-analyze)".*"stdout":)"(?:[^"\\]|\\.)*"`, `$1""`},
		{`(?m)^(\{"type":"op".*"error":\{"kind":"\w+").*?(,"path":"[^"]*")?(,"stderr":"(?:[^"\\]|\\.)*")?\},"ms"`, `$1$2},"ms"`},
	} {
		s = regexp.MustCompile(p.pattern).ReplaceAllString(s, p.with)
	}
	return s
}
