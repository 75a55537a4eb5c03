package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fabgo/transport"
)

// TestMessagesKeepTheirOrder: also relative to the calls that the same goroutine makes after them. A journal stands on it: the intent of a
// change is on the disk before the change is begun.
func TestMessagesKeepTheirOrder(t *testing.T) {
	var received atomic.Int64
	last := map[string]int{}
	a, b := join(t, Options{}, Options{
		Receive: func(topic string, payload []byte) error {
			var n int
			fmt.Sscan(string(payload), &n)
			if n != last[topic]+1 {
				t.Errorf("%s: %d comes after %d", topic, n, last[topic])
			}
			last[topic] = n
			received.Add(1)
			return nil
		},
		Call: func(_ context.Context, name string, args []byte, _ *transport.Content) ([]byte, error) {
			return fmt.Append(nil, received.Load()), nil
		},
	})
	var senders sync.WaitGroup
	for s := range 4 {
		senders.Go(func() {
			for n := range 1000 {
				if err := a.Send(fmt.Sprint(s), fmt.Append(nil, n+1)); err != nil {
					t.Error(err)
				}
				if n%100 == 99 {
					got, err := a.Call(t.Context(), "seen", nil, nil)
					var seen int
					if fmt.Sscan(string(got), &seen); err != nil || seen < n+1 {
						t.Errorf("a call after %d messages was served after %d: %v", n+1, seen, err)
					}
				}
			}
		})
	}
	within(t, "the messages", senders.Wait)
	a.Flush()
	a.Close()
	wait(t, "the end", b.Done())
	if received.Load() != 4000 {
		t.Errorf("%d messages", received.Load())
	}
}

// TestCloseDelivers: what was sent before Close is received, and the far end sees a clean end.
func TestCloseDelivers(t *testing.T) {
	for _, join := range []func(testing.TB, Options, Options) (*Conn, *Conn){join, joinSync} {
		got := 0
		a, b := join(t, Options{}, Options{Receive: func(string, []byte) error { got++; return nil }})
		for range 100 {
			if err := a.Send("t", make([]byte, 9000)); err != nil {
				t.Fatal(err)
			}
		}
		a.Close()
		wait(t, "the end", b.Done())
		if got != 100 || b.Err() != io.EOF {
			t.Errorf("%d messages, then %v", got, b.Err())
		}
	}
}

func TestReceiveFails(t *testing.T) {
	a, b := join(t, Options{}, Options{Receive: func(string, []byte) error { return errors.New("no space left") }})
	a.Send("record", nil)
	ended(t, b, "no space left")
	wait(t, "the end", a.Done())
}

// stuck is a host whose ops end when their contexts do.
type stuck struct {
	begun chan struct{}
	ended chan error
}

func newStuck() *stuck { return &stuck{make(chan struct{}, 100), make(chan error, 100)} }

func (s *stuck) Do(ctx context.Context, op transport.Op) (transport.Result, error) {
	s.begun <- struct{}{}
	<-ctx.Done()
	s.ended <- context.Cause(ctx)
	return nil, &transport.Error{Kind: transport.Interrupted, Message: "far: " + context.Cause(ctx).Error(), Stderr: "last words"}
}

// TestCancel: the far op's own error comes back, through two connections, and knows why.
func TestCancel(t *testing.T) {
	s := newStuck()
	owner, _ := join(t, Options{}, Options{Host: s})
	first, _ := join(t, Options{}, Options{Host: owner})
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() { _, err := first.Do(ctx, change); done <- err }()
	wait(t, "the op", s.begun)
	why := errors.New("somebody pressed a key")
	cancel(why)
	wait(t, "the end of the op", s.ended)
	err := wait(t, "the answer", done)
	te, ok := errors.AsType[*transport.Error](err)
	if !ok || te.Kind != transport.Interrupted || te.Message != "far: somebody pressed a key" || te.Stderr != "last words" || !errors.Is(err, why) {
		t.Errorf("%+v", err)
	}
	// A context that has ended already: nothing is sent.
	if _, err := first.Do(ctx, change); transport.KindOf(err) != transport.Interrupted || !errors.Is(err, why) || len(s.begun) != 0 {
		t.Errorf("%+v", err)
	}
}

