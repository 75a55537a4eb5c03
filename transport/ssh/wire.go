package ssh

import (
	"bytes"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// wire is the connection below SSH. It knows when the far end was last heard, and what it said before its greeting: servers that turn
// a client away say why in plain text.
type wire struct {
	net.Conn
	heard    atomic.Int64 // nanoseconds since 1970
	sent     atomic.Int64 // bytes
	ended    atomic.Bool  // nothing more can be read; known before any channel ends by it
	waits    atomic.Pointer[chan struct{}]
	greeted  func()
	mu       sync.Mutex
	first    []byte // up to the end of the greeting, or its first bytes
	greeting bool
}

func newWire(c net.Conn, greeted func()) *wire {
	w := &wire{Conn: c, greeted: greeted}
	w.heard.Store(time.Now().UnixNano())
	return w
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.heard.Store(time.Now().UnixNano())
		w.look(p[:n])
	}
	if err != nil {
		w.ended.Store(true)
	}
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.sent.Add(int64(n))
	if w.waits.Load() != nil && calledBy("ssh.sendExec") {
		if sent := w.waits.Swap(nil); sent != nil {
			close(*sent)
		}
	}
	return n, err
}

// over reports that the far end, or this one, closed the connection.
func (w *wire) over() bool { return w.ended.Load() }

// expect gives a channel that is closed when the request that sendExec makes next is written. x/crypto/ssh says when a request was
// answered, a round trip later, and it promises no order among those who write at the same time; input that overtook the request
// would be thrown away by the far end. A request that waits for new keys is written by others and not seen here: then its answer has
// to be waited for, which is slow but right.
func (w *wire) expect() <-chan struct{} {
	sent := make(chan struct{})
	w.waits.Store(&sent)
	return sent
}

// calledBy looks for a function of this package on the stack.
func calledBy(name string) bool {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, "/"+name) {
			return true
		}
		if !more {
			return false
		}
	}
}

func (w *wire) look(p []byte) {
	w.mu.Lock()
	if w.greeting || len(w.first) > 4096 {
		w.mu.Unlock()
		return
	}
	w.first = append(w.first, p...)
	if bytes.HasPrefix(w.first, []byte("SSH-")) || bytes.Contains(w.first, []byte("\nSSH-")) {
		w.greeting = true
	}
	now := w.greeting
	w.mu.Unlock()
	if now {
		w.greeted()
	}
}

// silence is for how long nothing was heard.
func (w *wire) silence() time.Duration {
	return time.Since(time.Unix(0, w.heard.Load()))
}

// said is what came instead of a greeting.
func (w *wire) said() (text string, greeted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(bytes.TrimSpace(w.first[:min(len(w.first), 200)])), w.greeting
}

// stages closes a connection when one of its stages takes too long, and remembers which. x/crypto/ssh has no deadlines of its own, and
// connections through a jump host know no SetDeadline.
type stages struct {
	mu      sync.Mutex
	timer   *time.Timer
	name    string
	limit   time.Duration
	left    time.Duration
	since   time.Time
	expired string
	abort   func()
}

func (s *stages) enter(name string, limit time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopLocked()
	s.name, s.limit = name, limit
	s.startLocked(limit)
}

func (s *stages) startLocked(d time.Duration) {
	s.left, s.since = d, time.Now()
	name, limit := s.name, s.limit
	s.timer = time.AfterFunc(d, func() {
		s.mu.Lock()
		if s.name != name { // over just now
			s.mu.Unlock()
			return
		}
		s.expired = name + " took longer than " + limit.String()
		s.mu.Unlock()
		s.abort()
	})
}

func (s *stages) stopLocked() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// pause stops the clock until resume.
func (s *stages) pause() (resume func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer == nil {
		return func() {}
	}
	left := max(s.left-time.Since(s.since), time.Second)
	s.stopLocked()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.timer == nil && s.name != "" {
			s.startLocked(left)
		}
	}
}

// finish ends the watch. It reports the stage that took too long, or "".
func (s *stages) finish() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopLocked()
	s.name = ""
	return s.expired
}

// now is the stage at hand.
func (s *stages) now() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.name
}
