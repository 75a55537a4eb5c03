//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"fabgo/internal/journal"
	"fabgo/internal/sshd"
	"fabgo/transport"
)

// manySteps writes files and reads one of the bundle, so that something goes both ways while it runs.
const manySteps = `
W = var("work")

def main():
    for n in range(30):
        file.put("%s/out/%d" % (W, n), content = "step %d\n" % n)
    file.put(W + "/out/big", src = "big")
    for n in range(30, 60):
        run(["sh", "-c", "echo %d >> %s/out/log" % (n, W)])
`

// TestBesideConnectionCut: a connection that ends at any byte, in either direction, costs nothing: the run goes on, each record reaches the
// controller once and in order, and no step is done twice (F01, F05).
func TestBesideConnectionCut(t *testing.T) {
	measure := func(t *testing.T) sshd.Stats {
		w := newWorld(t)
		s := w.host("web1", sshd.Options{})
		w.cutRun(sshd.Faults{}, s)
		return s.Stats()
	}
	st := measure(t)
	points := int64(12)
	if testing.Short() {
		points = 4
	}
	for _, way := range []string{"read", "written"} {
		for i := range points {
			t.Run(fmt.Sprintf("%s %d", way, i), func(t *testing.T) {
				w := newWorld(t)
				var f sshd.Faults
				if way == "read" {
					f.CutAfterRead = 1 + (st.Read-1)*i/points
				} else {
					f.CutAfterWritten = 1 + (st.Written-1)*i/points
				}
				var n atomic.Int32
				s := w.host("web1", sshd.Options{Faults: func(c int) sshd.Faults {
					n.Add(1)
					if c == 0 {
						return f
					}
					return sshd.Faults{}
				}})
				w.cutRun(f, s)
			})
		}
	}
}

func (w *world) cutRun(f sshd.Faults, s *sshd.Server) {
	w.t.Helper()
	w.file("many.star", manySteps)
	w.file("big", strings.Repeat("0123456789abcdef", 32<<10))
	w.must(os.Mkdir(filepath.Join(w.dir, "out"), 0o755))
	p := w.start("run", "-H", "web1", "-e", "work="+w.dir, "many.star")
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != exitOK {
		// Before anything began, an end is an answer too: then nothing was done, and the next run does it.
		if code != exitUnreachable || w.steps() > 0 {
			w.t.Fatalf("exit code %d with %+v, after %d steps\n%s%s", code, f, w.steps(), p.stdout, p.stderr)
		}
		w.start("run", "-H", "web1", "-e", "work="+w.dir, "many.star").exits(0)
	}
	w.complete("web1")
	b, err := os.ReadFile(filepath.Join(w.dir, "out", "log"))
	w.must(err)
	want := ""
	for n := 30; n < 60; n++ {
		want += fmt.Sprintln(n)
	}
	if string(b) != want {
		w.t.Errorf("the commands did %q", b)
	}
	w.until("the owner ends", func() bool { return len(w.helpers("web1", "own")) == 0 })
	w.unlocked("web1")
}

// steps is how many files the bundle has made.
func (w *world) steps() int {
	es, err := os.ReadDir(filepath.Join(w.dir, "out"))
	w.must(err)
	return len(es)
}

// begun starts a run that waits in its first step.
func (w *world) begun(args ...string) *process {
	w.t.Helper()
	w.file("slow.star", slowBundle)
	if _, err := os.Stat(filepath.Join(w.dir, "started")); err != nil {
		w.fifo("started")
		w.fifo("go")
	}
	p := w.start(append([]string{"run", "-H", "web1", "-e", "work=" + w.dir, "slow.star"}, args...)...)
	w.hears(filepath.Join(w.dir, "started"))
	return p
}

func (w *world) present(names ...string) {
	w.t.Helper()
	for _, n := range names {
		if _, err := os.Lstat(filepath.Join(w.dir, n)); err != nil {
			w.t.Errorf("%s was not made", n)
		}
	}
}