// TestCancelAtOnce: a cancel that follows its call at once must not overtake it.
func TestCancelAtOnce(t *testing.T) {
	s := newStuck()
	_, f := byHand(t, Options{Host: s})
	for id := range uint64(100) {
		b := appendFrame(nil, frame{kindCall, id, pack([]byte(doCall), transport.EncodeOp(stat), nil)})
		f.write(appendFrame(b, frame{kindCancel, id, []byte("never mind")}))
		if e := decodeError(f.next(kindFail).body); e.Message != "far: never mind" {
			t.Fatal(e)
		}
		<-s.begun
		<-s.ended
	}
}

// TestCancelIsNotTheAnswer: an op that succeeds all the same has succeeded.
func TestCancelIsNotTheAnswer(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	a, _ := join(t, Options{}, Options{Host: transport.HostFunc(func(ctx context.Context, _ transport.Op) (transport.Result, error) {
		close(begun)
		<-ctx.Done()
		<-end
		return transport.Done{}, nil
	})})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := a.Do(ctx, change); done <- err }()
	<-begun
	cancel()
	close(end)
	if err := wait(t, "the answer", done); err != nil {
		t.Error(err)
	}
}

// TestConnectionDies under a change, a question and another call.
func TestConnectionDies(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(ctx context.Context, c *Conn) error
		kind transport.Kind
	}{
		{"change", func(ctx context.Context, c *Conn) error { _, err := c.Do(ctx, change); return err }, transport.Lost},
		{"changing command", func(ctx context.Context, c *Conn) error {
			_, err := c.Do(ctx, transport.Exec{Argv: transport.Texts("x"), Change: true})
			return err
		}, transport.Lost},
		{"question", func(ctx context.Context, c *Conn) error { _, err := c.Do(ctx, stat); return err }, transport.Unreachable},
		{"call", func(ctx context.Context, c *Conn) error { _, err := c.Call(ctx, "x", nil, nil); return err }, transport.Unreachable},
	} {
		for _, how := range []string{"far end", "this end"} {
			s := newStuck()
			a, b := join(t, Options{}, Options{Host: s, Call: func(ctx context.Context, _ string, _ []byte, _ *transport.Content) ([]byte, error) {
				_, err := s.Do(ctx, stat)
				return nil, err
			}})
			done := make(chan error, 1)
			go func() { done <- tt.do(t.Context(), a) }()
			wait(t, "the op", s.begun)
			want := io.EOF
			if how == "far end" {
				b.Close()
			} else {
				a.Close()
				want = errClosed
			}
			err := wait(t, tt.name, done)
			if transport.KindOf(err) != tt.kind || !errors.Is(err, want) {
				t.Errorf("%s, closed by the %s: %s %v", tt.name, how, transport.KindOf(err), err)
			}
			if tt.kind == transport.Lost && err.(*transport.Error).Hint == "" {
				t.Error("no hint")
			}
			wait(t, "the far op", s.ended)
		}
	}
}

// TestLastWords: what a far end said before it went arrives although it reads no more, and writing to it fails.
func TestLastWords(t *testing.T) {
	leakless(t)
	in, w := io.Pipe()
	var said []string
	c := New(in, writerFunc(func([]byte) (int, error) { return 0, io.ErrClosedPipe }), in.Close, Options{Receive: func(topic string, _ []byte) error {
		said = append(said, topic)
		return nil
	}})
	within(t, "the failed write", c.Flush) // of the greeting
	w.Write(append([]byte(greeting), appendFrame(nil, frame{kindMessage, 0, pack([]byte("killed: memory"), nil)})...))
	w.Close()
	ended(t, c, "EOF")
	if !slices.Equal(said, []string{"killed: memory"}) {
		t.Errorf("%q", said)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestCloseDoesNotHang: a far end that does not read is left after a while.
func TestCloseDoesNotHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := net.Pipe()
		defer y.Close()
		c := New(x, x, x.Close, Options{})
		if err := c.Send("t", nil); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		c.Close()
		if took := time.Since(begin); took != closeTime {
			t.Errorf("closing took %v", took)
		}
		ended(t, c, "closed on this side")
	})
}

