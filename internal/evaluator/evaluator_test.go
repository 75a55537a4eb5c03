//go:build unix

package evaluator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fabgo/internal/converge"
	"fabgo/internal/journal"
	"fabgo/interp"
	"fabgo/transport"
)

// TestMain lets the test binary be the child.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "child" {
		if err := Child(os.Stdin, os.Stdout, os.Getenv); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// kept is a sink that remembers, and fails from a record on.
type kept struct {
	mu      sync.Mutex
	records []journal.Record
	fail    int
}

func (k *kept) Record(r journal.Record) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail > 0 && len(k.records) >= k.fail {
		return errors.New("the disk is full")
	}
	k.records = append(k.records, r)
	return nil
}
func (k *kept) Keep(transport.Content) error { return nil }
func (k *kept) Sync() error                  { return nil }

func job(source string) Job {
	return Job{
		Closure: interp.Closure{Bundle: "//b.star", Files: []interp.File{{Name: "//b.star", Display: "b.star", Content: source}}},
		Mode:    journal.Running, Info: converge.Info{Name: "web1", Address: "a", User: "u", Acting: "u"}, State: "/state",
	}
}

// play evaluates a bundle whose ops host answers, in the test binary or in what command says.
// ledger answers what converge asks of its ledger of unsettled changes: there is none, and what is written there is forgotten.
func ledger(op transport.Op) (transport.Result, error, bool) {
	switch op := op.(type) {
	case transport.Read:
		return nil, &transport.Error{Kind: transport.NotFound, Path: op.Path}, true
	case transport.Write:
		return transport.Written{}, nil, true
	case transport.Mkdir, transport.Remove, transport.SetAttr:
		return transport.Done{}, nil, true
	}
	return nil, nil, false
}

