package wire

import (
	"fmt"
	"io"
	"sync"
)

// queueLimit is how many bytes wait to be written before those who send have to wait: 1 MiB.
const queueLimit = 1 << 20

// outgoing writes frames in the order in which they were sent. One goroutine writes at a time, so that frames which come while it does are
// written together.
type outgoing struct {
	w      io.Writer
	failed func(error)

	mu     sync.Mutex
	moved  *sync.Cond
	queue  []byte
	spare  []byte // the buffer that was written last
	busy   bool   // a write is under way
	closed error
}

func newOutgoing(w io.Writer, failed func(error)) *outgoing {
	o := &outgoing{w: w, failed: failed}
	o.moved = sync.NewCond(&o.mu)
	go o.write()
	return o
}

func (o *outgoing) write() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		for (len(o.queue) == 0 || o.busy) && o.closed == nil {
			o.moved.Wait()
		}
		if len(o.queue) == 0 {
			return
		}
		o.writeQueue()
	}
}

// writeQueue writes what there is, without the lock meanwhile. Nobody else may be writing.
func (o *outgoing) writeQueue() {
	b := o.queue
	o.queue, o.spare, o.busy = o.spare[:0], nil, true
	o.mu.Unlock()
	_, err := o.w.Write(b)
	if err != nil {
		o.failed(err)
	}
	o.mu.Lock()
	o.busy = false
	if cap(b) <= 2*queueLimit {
		o.spare = b
	}
	if err != nil {
		o.queue = nil
	}
	o.moved.Broadcast()
}

// tooLarge says that a frame would be refused at the far end. Nothing of it was sent.
type tooLarge struct{ size int }

func (e tooLarge) Error() string {
	return fmt.Sprintf("%d bytes are more than the %d that can be sent at once", e.size, MaxFrame)
}

func (o *outgoing) frame(f frame) error { return o.last(f, nil) }

// last sends the frame that ends something. ended is called before the far end can know of it, also when it never will, but not when the
// frame is too large. It must not wait.
func (o *outgoing) last(f frame, ended func()) error {
	if size := 1 + 8 + len(f.body); size > MaxFrame {
		return tooLarge{size}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) > queueLimit && o.closed == nil {
		o.moved.Wait()
	}
	if ended != nil {
		ended()
	}
	if o.closed != nil {
		return o.closed
	}
	o.queue = appendFrame(o.queue, f)
	if !o.busy && (f.kind == kindCall || f.kind == kindReply || f.kind == kindFail) {
		// Somebody waits for it: waking the writer would take longer than writing, and who calls waits for the far end anyway.
		o.writeQueue()
		return nil
	}
	o.moved.Broadcast()
	return nil
}

func (o *outgoing) raw(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = append(o.queue, b...)
	o.moved.Broadcast()
}

// flush waits until everything has been written, or nothing more can be.
func (o *outgoing) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for (len(o.queue) > 0 || o.busy) && o.closed == nil {
		o.moved.Wait()
	}
}

// stop refuses further frames; those that wait are given up.
func (o *outgoing) stop(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed == nil {
		o.closed = err
		o.queue = nil
	}
	o.moved.Broadcast()
}