// TestNeitherReadsNorEnds: what a far end may still have to say after it stopped reading is awaited, but not for ever.
func TestNeitherReadsNorEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, w := io.Pipe()
		defer w.Close()
		c := New(in, writerFunc(func([]byte) (int, error) { return 0, errors.New("broken pipe") }), in.Close, Options{})
		begin := time.Now()
		ended(t, c, "broken pipe")
		if took := time.Since(begin); took != drainTime {
			t.Errorf("it took %v", took)
		}
	})
}

// TestBackPressure: who sends to a far end that does not take it has to wait, and memory does not grow.
func TestBackPressure(t *testing.T) {
	release := make(chan struct{})
	var got atomic.Int64
	a, _ := join(t, Options{}, Options{Receive: func(_ string, payload []byte) error {
		<-release
		got.Add(int64(len(payload)))
		return nil
	}})
	before := inUse()
	const size, count = 64 << 10, 1000
	var sent atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range count {
			if err := a.Send("t", make([]byte, size)); err != nil {
				t.Error(err)
			}
			sent.Add(1)
		}
	}()
	within(t, "the sender waits", func() {
		a.out.mu.Lock()
		defer a.out.mu.Unlock()
		for len(a.out.queue) <= queueLimit || !a.out.busy {
			a.out.moved.Wait()
		}
	})
	if n := sent.Load(); n*size > 4*queueLimit {
		t.Errorf("%d bytes were taken", n*size)
	}
	if used := inUse() - before; used > 8<<20 {
		t.Errorf("%d bytes are in use", used)
	}
	close(release)
	wait(t, "the messages", done)
	a.Flush()
	if _, err := a.Call(t.Context(), "x", nil, nil); transport.KindOf(err) != transport.Unsupported { // behind them
		t.Error(err)
	}
	if got.Load() != size*count {
		t.Errorf("%d bytes came", got.Load())
	}
}

// TestBothSendAtOnce: two ends that send messages, ops with large contents and answers to them at once do not wait for each other.
func TestBothSendAtOnce(t *testing.T) {
	for _, join := range []func(testing.TB, Options, Options) (*Conn, *Conn){join, joinSync} {
		sa, sb := &sink{}, &sink{}
		var messages atomic.Int64
		receive := func(string, []byte) error { messages.Add(1); return nil }
		a, b := join(t, Options{Host: sa, Receive: receive}, Options{Host: sb, Receive: receive})
		content := source(t, 2*window)
		var all sync.WaitGroup
		for _, c := range []*Conn{a, b} {
			for range 3 {
				all.Go(func() {
					if _, err := c.Do(t.Context(), transport.Write{Path: "/f", Content: content}); err != nil {
						t.Error(err)
					}
				})
				all.Go(func() {
					for range 50 {
						if err := c.Send("t", make([]byte, 100<<10)); err != nil {
							t.Error(err)
						}
					}
					if _, err := c.Call(t.Context(), "x", make([]byte, 5<<20), nil); transport.KindOf(err) != transport.Unsupported {
						t.Error(err)
					}
				})
			}
		}
		within(t, "both ends", all.Wait)
		if sa.read.Load() != 3*content.Size || sb.read.Load() != 3*content.Size || messages.Load() != 300 {
			t.Errorf("%d and %d bytes, %d messages", sa.read.Load(), sb.read.Load(), messages.Load())
		}
	}
}

// TestManyCalls makes more calls than may be under way, each of which calls back.
func TestManyCalls(t *testing.T) {
	var a *Conn
	ready := make(chan struct{})
	var b *Conn
	a, b = join(t, Options{Host: quick}, Options{Host: transport.HostFunc(func(ctx context.Context, op transport.Op) (transport.Result, error) {
		<-ready
		return b.Do(ctx, op)
	})})
	close(ready)
	var calls sync.WaitGroup
	for range 3 * callLimit {
		calls.Go(func() {
			if _, err := a.Do(t.Context(), stat); err != nil {
				t.Error(err)
			}
		})
	}
	within(t, "the calls", calls.Wait)
	for _, c := range []*Conn{a, b} {
		c.mu.Lock()
		if len(c.calls)+len(c.serving)+len(c.callSlots) != 0 {
			t.Errorf("%d calls, %d served, %d slots are left", len(c.calls), len(c.serving), len(c.callSlots))
		}
		c.mu.Unlock()
	}
}

