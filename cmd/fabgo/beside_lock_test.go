//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"fabgo/internal/journal"
	"fabgo/internal/sshd"
	"fabgo/transport"
)

// TestBesideLock: a second run says who works on the host since when, and fails; asked to wait, it waits; a plan shows what is there and
// says so.
func TestBesideLock(t *testing.T) {
	w := newWorld(t)
	w.host("web1", sshd.Options{})
	w.file("other.star", `file.put(var("work") + "/other", content = "x")`)
	p := w.begun()
	first := p.runID()

	q := w.start("run", "-H", "web1", "-e", "work="+w.dir, "other.star")
	q.exits(exitLocked)
	for _, say := range []string{"another run is under way", first, "slow.star", "since 2", "--wait", "fabgo attach web1"} {
		if out := q.stdout.String(); !strings.Contains(out, say) {
			t.Errorf("it does not say %q:\n%s", say, out)
		}
	}
	w.absent("other")
	q = w.start("run", "-H", "web1", "-e", "work="+w.dir, "--wait=200ms", "other.star")
	q.exits(exitLocked)
	w.absent("other")

	plan := w.start("plan", "-H", "web1", "-u", me(t), "-e", "work="+w.dir, "other.star")
	plan.exits(0)
	if e := plan.stderr.String(); !strings.Contains(e, "a run is under way") || !strings.Contains(e, first) {
		t.Errorf("the plan does not say that a run is under way:\n%s", e)
	}

	waits := w.start("run", "-H", "web1", "-e", "work="+w.dir, "--wait=1m", "other.star")
	w.must(waits.stderr.says("waiting for another run: run "+first, 1))
	w.absent("other")
	gone := w.start("run", "-H", "web1", "-e", "work="+w.dir, "--wait=1m", "other.star")
	w.must(gone.stderr.says("waiting for another run", 1))
	gone.signal(os.Interrupt) // who waits can leave
	gone.exits(exitInterrupted)
	w.release()
	p.exits(0)
	waits.exits(0)
	w.present("other")
	w.unlocked("web1")
	if _, err := os.Stat(filepath.Join(w.hostDir("web1"), "holder.json")); err == nil {
		t.Error("the name of the holder was left behind")
	}
}

// runID is the ID of a run that is under way, as its host knows it.
func (p *process) runID() string {
	p.w.t.Helper()
	run, err := journal.Store{Dir: filepath.Join(p.w.hostDir("web1"), "runs")}.Find("last")
	p.w.must(err)
	return run.ID
}

// TestBesideLockTaken: without its lock a run changes nothing more.
func TestBesideLockTaken(t *testing.T) {
	for name, take := range map[string]func(lock string) error{
		"removed":  os.Remove,
		"replaced": func(lock string) error { os.Remove(lock); return os.WriteFile(lock, nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.host("web1", sshd.Options{})
			p := w.begun()
			w.must(take(filepath.Join(w.hostDir("web1"), "lock")))
			w.release()
			p.exits(exitFailed)
			w.absent("after", "end")
			if out := p.stdout.String(); !strings.Contains(out, "was taken away under this run") {
				t.Errorf("it says\n%s", out)
			}
		})
	}
}

// TestBesideNoPlaceForLock: a folder that cannot be had is an error that names it, before anything is changed (F42).
func TestBesideNoPlaceForLock(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(dir string) error
		says  string
	}{
		"a file in its place": {func(d string) error { return os.WriteFile(filepath.Join(d, "runs"), nil, 0o600) }, "runs"},
		"a link for the lock": {func(d string) error { return os.Symlink("/dev/null", filepath.Join(d, "lock")) }, "symlink"},
		"somebody else's":     {func(d string) error { return os.Chown(d, 65534, 65534) }, "belongs to user 65534"},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(name, "somebody") && os.Geteuid() != 0 {
				t.Skip("only root gives a folder away")
			}
			w := newWorld(t)
			w.host("web1", sshd.Options{})
			w.file("other.star", `file.put(var("work") + "/other", content = "x")`)
			w.start("plan", "-H", "web1", "-u", me(t), "-e", "work="+w.dir, "other.star").exits(0)
			w.must(c.spoil(w.hostDir("web1")))
			p := w.start("run", "-H", "web1", "-e", "work="+w.dir, "other.star")
			<-p.done
			if code := p.cmd.ProcessState.ExitCode(); code == 0 || !strings.Contains(p.stdout.String()+p.stderr.String(), c.says) {
				t.Errorf("exit code %d\n%s%s", code, p.stdout, p.stderr)
			}
			w.absent("other")
			if f := w.finish("web1"); f.Error == nil || f.Error.Kind == transport.Unreachable {
				t.Errorf("the journal's end: %+v", f.Error)
			}
		})
	}
}

