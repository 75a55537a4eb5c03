package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"fabgo/transport"

	"go.uber.org/goleak"
)

// patience is how long a test waits for what must happen, on a busy machine.
const patience = 2 * time.Minute

// The test binary is also the far end in a process of its own.
func TestMain(m *testing.M) {
	switch os.Getenv("FABGO_TEST_WIRE") {
	case "echo":
		b := make([]byte, 100)
		for {
			n, err := os.Stdin.Read(b)
			if err != nil {
				os.Exit(0)
			}
			os.Stdout.Write(b[:n])
		}
	case "1":
		c := New(os.Stdin, os.Stdout, nil, Options{Host: quick})
		<-c.Done()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// quick is a host whose answers cost nothing.
var quick = transport.HostFunc(func(context.Context, transport.Op) (transport.Result, error) {
	return transport.FileInfo{Type: transport.Regular, Mode: "0644", Owner: "root", Group: "root", Size: 7}, nil
})

// leakless checks at the end of a test that no goroutine of it is left.
func leakless(t testing.TB) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if err := goleak.Find(before); err != nil && !t.Failed() {
			t.Error(err)
		}
	})
}

// join connects two ends by two pipes of the kernel.
func join(t testing.TB, a, b Options) (*Conn, *Conn) {
	t.Helper()
	leakless(t)
	ar, bw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	br, aw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return ends(t, New(ar, aw, closing(ar, aw), a), New(br, bw, closing(br, bw), b))
}

// joinSync connects two ends by a pipe without any buffer.
func joinSync(t testing.TB, a, b Options) (*Conn, *Conn) {
	t.Helper()
	leakless(t)
	x, y := net.Pipe()
	return ends(t, New(x, x, x.Close, a), New(y, y, y.Close, b))
}

func ends(t testing.TB, a, b *Conn) (*Conn, *Conn) {
	t.Cleanup(func() {
		a.Close()
		b.Close()
		<-a.Done()
		<-b.Done()
	})
	return a, b
}

func closing(cs ...io.Closer) func() error {
	return func() error {
		var errs []error
		for _, c := range cs {
			errs = append(errs, c.Close())
		}
		return errors.Join(errs...)
	}
}

// within fails the test when f does not return in time.
func within(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	wait(t, what, done)
}

func wait[T any](t testing.TB, what string, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(patience):
		b := make([]byte, 1<<20)
		t.Fatalf("%s: not within %v\n%s", what, patience, b[:runtime.Stack(b, true)])
	}
	return v
}

// far is the other end of a connection by hand: it writes what a test wants and keeps what it reads.
type far struct {
	t      testing.TB
	w      net.Conn
	frames chan frame
}

func byHand(t testing.TB, o Options) (*Conn, *far) {
	t.Helper()
	c, f := silent(t, o)
	f.write([]byte(greeting))
	return c, f
}

// silent is byHand without the greeting.
func silent(t testing.TB, o Options) (*Conn, *far) {
	t.Helper()
	leakless(t)
	x, y := net.Pipe()
	c := New(x, x, x.Close, o)
	f := &far{t: t, w: y, frames: make(chan frame, 1000)}
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(f.frames)
		r := bufio.NewReader(y)
		if _, err := skipNoise(r); err != nil {
			return
		}
		for {
			fr, err := readFrame(r, nil)
			if err != nil {
				return
			}
			f.frames <- fr
		}
	})
	t.Cleanup(func() {
		c.Close()
		y.Close()
		<-c.Done()
		reader.Wait()
	})
	return c, f
}

func (f *far) write(b []byte) {
	f.t.Helper()
	_ = f.w.SetWriteDeadline(time.Now().Add(patience))
	if _, err := f.w.Write(b); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		f.t.Fatal(err)
	}
}

func (f *far) send(k kind, id uint64, body []byte) {
	f.t.Helper()
	f.write(appendFrame(nil, frame{k, id, body}))
}

// next is the next frame that the connection sent; it must be of kind k.
func (f *far) next(k kind) frame {
	f.t.Helper()
	fr := wait(f.t, fmt.Sprintf("a frame %q", byte(k)), f.frames)
	if fr.kind != k {
		f.t.Fatalf("a frame %q, want %q: %.200q", byte(fr.kind), byte(k), fr.body)
	}
	return fr
}

// ended waits for the end of a connection, whose reason must contain want.
func ended(t testing.TB, c *Conn, want string) {
	t.Helper()
	wait(t, "the end of the connection", c.Done())
	if err := c.Err(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the connection ended with %v, want %q", err, want)
	}
}

// source is a content of size bytes that is made while it is read.
func source(t testing.TB, size int64) transport.Content {
	t.Helper()
	d, err := digestOf(pattern(size))
	if err != nil {
		t.Fatal(err)
	}
	return transport.Source(d, size, func() (io.ReadCloser, error) { return io.NopCloser(pattern(size)), nil })
}