// TestErrorsKeepWhatTheySay through two connections.
func TestErrorsKeepWhatTheySay(t *testing.T) {
	var fails error
	owner, _ := join(t, Options{}, Options{Host: transport.HostFunc(func(context.Context, transport.Op) (transport.Result, error) { return nil, fails })})
	first, _ := join(t, Options{}, Options{Host: owner})
	full := transport.Error{Kind: transport.Denied, Message: "write /x: permission denied", Path: "/x\xff", Hint: "try harder", Stderr: "\x1b[31m\xfe"}
	for _, tt := range []struct {
		err  error
		want transport.Error
	}{
		{&full, full},
		{fmt.Errorf("apply: %w", &full), transport.Error{Kind: full.Kind, Message: "apply: " + full.Message, Path: full.Path, Hint: full.Hint, Stderr: full.Stderr}},
		{errors.New("plain"), transport.Error{Kind: transport.IO, Message: "plain"}},
		{context.Canceled, transport.Error{Kind: transport.Interrupted, Message: "context canceled"}},
		{fmt.Errorf("wait: %w", context.DeadlineExceeded), transport.Error{Kind: transport.Interrupted, Message: "wait: context deadline exceeded"}},
		{errors.New(""), transport.Error{Kind: transport.IO, Message: "failed without a reason"}},
		{&transport.Error{Message: "m", Err: io.EOF}, transport.Error{Kind: transport.IO, Message: "m"}},
	} {
		fails = tt.err
		res, err := first.Do(t.Context(), change)
		if got, ok := errors.AsType[*transport.Error](err); !ok || *got != tt.want || res != nil {
			t.Errorf("%v came as %+v", tt.err, err)
		}
	}
}

// TestTooLarge: what does not fit into a frame is refused, and the connection goes on.
func TestTooLarge(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes gigabytes of it")
	}
	large := transport.Text(bytes.Repeat([]byte("x"), MaxFrame))
	var res transport.Result
	var fails error
	a, _ := join(t, Options{}, Options{
		Host: transport.HostFunc(func(context.Context, transport.Op) (transport.Result, error) { return res, fails }),
		Call: func(context.Context, string, []byte, *transport.Content) ([]byte, error) { return []byte(large), nil },
	})
	if err := a.Send("t", []byte(large)); err == nil || !strings.Contains(err.Error(), "can be sent at once") {
		t.Error(err)
	}
	res = transport.Output{Stdout: large}
	for _, tt := range []struct {
		op   transport.Op
		kind transport.Kind
		want string
	}{
		{transport.Exec{Argv: []transport.Text{large}}, transport.Refused, "more than the"},
		{transport.Exec{Argv: transport.Texts("x")}, transport.Refused, "exec: the answer"},
		{transport.Exec{Argv: transport.Texts("x"), Change: true}, transport.Lost, "it was done, but the answer cannot be told"},
	} {
		if _, err := a.Do(t.Context(), tt.op); transport.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v", err)
		}
	}
	if _, err := a.Call(t.Context(), "x", nil, nil); transport.KindOf(err) != transport.Refused {
		t.Error(err)
	}
	res, fails = nil, &transport.Error{Kind: transport.Denied, Message: "no", Stderr: large + "end"}
	_, err := a.Do(t.Context(), change)
	if te, ok := errors.AsType[*transport.Error](err); !ok || te.Kind != transport.Denied || te.Message != "no" || !strings.HasSuffix(string(te.Stderr), "xend") {
		t.Errorf("%.200v", err)
	}
	res, fails = transport.Done{}, nil
	if _, err := a.Do(t.Context(), change); err != nil {
		t.Error(err)
	}
}
