package helper

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/wire"
)

// limit bounds what a test waits for. It is never waited out where the code works.
const limit = time.Minute

// caller is a controller at the end of a pipe.
type caller struct {
	t    *testing.T
	far  *wire.Conn // the hub's end
	near *wire.Conn

	mu      sync.Mutex
	records []int
	done    *Done
	ended   chan struct{}
}

func call(t *testing.T) *caller {
	t.Helper()
	c := &caller{t: t, ended: make(chan struct{})}
	r1, w1 := io.Pipe()
	r2, w2 := io.Pipe()
	end := func() error { r1.Close(); w1.Close(); r2.Close(); return w2.Close() }
	c.far = wire.New(r1, w2, end, wire.Options{})
	c.near = wire.New(r2, w1, end, wire.Options{
		Host: transport.HostFunc(func(context.Context, transport.Op) (transport.Result, error) {
			return transport.Data{Content: transport.String("answer")}, nil
		}),
		Receive: func(topic string, payload []byte) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			switch topic {
			case TopicRecord:
				var r journal.Record
				if err := json.Unmarshal(payload, &r); err != nil {
					return err
				}
				c.records = append(c.records, r.Step)
			case TopicDone:
				c.done = &Done{}
				close(c.ended)
				return json.Unmarshal(payload, c.done)
			}
			return nil
		},
	})
	t.Cleanup(func() { c.near.Close(); c.far.Close() })
	return c
}

func (c *caller) wait() {
	c.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(limit):
		c.t.Fatal("it is not told the end")
	}
}

func (c *caller) saw() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.records)
}

func note(h *hub, n int) {
	_ = h.Record(journal.Record{Host: "web1", Step: n, Body: journal.Note{Text: fmt.Sprint(n)}})
}

// TestHub: whoever comes gets each record once and in order, from where it stopped.
func TestHub(t *testing.T) {
	h := newHub()
	first, second, late := call(t), call(t), call(t)
	h.serve(first.far, 0, true)
	for n := range 100 {
		note(h, n)
	}
	h.serve(second.far, 40, false)
	for n := 100; n < 200; n++ {
		note(h, n)
	}
	h.end(Done{Verdict: journal.Finished})
	h.serve(late.far, 200, false)
	want := func(from int) string {
		all := []int{}
		for n := from; n < 200; n++ {
			all = append(all, n)
		}
		return fmt.Sprint(all)
	}
	for c, from := range map[*caller]int{first: 0, second: 40} {
		c.wait()
		if got := c.saw(); got != want(from) {
			t.Errorf("from %d: %s", from, got)
		}
	}
	late.wait()
	if got := late.saw(); got != "[]" {
		t.Errorf("who knew all was told %s", got)
	}

	// The end has been read when one has, and nobody else is still reading.
	h.bye(late.far)
	select {
	case <-h.read:
		t.Error("two others are still reading")
	default:
	}
	h.bye(first.far)
	second.near.Close()
	select {
	case <-h.read:
	case <-time.After(limit):
		t.Error("all have read the end, and it waits")
	}
}

// TestHubEnd: nobody is waited for who would find the end in the journal; what is not in the journal waits for one who comes back.
func TestHubEnd(t *testing.T) {
	h := newHub()
	c := call(t)
	h.serve(c.far, 0, true)
	c.near.Close()
	<-c.far.Done()
	h.end(Done{Verdict: journal.Finished})
	select {
	case <-h.read:
	case <-time.After(limit):
		t.Error("it waits for nobody")
	}
	h = newHub()
	h.end(Done{Error: "the journal could not be written"})
	select {
	case <-h.read:
		t.Error("the end is lost")
	default:
	}
}

// TestHubLink: the controller that answers is the latest that can, and what it takes the place of is given up at once.
func TestHubLink(t *testing.T) {
	h := newHub()
	lost := make(chan struct{}, 10)
	h.whenGone(func() { lost <- struct{}{} })
	<-lost // nobody is there yet
	first, watcher, second := call(t), call(t), call(t)
	h.serve(first.far, 0, true)
	h.serve(watcher.far, 0, false)
	if h.controller(0, nil) != first.far {
		t.Error("who only watches is asked")
	}
	h.serve(second.far, 0, true)
	select {
	case <-first.far.Done(): // or who waits for its answer would wait as long as the network does
	case <-time.After(limit):
		t.Fatal("the old connection is kept")
	}
	if h.controller(0, nil) != second.far {
		t.Error("the latest is not asked")
	}
	select {
	case <-lost:
		t.Error("that it came back counts as lost")
	default:
	}
	second.near.Close()
	select {
	case <-lost:
	case <-time.After(limit):
		t.Fatal("the loss is not told")
	}

	// A question waits for one that comes back, and no longer than it may.
	got := make(chan *wire.Conn)
	go func() { got <- h.controller(limit, nil) }()
	third := call(t)
	h.serve(third.far, 0, true)
	select {
	case c := <-got:
		if c != third.far {
			t.Error("somebody else is asked")
		}
	case <-time.After(limit):
		t.Fatal("who came back is not asked")
	}
	third.near.Close()
	<-third.far.Done()
	<-lost
	if c := h.controller(time.Millisecond, nil); c != nil {
		t.Error("nobody is there, and is asked")
	}
	cancelled := make(chan struct{})
	close(cancelled)
	if c := h.controller(time.Hour, cancelled); c != nil {
		t.Error("a question that was withdrawn is asked")
	}
}

// TestAsksAgain: a question that was under way when the connection died is asked again of the controller that comes back.
func TestAsksAgain(t *testing.T) {
	h := newHub()
	a := &asks{life: t.Context(), hub: h, patience: limit}
	first := call(t)
	h.serve(first.far, 0, true)
	asked := make(chan struct{}, 2)
	answer := make(chan error, 1)
	go func() {
		answer <- a.again(context.Background(), "it", func(c *wire.Conn) error {
			asked <- struct{}{}
			if c == first.far {
				<-c.Done()
				return c.Err()
			}
			_, err := c.Do(context.Background(), transport.Ask{What: transport.AskFile, Name: "//f"})
			return err
		})
	}()
	<-asked
	second := call(t)
	h.serve(second.far, 0, true)
	select {
	case err := <-answer:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(limit):
		t.Fatal("it waits for the dead line")
	}
	second.near.Close()
	<-second.far.Done()
	a.patience = time.Millisecond
	if err := a.again(t.Context(), "it", (*wire.Conn).Err); transport.KindOf(err) != transport.IO {
		t.Errorf("nobody comes back: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.patience = limit
	if err := a.again(ctx, "it", func(*wire.Conn) error { return nil }); transport.KindOf(err) != transport.Interrupted {
		t.Errorf("interrupted: %v", err)
	}
}
