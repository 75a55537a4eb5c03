//go:build linux

package main

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"fabgo/internal/sshd"
)

const slowBundle = `
W = var("work")

def main():
    at_end(later)
    run("echo started >%s/started; read line <%s/go" % (W, W))
    file.put(W + "/after", content = "x")

def later():
    file.put(W + "/end", content = "x")

def hangs():
    at_end(later)
    run("exec >%s/started; echo started; sleep 600 & wait" % W)
    file.put(W + "/after", content = "x")
`

// ways are the hosts that a signal has to reach through.
func ways(t *testing.T, test func(t *testing.T, w *world, host string)) {
	t.Helper()
	for _, host := range []string{"@local", "web1"} {
		t.Run(strings.TrimPrefix(host, "@"), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.server("web1", true, sshd.Options{AuthorizedKeys: []ssh.PublicKey{w.key}})
			w.file("slow.star", slowBundle)
			w.fifo("started")
			w.fifo("go")
			test(t, w, host)
		})
	}
}

func (w *world) absent(names ...string) {
	w.t.Helper()
	for _, n := range names {
		if _, err := os.Lstat(filepath.Join(w.dir, n)); err == nil {
			w.t.Errorf("%s was made after the interrupt", n)
		}
	}
}

// release lets the command that waits for go end.
func (w *world) release() {
	w.t.Helper()
	w.within("let the command end", func() error { return os.WriteFile(filepath.Join(w.dir, "go"), []byte("go\n"), 0) })
}

// TestInterruptOnce: the step under way ends, nothing else begins, and what was put off to the end does not run (F62).
func TestInterruptOnce(t *testing.T) {
	ways(t, func(t *testing.T, w *world, host string) {
		p := w.start("run", "-H", host, "-e", "work="+w.dir, "slow.star")
		w.hears(filepath.Join(w.dir, "started"))
		p.signal(os.Interrupt)
		w.must(p.stderr.says("the step under way is the last one", 1))
		w.must(p.stderr.says("the run was told", 1))
		w.release()
		p.exits(exitInterrupted)
		w.absent("after", "end")
		out := p.stdout.String()
		if !strings.Contains(out, "changed  run ") || !strings.Contains(out, "interrupted") {
			t.Errorf("the step that ended, or the interrupt, is not told:\n%s", out)
		}
		if got := w.output("runs"); !strings.Contains(got, "interrupted") {
			t.Errorf("the history does not know of the interrupt:\n%s", got)
		}
		if got := w.output("replay", "last"); !strings.Contains(got, "interrupted") {
			t.Errorf("replay: %s", got)
		}
	})
}

// TestInterruptAtOnce: a second Ctrl-C, a closed terminal and a request to end kill the command with its children (F63).
func TestInterruptAtOnce(t *testing.T) {
	for name, signals := range map[string][]os.Signal{
		"twice": {os.Interrupt, os.Interrupt}, "term": {syscall.SIGTERM}, "hup": {syscall.SIGHUP},
	} {
		t.Run(name, func(t *testing.T) {
			ways(t, func(t *testing.T, w *world, host string) {
				p := w.start("run", "-H", host, "-e", "work="+w.dir, "slow.star", "hangs")
				rest := w.hears(filepath.Join(w.dir, "started"))
				for i, s := range signals {
					p.signal(s)
					if i < len(signals)-1 {
						w.must(p.stderr.says("the step under way is the last one", 1))
					}
				}
				p.exits(exitInterrupted)
				w.gone(rest)
				w.absent("after", "end")
				if got := w.output("runs", "show", "last"); !strings.Contains(got, "interrupted") {
					t.Errorf("the journal does not know of the interrupt:\n%s", got)
				}
			})
		})
	}
}

// TestInterruptExec: one Ctrl-C ends a command that has no step to end well.
func TestInterruptExec(t *testing.T) {
	ways(t, func(t *testing.T, w *world, host string) {
		p := w.start("exec", "-H", host, "exec >"+w.dir+"/started; echo started; sleep 600 & wait")
		rest := w.hears(filepath.Join(w.dir, "started"))
		p.signal(os.Interrupt)
		p.exits(exitInterrupted)
		w.gone(rest)
	})
}

