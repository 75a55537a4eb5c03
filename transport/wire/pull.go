package wire

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"fabgo/transport"
)

const (
	pieceSize = 128 << 10 // of a pulled content in one frame
	window    = 4 << 20   // how much of a pulled content may be under way: 40 MB/s at a round trip of 100 ms
	pullLimit = 64        // contents that an end may pull at once
)

// pieces are buffers that were read and can be filled again: a large content then leaves no garbage that is larger than what is under way.
type pieces chan []byte

// get is a buffer of n bytes with room for a whole piece.
func (p pieces) get(n int) []byte {
	select {
	case b := <-p:
		return b[:n]
	default:
		return make([]byte, n, pieceSize)
	}
}

// put gives a buffer back.
func (p pieces) put(b []byte) {
	if cap(b) != pieceSize {
		return
	}
	select {
	case p <- b[:0]:
	default:
	}
}

// piece is a part of a content that came.
type piece struct {
	b    []byte
	read int // bytes at its beginning that were read
}

// pull is a content on its way to this end. Its connection knows it until the far end has said that it is over, also when nobody reads
// it any more: so both ends agree on how many there are.
type pull struct {
	c       *Conn
	id      uint64
	unwatch func() bool

	mu     sync.Mutex
	moved  *sync.Cond
	queue  []piece
	unread int   // bytes in queue
	taken  int   // bytes read since the last ack
	end    error // io.EOF when all came
	over   bool  // the far end has said that nothing more comes
	closed bool
}

// pull asks for a content, for as long as ctx lasts, which ends with the connection at the latest. It waits while as many as may be are
// under way.
func (c *Conn) pull(ctx context.Context, d transport.Digest) (io.ReadCloser, error) {
	select {
	case c.pullSlots <- struct{}{}:
	case <-ctx.Done():
		return nil, c.cutOff(ctx)
	}
	p := &pull{c: c}
	p.moved = sync.NewCond(&p.mu)
	p.unwatch = context.AfterFunc(ctx, func() { p.finish(c.cutOff(ctx), false) })
	c.mu.Lock()
	c.next++
	p.id = c.next
	c.pulls[p.id] = p
	c.mu.Unlock()
	if err := c.out.frame(frame{kindPull, p.id, []byte(d)}); err != nil {
		p.unwatch()
		c.forgetPull(p.id)
		return nil, lost(err)
	}
	return p, nil
}

// cutOff is why a pull ended with its context.
func (c *Conn) cutOff(ctx context.Context) error {
	if c.ctx.Err() != nil {
		return lost(context.Cause(c.ctx))
	}
	return interrupted(ctx, "pull a content")
}

// lost is why a pull failed. It wraps nothing: the connection ends with an io.EOF, and whoever reads a content takes that for its end.
func lost(err error) error { return fmt.Errorf("the connection was lost: %v", err) }

func (c *Conn) forgetPull(id uint64) {
	c.mu.Lock()
	delete(c.pulls, id)
	c.mu.Unlock()
	<-c.pullSlots
}

func (p *pull) finish(err error, over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = p.over || over
	if p.end == nil {
		p.end = err
	}
	p.moved.Broadcast()
}

// add takes a piece. A far end that sends more than it may ends the connection.
func (p *pull) add(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(b) == 0 {
		return fmt.Errorf("an empty piece of a content")
	}
	if p.closed {
		return nil
	}
	if p.unread += len(b); p.unread > window {
		return fmt.Errorf("the far end sends more of a content than it may")
	}
	// Small pieces are joined: each has a buffer for a large one.
	if last := len(p.queue) - 1; last >= 0 && len(p.queue[last].b)+len(b) <= pieceSize {
		p.queue[last].b = append(p.queue[last].b, b...)
		p.c.free.put(b)
	} else {
		p.queue = append(p.queue, piece{b: b})
	}
	p.moved.Broadcast()
	return nil
}

// Read implements io.Reader.
func (p *pull) Read(b []byte) (int, error) {
	n, ack, err := p.take(b)
	if ack > 0 { // not under the lock: sending may have to wait, and the goroutine that reads frames must not
		_ = p.c.out.frame(frame{kindAck, p.id, binary.BigEndian.AppendUint64(nil, uint64(ack))})
	}
	return n, err
}

func (p *pull) take(b []byte) (n, ack int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) == 0 && p.end == nil {
		p.moved.Wait()
	}
	if len(p.queue) == 0 {
		return 0, 0, p.end
	}
	first := &p.queue[0]
	n = copy(b, first.b[first.read:])
	if first.read += n; first.read == len(first.b) {
		p.c.free.put(first.b)
		first.b = nil
		p.queue = p.queue[1:]
	}
	p.unread -= n
	if p.taken += n; p.taken >= window/4 && p.end == nil {
		ack, p.taken = p.taken, 0
	}
	return n, ack, nil
}

// Close implements io.Closer.
func (p *pull) Close() error {
	p.mu.Lock()
	early := !p.over && !p.closed
	if p.end == nil {
		p.end = io.ErrClosedPipe
	}
	p.queue, p.unread, p.closed = nil, 0, true
	p.moved.Broadcast()
	p.mu.Unlock()
	p.unwatch()
	if early {
		_ = p.c.out.frame(frame{kindDrop, p.id, nil}) // a dead connection sends nothing anyway
	}
	return nil
}

// pulled handles the frames of a content that this end pulls.
func (c *Conn) pulled(f frame) error {
	c.mu.Lock()
	p := c.pulls[f.id]
	c.mu.Unlock()
	if p == nil {
		return fmt.Errorf("a frame %q of content %d, which was not asked for", byte(f.kind), f.id)
	}
	if f.kind == kindData {
		return p.add(f.body)
	}
	c.forgetPull(f.id)
	p.unwatch()
	if len(f.body) == 0 {
		p.finish(io.EOF, true)
	} else {
		p.finish(fmt.Errorf("the far end cannot read it: %s", f.body), true)
	}
	return nil
}