// TestBesideReconnect: a connection that is cut in the middle of a step is made again, and the run ends well.
func TestBesideReconnect(t *testing.T) {
	w := newWorld(t)
	s := w.host("web1", sshd.Options{})
	p := w.begun()
	for range 3 {
		before := s.Stats().Logins
		s.Cut()
		w.must(p.stderr.says("connecting again", 1))
		w.until("it is connected again", func() bool { return s.Stats().Logins > before && len(w.helpers("web1", "attach")) == 1 })
	}
	w.release()
	p.exits(0)
	w.present("after", "end")
	w.complete("web1")
	w.unlocked("web1")
}

// TestBesideRelayKilled: the process that SSH started dies; the run does not (F05).
func TestBesideRelayKilled(t *testing.T) {
	w := newWorld(t)
	w.host("web1", sshd.Options{})
	p := w.begun()
	w.must(w.helper("web1", helperRun).Kill())
	w.must(p.stderr.says("connecting again", 1))
	w.release()
	p.exits(0)
	w.complete("web1")
}

const helperRun = "run"

// TestBesideBlackhole: a line that swallows everything is found out by keepalives, and left for a new one (F03).
func TestBesideBlackhole(t *testing.T) {
	w := newWorld(t)
	s := w.host("web1", sshd.Options{})
	w.must(add(filepath.Join(w.home, ".ssh", "config"), "Host *\n  ServerAliveInterval 1\n"))
	w.file("asks.star", asksLater)
	w.file("late", "hello\n")
	w.fifo("started")
	w.fifo("go")
	p := w.start("run", "-H", "web1", "-e", "work="+w.dir, "asks.star")
	w.hears(filepath.Join(w.dir, "started"))
	s.Freeze()
	w.release() // the host asks for a file on the line that is dead
	w.must(p.stderr.says("connecting again", 1))
	p.exits(0)
	w.complete("web1")
}

// asksLater asks the controller for a file whose name is only known when it runs.
const asksLater = `
W = var("work")
run("echo started >%s/started; read line <%s/go" % (W, W))
file.put(W + "/after", src = "".join(["la", "te"]))
`

// TestBesideNoReconnect: without a second try the controller says that the run goes on, and it does; attach reads how it ended.
func TestBesideNoReconnect(t *testing.T) {
	w := newWorld(t)
	s := w.host("web1", sshd.Options{})
	p := w.begun("--reconnect=0")
	s.Cut()
	p.exits(exitUnreachable)
	if out := p.stdout.String(); !strings.Contains(out, "fabgo attach web1") {
		t.Errorf("it does not say how to follow the run:\n%s", out)
	}
	if f := w.finish("web1"); f.Error == nil || f.Error.Kind != transport.Lost {
		t.Errorf("the journal's end: %+v", f)
	}
	a := w.start("attach", "web1")
	w.until("it is attached", func() bool { return len(w.helpers("web1", "attach")) == 1 })
	w.release()
	a.exits(0)
	w.present("after", "end")
	w.complete("web1")
}

// TestBesideStopWhenLost: asked for so, a run whose connection was lost ends after the step under way.
func TestBesideStopWhenLost(t *testing.T) {
	w := newWorld(t)
	s := w.host("web1", sshd.Options{})
	p := w.begun("--on-lost-connection=stop")
	s.Cut()
	w.must(p.stderr.says("connecting again", 1))
	w.until("it is connected again", func() bool { return s.Stats().Logins == 2 && len(w.helpers("web1", "attach")) == 1 })
	w.release()
	<-p.done
	w.absent("after", "end")
	w.complete("web1")
	if f := w.finish("web1"); f.Status != journal.Interrupted && f.Status != journal.Unreachable {
		t.Errorf("the journal's end: %+v", f)
	}
	w.unlocked("web1")
}

