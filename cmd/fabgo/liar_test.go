//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/internal/sshd"
	"fabgo/transport"
)

// lies is a world with a host whose helper lies.
func lies(t *testing.T, how string) (w *world, answers string) {
	t.Helper()
	w = newWorld(t)
	answers = filepath.Join(w.dir, "answers")
	w.host("web1", sshd.Options{})
	self, err := os.Executable()
	w.must(err)
	file := filepath.Join(w.hostDir("web1"), "bin", helperName)
	w.must(os.Remove(file))
	w.must(os.WriteFile(file, fmt.Appendf(nil, "#!/bin/sh\nexec %s %s '%s' %s \"$@\"\n", self, liar, how, answers), 0o755))
	w.must(os.MkdirAll(filepath.Join(w.dir, ".git"), 0o755))
	w.must(os.MkdirAll(filepath.Join(w.dir, "vars"), 0o755))
	w.file(".git/config", "x")
	w.file("vars/all.json", "{}")
	w.file("free", "x")
	w.file("lie.star", `file.fetch("/etc/motd", "got/motd", flat = True, required = False)`+"\n"+`run(["git", "config"])`+"\n")
	return w, answers
}

// TestLiarAsks: a host that asks for what the bundle does not name is not answered, and nothing is done or written for it.
func TestLiarAsks(t *testing.T) {
	for _, mode := range []string{"run", "plan"} {
		t.Run(mode, func(t *testing.T) {
			w, answers := lies(t, "asks")
			w.start(mode, "-H", "web1", "--evaluate=target", "lie.star").exits(0)
			b, err := os.ReadFile(answers)
			w.must(err)
			for line := range strings.Lines(string(b)) {
				free := strings.HasPrefix(line, "file //free:") || mode == "run" && strings.HasPrefix(line, "deliver //got/motd:")
				if strings.HasSuffix(line, ": <nil>\n") != free {
					t.Errorf("%s", line)
				}
			}
			if n := strings.Count(string(b), "\n"); n != 20 {
				t.Errorf("it asked %d things:\n%s", n, b)
			}
			if got, _ := os.ReadFile(filepath.Join(w.dir, "got", "motd")); (string(got) == "evil") != (mode == "run") {
				t.Errorf("what it may deliver is %q", got)
			}
			for _, name := range []string{"lib", ".git/hooks", "answers.written", "answers.delivered"} {
				w.absent(name)
			}
		})
	}
}

// TestLiarRecords: records are of the host that was connected to, whatever they say, and the run is ours.
func TestLiarRecords(t *testing.T) {
	w, _ := lies(t, "others")
	w.start("run", "-H", "web1", "--evaluate=target", "lie.star").exits(0)
	run, err := journal.Store{Dir: filepath.Join(w.dir, "state", "fabgo", "runs")}.Find("last")
	w.must(err)
	hosts, err := run.Hosts()
	w.must(err)
	if fmt.Sprint(hosts) != "[web1]" {
		t.Errorf("the journal has %s", hosts)
	}
	for _, r := range w.mine("web1") {
		if r.Host != "web1" {
			t.Errorf("a record of %s", r.Host)
		}
	}
	w.absent("evil", "state/evil")
	a := w.start("attach", "web1")
	a.exits(exitFailed)
	if e := a.stderr.String(); !strings.Contains(e, "is no ID of a run") {
		t.Errorf("attach says %s", e)
	}
}

// TestLiarProtocol: what breaks the protocol ends the session at once, with an error that says what.
func TestLiarProtocol(t *testing.T) {
	for how, says := range map[string]string{
		"other version": "fabgo v0.0.1, not devel", "no hello": "before it has said who it is", "no record": "a record of the helper",
	} {
		t.Run(how, func(t *testing.T) {
			w, _ := lies(t, how)
			p := w.start("run", "-H", "web1", "--evaluate=target", "lie.star")
			<-p.done
			if code := p.cmd.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(p.stdout.String(), says) {
				t.Errorf("exit code %d\n%s%s", code, p.stdout, p.stderr)
			}
			if f := w.finish("web1"); f.Error == nil || f.Error.Kind != transport.Protocol {
				t.Errorf("the journal's end: %+v", f.Error)
			}
		})
	}
	t.Run("large", func(t *testing.T) {
		w, _ := lies(t, "large")
		p := w.start("run", "-H", "web1", "--evaluate=target", "--reconnect=0", "lie.star")
		p.exits(exitUnreachable)
		if out := p.stdout.String(); !strings.Contains(out, "a frame of 4294967295 bytes") {
			t.Errorf("it says\n%s", out)
		}
	})
}

// TestLiarFloods: a host that never ends is left at the time limit.
func TestLiarFloods(t *testing.T) {
	w, _ := lies(t, "floods")
	p := w.start("run", "-H", "web1", "--evaluate=target", "--timeout=2s", "lie.star")
	p.exits(exitFailed)
	if f := w.finish("web1"); f.Error == nil || f.Error.Kind != transport.Timeout {
		t.Errorf("the journal's end: %+v", f.Error)
	}
}

// TestLiarEscapes: nothing of what a host says reaches the terminal as a command for it.
func TestLiarEscapes(t *testing.T) {
	w, _ := lies(t, "escapes")
	p := w.start("run", "-v", "-H", "web1", "--evaluate=target", "lie.star")
	p.exits(exitFailed)
	if all := p.stdout.String() + p.stderr.String(); strings.ContainsAny(all, "\x1b\x07\u202e") || !strings.Contains(all, "a notice") {
		t.Errorf("%q", all)
	}
}