// TestBesideInterrupt: what was started on the host is seen to end there.
func TestBesideInterrupt(t *testing.T) {
	t.Run("once", func(t *testing.T) {
		w := newWorld(t)
		w.host("web1", sshd.Options{})
		p := w.begun()
		p.signal(os.Interrupt)
		w.must(p.stderr.says("the step under way is the last one", 1))
		w.must(p.stderr.says("the run was told", 1))
		w.release()
		p.exits(exitInterrupted)
		w.absent("after", "end")
		w.complete("web1")
		w.unlocked("web1")
	})
	t.Run("twice", func(t *testing.T) {
		w := newWorld(t)
		w.host("web1", sshd.Options{})
		w.file("slow.star", slowBundle)
		w.fifo("started")
		p := w.start("run", "-H", "web1", "-e", "work="+w.dir, "slow.star", "hangs")
		rest := w.hears(filepath.Join(w.dir, "started"))
		p.signal(os.Interrupt)
		w.must(p.stderr.says("the step under way is the last one", 1))
		p.signal(os.Interrupt)
		p.exits(exitInterrupted)
		w.gone(rest)
		w.complete("web1")
		w.unlocked("web1")
	})
}

// TestBesideInterruptUnheard: the run may have begun though nothing of it was heard yet; it is told to end all the same.
func TestBesideInterruptUnheard(t *testing.T) {
	w := newWorld(t)
	w.host("web1", sshd.Options{Faults: func(int) sshd.Faults { return sshd.Faults{Silent: sshd.AfterExec} }})
	w.file("slow.star", slowBundle)
	w.fifo("started")
	p := w.start("run", "-H", "web1", "-e", "work="+w.dir, "slow.star", "hangs")
	rest := w.hears(filepath.Join(w.dir, "started"))
	p.signal(syscall.SIGTERM)
	w.gone(rest)
	p.exits(exitInterrupted)
	w.unlocked("web1")
}

// TestInterruptTerminal: Ctrl-C on a terminal goes to all of fabgo's processes there, the evaluator too, which the step under way needs.
func TestInterruptTerminal(t *testing.T) {
	for _, args := range [][]string{{"-H", "@local"}, {"-H", "web1", "--evaluate=controller"}} {
		t.Run(args[1], func(t *testing.T) {
			w := newWorld(t)
			w.host("web1", sshd.Options{})
			w.file("slow.star", slowBundle)
			w.fifo("started")
			w.fifo("go")
			y := w.pty()
			p := y.run(w, append([]string{"run", "-e", "work=" + w.dir, "slow.star"}, args...)...)
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
		})
	}
}

// TestBesideProcesses: neither arguments nor environments of the processes of a run show anything of the bundle, and commands of the bundle
// get nothing that is the run's: no open file, no ignored signal (F56).
func TestBesideProcesses(t *testing.T) {
	w := newWorld(t)
	w.host("web1", sshd.Options{})
	w.file("secret.star", `
W = var("work")
word = "hushhush-in-the-bundle"
run("ls -l /proc/self/fd >%s/fds; grep Sig /proc/self/status >%s/signals; echo started >%s/started; read line <%s/go" % (W, W, W, W), env = {"HUSH": var("hush")})
file.put(W + "/after", content = word + var("hush"))
`)
	w.fifo("started")
	w.fifo("go")
	vars := w.file("vars.json", `{"hush": "hushhush-of-a-variable"}`)
	p := w.start("run", "-H", "web1", "-e", "work="+w.dir, "-e", "@"+vars, "secret.star")
	w.hears(filepath.Join(w.dir, "started"))
	for _, mode := range []string{"run", "own", "evaluate"} {
		pid := w.helper("web1", mode).Pid
		for _, file := range []string{"cmdline", "environ"} {
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file)); err != nil || strings.Contains(string(b), "hushhush") {
				t.Errorf("%s of %s: %q, %v", file, mode, b, err)
			}
		}
	}
	w.release()
	p.exits(0)
	b, err := os.ReadFile(filepath.Join(w.dir, "signals"))
	w.must(err)
	status, err := os.ReadFile("/proc/self/status") // what starts the tests may ignore signals, and then sshd does too
	w.must(err)
	if more := ignoredSignals(t, string(b)) &^ ignoredSignals(t, string(status)); more != 0 {
		t.Errorf("commands ignore signals: %x", more)
	}
	if b, err = os.ReadFile(filepath.Join(w.dir, "fds")); err != nil || strings.Contains(string(b), "socket") {
		t.Errorf("commands have files of the run: %s, %v", b, err)
	}
	for _, name := range []string{"lock", "holder.json", "crash.log"} {
		if b, err := os.ReadFile(filepath.Join(w.hostDir("web1"), name)); err == nil && strings.Contains(string(b), "hushhush") {
			t.Errorf("%s: %s", name, b)
		}
	}
}

// ignoredSignals is the mask in a /proc/PID/status.
func ignoredSignals(t *testing.T, status string) uint64 {
	t.Helper()
	for line := range strings.Lines(status) {
		if mask, ok := strings.CutPrefix(line, "SigIgn:"); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no SigIgn in %q", status)
	return 0
}
