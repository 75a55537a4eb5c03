//go:build linux

package confine_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"fabgo/internal/confine"
)

const mib = 1 << 20

func start(t *testing.T, cmd *exec.Cmd, l confine.Limits) *confine.Child {
	t.Helper()
	c, err := confine.Start(cmd, l)
	if err != nil {
		t.Fatal(err)
	}
	// A limit that does not work must not hang the test.
	guard := time.AfterFunc(time.Minute, func() {
		t.Error("the child did not end by itself")
		c.Kill()
	})
	t.Cleanup(func() { guard.Stop(); c.Kill(); c.Wait() })
	return c
}

func killed(t *testing.T, err error) *confine.Killed {
	t.Helper()
	k, ok := errors.AsType[*confine.Killed](err)
	if !ok {
		t.Fatalf("got %v (%T), want a *Killed", err, err)
	}
	return k
}

// peak is what the child had resident at most. It is at least what this process has: the kernel counts from the fork.
func peak(c *confine.Child) int64 {
	return int64(c.ProcessState().SysUsage().(*syscall.Rusage).Maxrss) << 10
}

func cpu(c *confine.Child) time.Duration {
	return c.ProcessState().UserTime() + c.ProcessState().SystemTime()
}

func TestLimits(t *testing.T) {
	for kind, tt := range map[string]struct {
		limits confine.Limits
		want   string
	}{
		"grow":  {confine.Limits{Memory: 320 * mib}, "killed: memory (320 MiB) at grow.star:12"},
		"spin":  {confine.Limits{CPU: 200 * time.Millisecond}, "killed: cpu (200ms) at spin.star:3"},
		"sleep": {confine.Limits{Wall: 100 * time.Millisecond}, "killed: time (100ms) at sleep.star:7"},
		"deep":  {confine.Limits{}, "killed: stack (64 MiB) at deep.star:1"},
	} {
		t.Run(kind, func(t *testing.T) {
			c := start(t, command(t, kind), tt.limits)
			err := c.Wait()
			if k := killed(t, err); k.Error() != tt.want || k.Hint() == "" {
				t.Errorf("got %q, want %q", k, tt.want)
			}
			if tt.limits.Memory > 0 && peak(c) > tt.limits.Memory {
				t.Errorf("it had %d MiB resident", peak(c)/mib)
			}
			if err2 := c.Wait(); err2 != err {
				t.Errorf("asked again: %v", err2)
			}
		})
	}
}

// TestWatchdogAlone: where the kernel does not count what Go maps (before 4.7), looking is what holds the limit.
func TestWatchdogAlone(t *testing.T) {
	c := start(t, command(t, "grow"), confine.Limits{Memory: 512 * mib}.WatchOnly())
	if k := killed(t, c.Wait()); k.Error() != "killed: memory (512 MiB) at grow.star:12" {
		t.Errorf("got %v", k)
	}
	if p := peak(c); p > 576*mib || p < 400*mib { // a busy machine may be late to look
		t.Errorf("it had %d MiB resident", p/mib)
	}
}

func TestTotalCPU(t *testing.T) {
	cmd := command(t, "stretches")
	in, out := pipes(t, cmd)
	c := start(t, cmd, confine.Limits{CPU: time.Hour, Total: 300 * time.Millisecond})
	answered := work(c, in, out, 1000)
	k := killed(t, c.Wait())
	if k.Error() != "killed: cpu (300ms in all)" || answered < 3 || answered > 20 {
		t.Errorf("after %d stretches: %v", answered, k)
	}
}

// TestStretches: a child may compute many times as long as one stretch allows, if it asks in between.
func TestStretches(t *testing.T) {
	cmd := command(t, "stretches")
	in, out := pipes(t, cmd)
	c := start(t, cmd, confine.Limits{CPU: 500 * time.Millisecond})
	if n := work(c, in, out, 30); n != 30 {
		t.Errorf("it was ended after %d stretches: %v", n, c.Wait())
		return
	}
	in.Close()
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

// work lets the child compute n times, with something that it waits for in between; it says how often it did.
func work(c *confine.Child, in io.Writer, out io.Reader, n int) int {
	b := make([]byte, 1)
	for i := range n {
		c.Waiting(true)
		c.Waiting(true) // calls nest
		c.Waiting(false)
		c.Waiting(false)
		if _, err := in.Write(b); err != nil {
			return i
		}
		if _, err := io.ReadFull(out, b); err != nil {
			return i
		}
	}
	return n
}

func TestWaitingStopsTheClock(t *testing.T) {
	cmd := command(t, "idle")
	in, out := pipes(t, cmd)
	c := start(t, cmd, confine.Limits{Wall: 20 * time.Second})
	_ = in
	c.Waiting(true)
	bufio.NewReader(out).ReadString('\n')
	in.Close()
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	cmd = command(t, "sleep")
	_, out = pipes(t, cmd)
	c = start(t, cmd, confine.Limits{Wall: 50 * time.Millisecond})
	c.Waiting(true)
	bufio.NewReader(out).ReadString('\n')
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err := <-ended:
		t.Fatalf("while it waited: %v", err)
	case <-time.After(time.Second):
	}
	c.Waiting(false)
	if k := killed(t, <-ended); k.Reason != confine.Time {
		t.Errorf("got %v", k)
	}
}

