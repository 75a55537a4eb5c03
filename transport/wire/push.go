package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"fabgo/transport"
)

// push is a content on its way to the far end.
type push struct {
	mu    sync.Mutex
	moved *sync.Cond
	may   int64 // bytes that may still be sent
	over  bool
}

// allow takes an acknowledgement: of no more than was sent.
func (p *push) allow(n uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n > uint64(window-p.may) {
		return fmt.Errorf("the far end acknowledges more of a content than it was sent")
	}
	p.may += int64(n)
	p.moved.Broadcast()
	return nil
}

func (p *push) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.moved.Broadcast()
}

// wait returns how much may be sent, 0 when nothing more is wanted.
func (p *push) wait() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.may == 0 && !p.over {
		p.moved.Wait()
	}
	if p.over {
		return 0
	}
	return p.may
}

func (p *push) sent(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.may -= n
}

// pushed handles the frames of a content that the far end pulls. Acknowledgements may come after the last piece was sent.
func (c *Conn) pushed(f frame) error {
	c.mu.Lock()
	p := c.pushes[f.id]
	c.mu.Unlock()
	switch f.kind {
	case kindPull:
		return c.push(f.id, transport.Digest(f.body))
	case kindAck:
		if len(f.body) != 8 {
			return fmt.Errorf("an acknowledgement of %d bytes", len(f.body))
		}
		if p != nil {
			return p.allow(binary.BigEndian.Uint64(f.body))
		}
	case kindDrop:
		if p != nil {
			p.stop()
		}
	}
	return nil
}

// push sends a content that the far end pulls.
func (c *Conn) push(id uint64, d transport.Digest) error {
	p := &push{may: window}
	p.moved = sync.NewCond(&p.mu)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pushes[id] != nil || len(c.pushes) == pullLimit {
		return fmt.Errorf("the far end asks for content %d, with %d others under way", id, len(c.pushes))
	}
	o := c.offers[d]
	c.pushes[id] = p
	go func() {
		unwatch := context.AfterFunc(c.ctx, p.stop)
		defer unwatch()
		var why []byte
		if err := c.copyOut(id, p, o); err != nil {
			why = []byte(err.Error())
		}
		_ = c.out.last(frame{kindEnd, id, why[:min(len(why), 4<<10)]}, func() { // a dead connection is seen by who waits for it
			c.mu.Lock()
			delete(c.pushes, id)
			c.mu.Unlock()
		})
	}()
	return nil
}

var (
	errNotOffered = errors.New("it was not offered, or is not any more")
	errDropped    = errors.New("it is not wanted any more")
)

func (c *Conn) copyOut(id uint64, p *push, o *offer) error {
	if o == nil {
		return errNotOffered
	}
	r, err := o.content.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	buf := make([]byte, min(pieceSize, max(o.content.Size, 512)))
	for {
		may := p.wait()
		if may == 0 {
			return errDropped
		}
		n, err := r.Read(buf[:min(may, int64(len(buf)))])
		if n > 0 {
			p.sent(int64(n))
			if err := c.out.frame(frame{kindData, id, buf[:n]}); err != nil { // the frame is a copy
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