// TestBesideControllerKilled: the run goes on without its controller; attach shows it from its first step on, on a machine that has never
// seen the bundle (F64).
func TestBesideControllerKilled(t *testing.T) {
	w := newWorld(t)
	w.host("web1", sshd.Options{})
	p := w.begun()
	w.must(p.cmd.Process.Kill())
	<-p.done
	elsewhere := &world{t: t, dir: t.TempDir(), home: w.home, key: w.key}
	a := elsewhere.start("attach", "web1")
	w.until("it is attached", func() bool { return len(w.helpers("web1", "attach")) == 1 })
	w.release()
	a.exits(0)
	w.present("after", "end")
	if out := a.stdout.String(); !strings.Contains(out, "changed  run ") || !strings.Contains(out, "/after") {
		t.Errorf("attach shows\n%s", out)
	}
	mine := elsewhere.mine("web1")
	if got, want := len(mine), len(w.journal(w.hostDir("web1"), "web1")); got != want {
		t.Errorf("attach kept %d records of %d", got, want)
	}
	if got := elsewhere.output("runs"); !strings.Contains(got, "web1") {
		t.Errorf("the history does not know the run: %s", got)
	}
	w.unlocked("web1")
}

// TestBesideAttach: to a run that is over, by its ID too; to nothing; to one that is to end; and a second time.
func TestBesideAttach(t *testing.T) {
	w := newWorld(t)
	w.host("web1", sshd.Options{})
	a := w.start("attach", "web1")
	a.exits(exitFailed)
	if e := a.stderr.String(); !strings.Contains(e, "remembers no run") {
		t.Errorf("attach to nothing: %s", e)
	}
	p := w.begun()
	w.must(p.cmd.Process.Kill())
	<-p.done
	end := w.start("attach", "web1", "--stop")
	w.must(end.stderr.says("the step under way is the last one", 1))
	w.must(end.stderr.says("the run was told", 1))
	w.release()
	end.exits(exitInterrupted)
	w.absent("after", "end")
	w.unlocked("web1")
	again := w.start("attach", "web1")
	again.exits(exitInterrupted)
	if again.stdout.String() != end.stdout.String() {
		t.Errorf("the second time it shows\n%s\nnot\n%s", again.stdout, end.stdout)
	}
	run, err := journal.Store{Dir: filepath.Join(w.hostDir("web1"), "runs")}.Find("last")
	w.must(err)
	w.start("attach", "web1", run.ID).exits(exitInterrupted)
	no := w.start("attach", "web1", "19990101T000000Z-000aaaaaa")
	no.exits(exitFailed)
	if e := no.stderr.String(); !strings.Contains(e, "19990101T000000Z-000aaaaaa") {
		t.Errorf("attach to a run that never was: %s", e)
	}
}

// TestBesideAttachBeside: who merely looks takes nothing from the controller that began the run: it still answers what the bundle asks, and
// hears the end.
func TestBesideAttachBeside(t *testing.T) {
	w := newWorld(t)
	w.host("web1", sshd.Options{})
	w.file("asks.star", asksLater)
	w.file("late", "hello\n")
	w.fifo("started")
	w.fifo("go")
	p := w.start("run", "-H", "web1", "-e", "work="+w.dir, "asks.star")
	w.hears(filepath.Join(w.dir, "started"))
	elsewhere := &world{t: t, dir: t.TempDir(), home: w.home, key: w.key}
	a := elsewhere.start("attach", "web1")
	w.until("it is attached", func() bool { return len(w.helpers("web1", "attach")) == 1 })
	w.release()
	p.exits(0)
	a.exits(0)
	w.complete("web1")
}

// TestBesideDetach: Ctrl-C leaves the run to itself.
func TestBesideDetach(t *testing.T) {
	w := newWorld(t)
	w.host("web1", sshd.Options{})
	p := w.begun()
	w.must(p.cmd.Process.Kill())
	<-p.done
	a := w.start("attach", "--json", "web1")
	w.must(a.stdout.says(`"type":"start"`, 1))
	a.signal(os.Interrupt)
	a.exits(exitInterrupted)
	w.must(a.stderr.says("the run goes on on web1", 1))
	w.release()
	w.until("the run ends", func() bool { _, err := os.Stat(filepath.Join(w.dir, "end")); return err == nil })
	w.start("attach", "web1").exits(0)
}

