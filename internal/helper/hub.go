package helper

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/wire"
)

// hub is what controllers watch of a run: its records from the first on, and its end. It is a journal.Sink.
type hub struct {
	mu    sync.Mutex
	moved *sync.Cond
	lines []entry
	done  []byte                    // an encoded Done
	kept  map[transport.Digest]bool // contents that controllers were told of
	yours map[transport.Digest]bool // contents that came from the controller

	serving map[*wire.Conn]bool // controllers that have not read the end yet
	told    bool                // one has
	stay    bool                // the end is not in the journal, where one that comes back would find it
	read    chan struct{}       // closed when the end is told, or need not be, and nobody is still reading

	link *wire.Conn // the controller that answers questions: the latest that can
	lost time.Time  // since when there is none
	gone func()     // called when it is lost before the end
}

// entry is a message for controllers.
type entry struct {
	topic   string
	payload []byte
	content transport.Content // TopicKeep: to be offered
}

func newHub() *hub {
	h := &hub{kept: map[transport.Digest]bool{}, yours: map[transport.Digest]bool{}, serving: map[*wire.Conn]bool{}, read: make(chan struct{}), lost: time.Now()}
	h.moved = sync.NewCond(&h.mu)
	return h
}

func (h *hub) add(e entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, e)
	h.moved.Broadcast()
}

// Record implements journal.Sink.
func (h *hub) Record(r journal.Record) error {
	b, err := r.MarshalJSON()
	if err != nil {
		return err
	}
	return h.Line(r.Body.Type(), b)
}

// Line implements journal.LineSink.
func (h *hub) Line(_ string, line []byte) error {
	h.add(entry{topic: TopicRecord, payload: line})
	return nil
}

// Keep implements journal.Sink.
func (h *hub) Keep(c transport.Content) error {
	h.mu.Lock()
	kept, yours := h.kept[c.Digest], h.yours[c.Digest]
	h.kept[c.Digest] = true
	h.mu.Unlock()
	if kept {
		return nil
	}
	f := File{Content: c, Yours: yours}
	if !yours && c.Size <= attachKept {
		var err error
		if f.Bytes, err = c.ReadAll(attachKept); err != nil {
			return err
		}
	}
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	h.add(entry{topic: TopicKeep, payload: b, content: c})
	return nil
}

// attachKept is the size up to which a content goes along with the message that names it.
const attachKept = 64 << 10

// Sync implements journal.Sink.
func (h *hub) Sync() error { return nil }

// whenGone sets what is done when the controller is lost before the end. Where it is lost already, that is done now.
func (h *hub) whenGone(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone = f
	if f != nil && h.link == nil {
		go f()
	}
}

// from says that a content comes from the controller, which need not be sent it.
func (h *hub) from(d transport.Digest) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.yours[d] = true
}

func (h *hub) notice(format string, args ...any) {
	h.add(entry{topic: TopicNotice, payload: []byte(fmt.Sprintf(format, args...))})
}

// end tells how it ended.
func (h *hub) end(d Done) {
	b, err := json.Marshal(d)
	if err != nil {
		b = []byte(`{"error":"the end of the run cannot be told"}`)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done, h.stay = b, h.stay || d.Error != ""
	h.moved.Broadcast()
	h.all()
}

// serve sends a controller what it does not know yet, then what comes, until it is lost or has been told the end. Records are counted, so
// that one which comes back gets each of them once. One that answers takes the place of the one before: that one has given its connection
// up, or it would not be here again, and whoever still waits for an answer on it would wait as long as the network does.
func (h *hub) serve(c *wire.Conn, records int, answers bool) {
	h.mu.Lock()
	before := h.link
	if answers {
		h.link = c
	}
	h.serving[c] = true
	h.moved.Broadcast()
	h.mu.Unlock()
	if answers && before != nil && before != c {
		go before.Close()
	}
	go func() {
		<-c.Done()
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.link == c {
			h.link, h.lost = nil, time.Now()
			if h.gone != nil && h.done == nil {
				go h.gone()
			}
		}
		delete(h.serving, c)
		h.all()
		h.moved.Broadcast()
	}()
	go func() {
		for i := 0; ; {
			batch, ok := h.next(c, i)
			if !ok {
				return
			}
			i += len(batch)
			for _, e := range batch {
				if records > 0 && e.topic != TopicKeep && e.topic != TopicReboot && e.topic != TopicDone { // it was told before the connection was lost
					if e.topic == TopicRecord {
						records--
					}
					continue
				}
				if e.topic == TopicKeep && e.content.Known() && e.content.Size > attachKept {
					c.Offer(e.content)
				}
				if c.Send(e.topic, e.payload) != nil || e.topic == TopicDone {
					return
				}
			}
		}
	}()
}

// gather is how long records wait for others to go along with them. Each that goes alone is a packet to be passed on, encrypted, sent and
// read; nobody sees a step later for it.
const gather = 20 * time.Millisecond

// next waits for the messages from a number on; the one behind the last is the end. Records wait a moment for others, what somebody waits
// for does not.
func (h *hub) next(c *wire.Conn, i int) (batch []entry, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	over := func() bool {
		select {
		case <-c.Done():
			return true
		default:
			return false
		}
	}
	for i >= len(h.lines) && h.done == nil {
		if over() {
			return nil, false
		}
		h.moved.Wait()
	}
	late := false
	timer := time.AfterFunc(gather, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		late = true
		h.moved.Broadcast()
	})
	defer timer.Stop()
	for seen := i; h.done == nil && !late; h.moved.Wait() {
		for ; seen < len(h.lines) && (h.lines[seen].topic == TopicRecord || h.lines[seen].topic == TopicKeep); seen++ {
		}
		if seen < len(h.lines) {
			break
		}
		if over() {
			return nil, false
		}
	}
	batch = slices.Clone(h.lines[i:])
	if h.done != nil {
		batch = append(batch, entry{topic: TopicDone, payload: h.done})
	}
	return batch, true
}

// bye says that a controller has read the end.
func (h *hub) bye(c *wire.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done != nil {
		h.told = true
		delete(h.serving, c)
		h.all()
	}
}

// all closes read when that is due.
func (h *hub) all() {
	select {
	case <-h.read:
	default:
		if h.done != nil && (h.told || !h.stay) && len(h.serving) == 0 {
			close(h.read)
		}
	}
}

// controller is the connection to the controller that answers questions. It waits for one to come back, until patience is over.
func (h *hub) controller(patience time.Duration, cancelled <-chan struct{}) *wire.Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.link != nil {
		return h.link
	}
	wake := func() { h.mu.Lock(); h.moved.Broadcast(); h.mu.Unlock() }
	timer := time.AfterFunc(time.Until(h.lost.Add(patience)), wake)
	defer timer.Stop()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-cancelled:
			wake()
		case <-stop:
		}
	}()
	for h.link == nil {
		select {
		case <-cancelled:
			return nil
		default:
		}
		if time.Since(h.lost) >= patience {
			return nil
		}
		h.moved.Wait()
	}
	return h.link
}
