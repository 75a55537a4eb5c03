package report

import (
	"fmt"
	"sync"
	"time"
)

// liveTick is how often the status line is drawn. Steps that are over between two ticks never show.
const liveTick = 200 * time.Millisecond

const eraseLine = "\r\x1b[K"

// live is the status line at the bottom of a terminal. Its fields but stop and done belong to the Terminal's lock.
type live struct {
	shown bool
	stop  chan struct{}
	done  sync.WaitGroup
}

func (l *live) start(t *Terminal) {
	l.stop = make(chan struct{})
	l.done.Go(func() {
		tick := time.NewTicker(liveTick)
		defer tick.Stop()
		for {
			select {
			case <-l.stop:
				return
			case <-tick.C:
				t.draw()
			}
		}
	})
}

// end stops the drawing.
func (l *live) end() {
	if l.stop != nil {
		close(l.stop)
		l.done.Wait()
		l.stop = nil
	}
}

// erase is what removes the line.
func (l *live) erase() string {
	if !l.shown {
		return ""
	}
	l.shown = false
	return eraseLine
}

// draw draws the line again.
func (t *Terminal) draw() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.write(t.live.erase() + t.live.line(t))
}

// Status puts into the status line what goes on with a host before its next record. Without a status line it does nothing.
func (t *Terminal) Status(host, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.view(host)
	if v.status == "" {
		v.waits = t.now()
	}
	v.status = text
}

// line is the status line, or nothing where nothing is under way: what has been going on for longest.
func (l *live) line(t *Terminal) string {
	var host string
	var oldest *view
	busy := 0
	for _, name := range t.order {
		v := t.views[name]
		if v.begun().IsZero() {
			continue
		}
		busy++
		if oldest == nil || v.begun().Before(oldest.begun()) {
			host, oldest = name, v
		}
	}
	if oldest == nil {
		return ""
	}
	head, what := fmt.Sprintf("step %d ", oldest.step), title(oldest.begin)
	if oldest.status != "" {
		head, what = "", oldest.status
	}
	if t.pad > 0 {
		head = Escape(host) + ": " + head
	}
	tail := " … " + fmt.Sprintf("%ds", int(t.now().Sub(oldest.begun()).Seconds()))
	if busy > 1 {
		tail += fmt.Sprintf(" (and %s more)", plural(busy-1, "host"))
	}
	text := Escape(what)
	if w := t.width(); w > 0 { // a line that wraps could not be erased
		text = cut(text, max(0, w-1-columns(head)-columns(tail)))
		text = cut(head+text+tail, w-1)
	} else {
		text = head + text + tail
	}
	l.shown = true
	return t.in(dim, text)
}