// TestBesideOwnerKilled: the process that the run belongs to dies in the middle: the controller says what is known, and the next run works.
func TestBesideOwnerKilled(t *testing.T) {
	w := newWorld(t)
	w.host("web1", sshd.Options{})
	p := w.begun()
	w.must(w.helper("web1", "own").Kill())
	p.exits(exitUnreachable)
	f := w.finish("web1")
	if f.Error == nil || !strings.Contains(f.Error.Message, "without saying how") {
		t.Errorf("the journal's end: %+v", f)
	}
	w.unlocked("web1")
	w.release() // what the step began goes on by itself
	w.until("the evaluator ends", func() bool { return len(w.helpers("web1", "evaluate")) == 0 })
	q := w.begun()
	w.release()
	q.exits(0)
	w.complete("web1")
}

// TestBesideEvaluatorKilled: the process that evaluates dies: the session ends in its stead, with its journal whole.
func TestBesideEvaluatorKilled(t *testing.T) {
	for _, way := range [][]string{{"--evaluate=target"}, {"--evaluate=controller"}} {
		t.Run(way[0], func(t *testing.T) {
			w := newWorld(t)
			w.host("web1", sshd.Options{})
			w.file("slow.star", slowBundle)
			w.fifo("started")
			p := w.start(append([]string{"run", "-H", "web1", "-e", "work=" + w.dir, "slow.star", "hangs"}, way...)...)
			rest := w.hears(filepath.Join(w.dir, "started"))
			if way[0] == "--evaluate=target" {
				w.must(w.helper("web1", "evaluate").Kill())
			} else {
				w.must(w.child(p.cmd.Process.Pid).Kill())
			}
			w.gone(rest) // the command goes with it, children and all
			<-p.done
			if code := p.cmd.ProcessState.ExitCode(); code == 0 || code == exitUnreachable {
				t.Errorf("exit code %d", code)
			}
			f := w.finish("web1")
			if f.Error == nil || !strings.Contains(f.Error.Message, "evaluates the bundle") || !strings.Contains(f.Error.Message, "killed") {
				t.Errorf("the journal's end: %+v", f.Error)
			}
			recs := w.mine("web1")
			if e, ok := recs[len(recs)-2].Body.(journal.End); !ok || e.Status != journal.Failed {
				t.Errorf("the step under way has no end: %+v", recs[len(recs)-2])
			}
			if way[0] == "--evaluate=target" {
				w.complete("web1")
				w.unlocked("web1")
			}
			w.absent("after", "end")
		})
	}
}

// child is the one child of a process.
func (w *world) child(pid int) *os.Process {
	w.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	w.must(err)
	all, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	w.must(err)
	for _, f := range all {
		if c, err := os.ReadFile(f); err == nil && len(strings.TrimSpace(string(c))) > 0 {
			b = c
		}
	}
	var child int
	if _, err := fmt.Sscan(string(b), &child); err != nil {
		w.t.Fatalf("process %d has no child: %q", pid, b)
	}
	p, err := os.FindProcess(child)
	w.must(err)
	return p
}

// TestBesideSilentOwner: a host that does not answer any more does not hold whoever has had enough (F81).
func TestBesideSilentOwner(t *testing.T) {
	for name, enough := range map[string]func(*process){
		"ctrl-c twice": func(p *process) {
			p.signal(os.Interrupt)
			p.w.must(p.stderr.says("the step under way is the last one", 1))
			p.signal(os.Interrupt)
		},
		"timeout": func(*process) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.host("web1", sshd.Options{})
			var args []string
			if name == "timeout" {
				args = append(args, "--timeout=3s")
			}
			p := w.begun(args...)
			owner := w.helper("web1", "own")
			w.must(owner.Signal(syscall.SIGSTOP))
			defer owner.Kill()
			enough(p)
			want := exitInterrupted
			if name == "timeout" {
				want = exitFailed
			}
			p.exits(want)
			if f := w.finish("web1"); f.Error == nil {
				t.Errorf("the journal's end: %+v", f)
			}
			w.release()
		})
	}
}