func play(t *testing.T, ctx context.Context, source string, k *kept, host func(ctx context.Context, p *Process, op transport.Op) (transport.Result, error), command ...string) (journal.Verdict, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if command == nil {
		command = []string{self, "child"}
	}
	var p *Process
	ready := make(chan struct{})
	p, err = Start(Options{
		Command: func() *exec.Cmd { return exec.Command(command[0], command[1:]...) }, Sinks: []journal.Sink{k}, Now: time.Now,
		Host: transport.HostFunc(func(ctx context.Context, op transport.Op) (transport.Result, error) {
			<-ready
			if r, err, ok := ledger(op); ok {
				return r, err
			}
			return host(ctx, p, op)
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	close(ready)
	type end struct {
		v   journal.Verdict
		err error
	}
	ended := make(chan end, 1)
	go func() {
		v, err := p.Run(ctx, context.Background(), job(source))
		ended <- end{v, err}
	}()
	select {
	case e := <-ended:
		return e.v, e.err
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
		return "", nil
	}
}

func output(context.Context, *Process, transport.Op) (transport.Result, error) {
	return transport.Output{Stdout: "x"}, nil
}

// whole checks that a journal has a beginning, an end for each step, and one end.
func (k *kept) whole(t *testing.T) journal.Finish {
	t.Helper()
	open := 0
	for i, r := range k.records {
		switch r.Body.(type) {
		case journal.Start:
			if i != 0 {
				t.Errorf("record %d begins", i)
			}
		case journal.Begin:
			open++
		case journal.End:
			open--
		case journal.Finish:
			if i != len(k.records)-1 {
				t.Errorf("record %d of %d is the end", i, len(k.records))
			}
		}
	}
	if open != 0 {
		t.Errorf("%d steps have no end", open)
	}
	f, ok := k.records[len(k.records)-1].Body.(journal.Finish)
	if !ok {
		t.Fatal("there is no end")
	}
	return f
}

func TestEvaluates(t *testing.T) {
	k := &kept{}
	v, err := play(t, t.Context(), `run(["true"])`+"\n", k, output)
	if err != nil || v != journal.Finished {
		t.Fatal(v, err)
	}
	if f := k.whole(t); f.Status != journal.Finished || f.Counts[journal.Changed] != 1 {
		t.Errorf("%+v", f)
	}
}

// TestChildDies: whenever the child dies, the journal gets the end that it owed, and the parent lives.
func TestChildDies(t *testing.T) {
	t.Run("in a step", func(t *testing.T) {
		k := &kept{}
		over := false
		v, err := play(t, t.Context(), `run(["true"])`+"\n"+`run(["true"])`+"\n", k, func(ctx context.Context, p *Process, op transport.Op) (transport.Result, error) {
			if err := syscall.Kill(p.Pid(), syscall.SIGKILL); err != nil {
				return nil, err
			}
			<-ctx.Done() // what was under way is cut off with it,
			time.Sleep(50 * time.Millisecond)
			over = true
			return nil, context.Cause(ctx)
		})
		if !over { // and waited for
			t.Error("the session ended under an op")
		}
		if err != nil || v != journal.Broken {
			t.Fatal(v, err)
		}
		f := k.whole(t)
		if f.Error == nil || f.Error.Kind != journal.Internal || !strings.Contains(f.Error.Message, "killed") || f.Counts[journal.Failed] != 1 {
			t.Errorf("%+v, %+v", f, f.Error)
		}
	})
	for name, command := range map[string][]string{
		"at once":       {"/bin/sh", "-c", "exit 3"},
		"speechless":    {"/bin/sh", "-c", "read line; exit 0"},
		"with nonsense": {"/bin/sh", "-c", `printf '\036fabgo-wire/1\n'; head -c 5000 /dev/zero; sleep 0.1`},
		"no answer":     {"/bin/sh", "-c", `printf '\036fabgo-wire/1\n'; exit 1`},
	} {
		t.Run(name, func(t *testing.T) {
			k := &kept{}
			v, err := play(t, t.Context(), `run(["true"])`+"\n", k, output, command...)
			if err != nil || v != journal.Broken {
				t.Fatal(v, err)
			}
			if f := k.whole(t); f.Error == nil || len(k.records) != 2 {
				t.Errorf("%+v", k.records)
			}
		})
	}
}

// TestSinkFails: what cannot be written down ends the session, and nothing more is done.
func TestSinkFails(t *testing.T) {
	for fail := 1; fail < 5; fail++ {
		k := &kept{fail: fail}
		ops := 0
		_, err := play(t, t.Context(), strings.Repeat(`run(["true"])`+"\n", 50), k, func(ctx context.Context, p *Process, op transport.Op) (transport.Result, error) {
			ops++
			return output(ctx, p, op)
		})
		if err == nil || !strings.Contains(err.Error(), "the disk is full") {
			t.Errorf("from record %d on: %v", fail, err)
		}
		if ops > 1 {
			t.Errorf("%d ops were done after the journal failed", ops)
		}
	}
}

// TestSignals: what reaches every process of a terminal or a machine does not end the child before its parent says so.
func TestSignals(t *testing.T) {
	k := &kept{}
	v, err := play(t, t.Context(), `run(["true"])`+"\n", k, func(ctx context.Context, p *Process, op transport.Op) (transport.Result, error) {
		for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
			if err := syscall.Kill(p.Pid(), s); err != nil {
				return nil, err
			}
		}
		return output(ctx, p, op)
	})
	if err != nil || v != journal.Finished {
		t.Errorf("%v, %v, %+v", v, err, k.records)
	}
}

// TestStop: the step under way ends well, the next one does not begin.
func TestStop(t *testing.T) {
	k := &kept{}
	ctx, stop := context.WithCancelCause(t.Context())
	ops := 0
	v, err := play(t, ctx, strings.Repeat(`run(["true"])`+"\n", 1000), k, func(ctx context.Context, p *Process, op transport.Op) (transport.Result, error) {
		if ops++; ops == 1 {
			stop(errors.New("enough"))
		}
		return output(ctx, p, op)
	})
	if err != nil || v != journal.Interrupted {
		t.Fatal(v, err)
	}
	if f := k.whole(t); f.Error == nil || ops == 1000 || f.Counts[journal.Failed] != 0 {
		t.Errorf("%d ops, %+v", ops, f)
	}
}