func pipes(t *testing.T, cmd *exec.Cmd) (io.WriteCloser, io.Reader) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	return in, out
}

// TestGarbageIsNotMemory: what was thrown away is collected before the limit is said to be passed.
func TestGarbageIsNotMemory(t *testing.T) {
	cmd := command(t, "garbage")
	var out bytes.Buffer
	cmd.Stdout = &out
	c := start(t, cmd, confine.Limits{CPU: time.Minute})
	if err := c.Wait(); err != nil || out.String() != "done\n" {
		t.Errorf("%v, %q", err, &out)
	}
}

func TestKill(t *testing.T) {
	for _, leave := range []string{"", "1"} {
		cmd := command(t, "stubborn")
		cmd.Env = append(os.Environ(), "LEAVE="+leave)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		cmd.Stdout = w
		c := start(t, cmd, confine.Limits{Wall: -1})
		w.Close()
		lines := bufio.NewReader(r)
		if s, err := lines.ReadString('\n'); s != "ready\n" {
			t.Fatalf("%q %v %s", s, err, c.Stderr())
		}
		if leave == "" {
			c.Kill()
			if err := c.Wait(); err != confine.ErrEnded {
				t.Errorf("got %v", err)
			}
		} else if err := c.Wait(); err != nil {
			t.Errorf("got %v", err)
		}
		// The pipe ends when sleep, which the child started, is gone too.
		if _, err := io.ReadAll(lines); err != nil {
			t.Error(err)
		}
		c.Kill() // too late, and harmless
	}
}

func TestDeathOfTheParent(t *testing.T) {
	cmd := command(t, "parent")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stdout = w
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	lines := bufio.NewReader(r)
	if s, err := lines.ReadString('\n'); s != "ready\n" {
		t.Fatalf("%q %v %s", s, err, &stderr)
	}
	cmd.Process.Kill()
	cmd.Wait()
	r.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.ReadAll(lines); err != nil {
		t.Errorf("the child outlived its parent: %v", err)
	}
}

func TestDefectsAreNoLimits(t *testing.T) {
	c := start(t, command(t, "panic"), confine.Limits{})
	err := c.Wait()
	crash, ok := errors.AsType[*confine.Crash](err)
	if !ok || err.Error() != "crashed at panic.star:5: panic: as a bug would" || !strings.Contains(crash.Stderr, "harness_test.go") {
		t.Errorf("got %v", err)
	}
	c = start(t, command(t, "exit"), confine.Limits{})
	if err := c.Wait(); err == nil || err.Error() != "exit status 3: could not do it" {
		t.Errorf("got %v", err)
	}
	c = start(t, command(t, "noisy"), confine.Limits{})
	err = c.Wait()
	if said := c.Stderr(); !errors.As(err, &crash) || len(said) > 64<<10 || !strings.Contains(said, "left out") || !strings.Contains(said, "panic: the end") {
		t.Errorf("got %v and %d bytes", err, len(said))
	}
}

func TestSignalFromElsewhere(t *testing.T) {
	cmd := command(t, "sleep")
	_, out := pipes(t, cmd)
	c := start(t, cmd, confine.Limits{})
	bufio.NewReader(out).ReadString('\n')
	if got := c.Where(); got != "sleep.star:7" {
		t.Errorf("it is at %q", got)
	}
	cmd.Process.Kill()
	if k := killed(t, c.Wait()); k.Error() != "killed: signal (killed) at sleep.star:7" {
		t.Errorf("got %v", k)
	}
}

func TestCannotStart(t *testing.T) {
	if _, err := confine.Start(exec.Command("/nonexistent/fabgo"), confine.Limits{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := confine.Inside(func(string) string { return "" }); err != confine.ErrNotConfined {
		t.Errorf("got %v", err)
	}
}

// TestWatchingIsCheap: a child that computes for long is looked at rarely.
func TestWatchingIsCheap(t *testing.T) {
	before := ownCPU()
	c := start(t, command(t, "spin"), confine.Limits{CPU: time.Second})
	killed(t, c.Wait())
	if used := ownCPU() - before; used > 100*time.Millisecond {
		t.Errorf("watching one second took %v", used)
	}
}

func ownCPU() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkStart is the life of a child that does nothing, with and without limits.
func BenchmarkStart(b *testing.B) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("confined", func(b *testing.B) {
		for b.Loop() {
			c, err := confine.Start(exec.Command(self, childArg, "nothing"), confine.Limits{})
			if err != nil {
				b.Fatal(err)
			}
			if err := c.Wait(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			cmd := exec.Command(self, childArg, "nothing")
			cmd.Env = append(os.Environ(), confine.Variable+"=page=0 memory=-1 cpu=0")
			if err := cmd.Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
