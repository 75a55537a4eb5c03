package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"fabgo/builtins"
	"fabgo/bundles"
	"fabgo/internal/beside"
	"fabgo/internal/converge"
	"fabgo/internal/evaluator"
	"fabgo/internal/helper"
	"fabgo/internal/journal"
	"fabgo/interp"
	"fabgo/transport"
)

// measureStart measures how long a helper that is there already takes from its start to its first step: the program is started here, by a
// shell as at the far end of a connection, and no connection is in between.
func (l *lab) measureStart(r *report) {
	bundle := filepath.Join(l.dir, "start.star")
	l.must(os.WriteFile(bundle, []byte("file.exists(\"/\")\n"), 0o600))
	in, err := builtins.Interp(interp.Options{Fab: bundles.Fab()})
	l.must(err)
	opened, err := in.Open(bundle)
	l.must(err)
	var times []time.Duration
	start := &Case{Name: "helper: from its start to the first step", Run: func() error {
		took, err := l.firstStep(opened.Closure())
		times = append(times, took)
		return err
	}}
	l.must(Interleave(3*l.rounds, start))
	start.times = times
	r.times("helper", start)
	r.bound("helper, warm, from its start to the first step", Seconds(start.Median()), "30 ms", start.Median() < 30*time.Millisecond)
}

func (l *lab) firstStep(c interp.Closure) (time.Duration, error) {
	state := filepath.Join(l.dir, "helper-state")
	began := time.Now()
	first := &stopwatch{since: began}
	j := helper.Job{
		Job: evaluator.Job{Closure: c, Mode: journal.Running, Info: converge.Info{Name: "here", Acting: "root"}},
		Holder: helper.Holder{User: "bench", Run: fmt.Sprintf("%s-%03d%06x", began.UTC().Format("20060102T150405Z"), began.Nanosecond()/1e6,
			began.Nanosecond()%1e6)},
	}
	_, err := beside.Play(context.Background(), context.Background(), j, beside.Options{
		Far: here{state}, Binaries: &beside.Binaries{Self: l.fabgo}, At: l.fabgo, Root: true, Version: "bench", Prelude: builtins.PreludeDigest(),
		Controller: transport.HostFunc(func(context.Context, transport.Op) (transport.Result, error) {
			return nil, &transport.Error{Kind: transport.Unsupported, Message: "nothing is asked here"}
		}),
		Sinks: []journal.Sink{first}, Notice: func(string) {}, Now: time.Now,
	})
	return first.took, err
}

// stopwatch is a sink that notes when the helper began its first step.
type stopwatch struct {
	since time.Time
	took  time.Duration
}

func (s *stopwatch) Record(r journal.Record) error {
	if _, ok := r.Body.(journal.Begin); ok && s.took == 0 {
		s.took = r.Time.Sub(s.since)
	}
	return nil
}
func (s *stopwatch) Keep(transport.Content) error { return nil }
func (s *stopwatch) Sync() error                  { return nil }

// here starts programs on this machine.
type here struct{ state string }

func (h here) Start(_ context.Context, script string) (beside.Stream, error) {
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", helper.StateEnv + "=" + h.state}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &program{ReadCloser: out, in: in, cmd: cmd}, cmd.Start()
}

type program struct {
	io.ReadCloser
	in  io.WriteCloser
	cmd *exec.Cmd
}

func (p *program) Write(b []byte) (int, error) { return p.in.Write(b) }
func (p *program) Flush()                      {}
func (p *program) CloseWrite() error           { return p.in.Close() }
func (p *program) Close() error                { p.in.Close(); return p.ReadCloser.Close() }
func (p *program) Wait() error                 { return p.cmd.Wait() }