// TestInterruptProxyCommand: Ctrl-C on a terminal goes to the ProxyCommand too, and must not take the connection away from the step
// under way.
func TestInterruptProxyCommand(t *testing.T) {
	w := newWorld(t)
	w.file("slow.star", slowBundle)
	w.fifo("started")
	w.fifo("go")
	s := w.server("web1", true, sshd.Options{AuthorizedKeys: []ssh.PublicKey{w.key}})
	self, err := os.Executable()
	w.must(err)
	w.must(add(filepath.Join(w.home, ".ssh", "config"), "Host web1\n  ProxyCommand "+self+" "+relay+" "+s.Addr()+"\n"))
	y := w.pty()
	p := y.run(w, "run", "-e", "work="+w.dir, "-H", "web1", "slow.star")
	w.hears(filepath.Join(w.dir, "started"))
	y.types(w, "\x03")
	w.must(p.stderr.says("the step under way is the last one", 1))
	w.must(p.stderr.says("the run was told", 1))
	w.release()
	p.exits(exitInterrupted)
	w.absent("after", "end")
	if out := p.stdout.String(); !strings.Contains(out, "changed  run ") {
		t.Errorf("the step did not end well:\n%s", out)
	}
}

// TestNohup: a hang-up that fabgo was started to ignore does not end it.
func TestNohup(t *testing.T) {
	w := newWorld(t)
	w.file("slow.star", slowBundle)
	w.fifo("started")
	w.fifo("go")
	p := &process{w: w, cmd: w.command(), stdout: newWatched(), stderr: newWatched(), done: make(chan struct{})}
	w.must(install(filepath.Join(w.dir, "bin")))
	p.cmd.Args = []string{"sh", "-c", `trap "" HUP; exec bin/fabgo run -H @local -e work="$PWD" slow.star`}
	p.cmd.Path = "/bin/sh"
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	p.run()
	w.hears(filepath.Join(w.dir, "started"))
	p.signal(syscall.SIGHUP)
	w.release()
	p.exits(exitOK)
	if _, err := os.Stat(filepath.Join(w.dir, "end")); err != nil {
		t.Error("the run did not go on")
	}
}

// TestReaderGone: when nobody reads the output any more (fabgo run | head), the run ends after the step under way, quietly.
func TestReaderGone(t *testing.T) {
	for _, flags := range [][]string{{"-H", "@local"}, {"-H", "@local", "--json", "-v"}, {"-H", "web1"}, {"-H", "web1", "--evaluate=controller"}} {
		t.Run(strings.Join(flags[1:], ""), func(t *testing.T) {
			w := newWorld(t)
			w.host("web1", sshd.Options{})
			w.file("slow.star", slowBundle)
			w.fifo("started")
			w.fifo("go")
			r, out, err := os.Pipe()
			w.must(err)
			defer r.Close()
			p := &process{w: w, cmd: w.command(append([]string{"run", "-v", "-e", "work=" + w.dir, "slow.star"}, flags...)...), stdout: newWatched(), stderr: newWatched(), done: make(chan struct{})}
			p.cmd.Stdout, p.cmd.Stderr = out, p.stderr
			p.run()
			out.Close()
			w.within("read a line", func() error { _, err := bufio.NewReader(io.LimitReader(r, 1<<20)).ReadString('\n'); return err })
			w.hears(filepath.Join(w.dir, "started"))
			r.Close()
			w.release()
			p.exits(exitInterrupted)
			if s := p.stderr.String(); s != "" {
				t.Errorf("it said: %s", s)
			}
			if slices.Equal(flags, []string{"-H", "web1"}) { // the host is ahead of what is shown here, and may have gone on meanwhile
				return
			}
			w.absent("after", "end")
			if got := w.output("runs"); !strings.Contains(got, "interrupted") {
				t.Errorf("the history: %s", got)
			}
		})
	}
}
