package ssh

import (
	"io"
	"sync"
)

// pipe is a bounded buffer between one who writes and one who reads. Unlike a channel of SSH it can be left at any time by either side,
// and it can keep what was read until it is known that it arrived.
type pipe struct {
	limit int

	mu     sync.Mutex
	moved  *sync.Cond
	buf    []byte
	offset int64 // of buf's first byte, counted from the first byte ever written
	end    error // what the reader gets behind the last byte
	left   error // what both get at once
}

func newPipe(limit int) *pipe {
	p := &pipe{limit: limit}
	p.moved = sync.NewCond(&p.mu)
	return p
}

// Write waits for room.
func (p *pipe) Write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.left != nil:
			return n, p.left
		case p.end != nil:
			return n, io.ErrClosedPipe
		case len(b) == 0:
			return n, nil
		}
		room := min(p.limit-len(p.buf), len(b))
		if room <= 0 {
			p.moved.Wait()
			continue
		}
		p.buf = append(p.buf, b[:room]...)
		b, n = b[room:], n+room
		p.moved.Broadcast()
	}
}

// peek copies what comes from offset at on, which must not be dropped yet, and waits until there is some, or until stopped says so.
func (p *pipe) peek(b []byte, at int64, stopped func() bool) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		have := p.buf[at-p.offset:]
		switch {
		case p.left != nil:
			return 0, p.left
		case stopped != nil && stopped():
			return 0, errStopped
		case len(have) > 0:
			return copy(b, have), nil
		case p.end != nil:
			return 0, p.end
		}
		p.moved.Wait()
	}
}

// drop forgets what is before the offset.
func (p *pipe) drop(before int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := before - p.offset; n > 0 {
		p.buf = append(p.buf[:0], p.buf[n:]...)
		p.offset = before
		p.moved.Broadcast()
	}
}

// Read takes what there is. There is one reader at a time.
func (p *pipe) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	p.mu.Lock()
	at := p.offset
	p.mu.Unlock()
	n, err := p.peek(b, at, nil)
	p.drop(at + int64(n))
	return n, err
}

// finish says that nothing more is written; the first reason is kept.
func (p *pipe) finish(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end == nil {
		p.end = why
	}
	p.moved.Broadcast()
}

// leave ends both sides, whatever is in between.
func (p *pipe) leave(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left == nil {
		p.left = why
	}
	p.moved.Broadcast()
}

// wake makes peek look at its stopped again.
func (p *pipe) wake() { // under the lock, or a peek that looked just before would miss it
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moved.Broadcast()
}

// drain waits until the reader has taken everything, or one side has left.
func (p *pipe) drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.buf) > 0 && p.left == nil {
		p.moved.Wait()
	}
}

func (p *pipe) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.buf) == 0
}
