package transport

import (
	"context"
	"fmt"
	"io"
)

// Capture collects an output of any length in bounded memory, as Output describes it: all of it up to the limit, else its head and its
// tail, half of the limit each. It is an io.Writer that never fails; it is not safe for concurrent use. Make it with NewCapture.
type Capture struct {
	half  int
	limit int
	head  []byte
	tail  []byte // a ring once it is full
	next  int    // where the ring begins
	total int64
	tap   io.Writer // may be nil
}

// Tap takes what commands say while they run, whole and in pieces of any length. Its writers are used from one goroutine each; that they
// fail is not heeded.
type Tap struct{ Stdout, Stderr io.Writer }

type tapKey struct{}

// WithTap makes an Exec under this context hand on its outputs as they come, besides keeping them. Hosts of this machine and behind SSH do;
// one whose commands run further away need not.
func WithTap(ctx context.Context, t Tap) context.Context { return context.WithValue(ctx, tapKey{}, t) }

// Captures are those of the outputs of a command, with the Tap of the context.
func (o Exec) Captures(ctx context.Context) (stdout, stderr *Capture) {
	stdout, stderr = NewCapture(o.Limit), NewCapture(o.Limit)
	if t, ok := ctx.Value(tapKey{}).(Tap); ok {
		stdout.tap, stderr.tap = t.Stdout, t.Stderr
	}
	return stdout, stderr
}

// NewCapture makes a Capture; limit 0 means OutputLimit; more than 1 GiB is never kept.
func NewCapture(limit int64) *Capture {
	if limit <= 0 {
		limit = OutputLimit
	}
	limit = min(limit, 1<<30)
	return &Capture{limit: int(limit), half: int(limit) / 2}
}

// Write takes the next bytes of the output.
func (c *Capture) Write(p []byte) (int, error) {
	n := len(p)
	if c.tap != nil {
		_, _ = c.tap.Write(p)
	}
	c.total += int64(n)
	if room := c.half - len(c.head); room > 0 {
		k := min(room, len(p))
		c.head = append(c.head, p[:k]...)
		p = p[k:]
	}
	size := c.limit - c.half
	if len(p) >= size {
		c.tail, c.next = append(c.tail[:0], p[len(p)-size:]...), 0
		return n, nil
	}
	if room := size - len(c.tail); room > 0 {
		k := min(room, len(p))
		c.tail = append(c.tail, p[:k]...)
		p = p[k:]
	}
	for len(p) > 0 {
		k := copy(c.tail[c.next:], p)
		c.next, p = (c.next+k)%size, p[k:]
	}
	return n, nil
}

// Result is what was kept and how many bytes were cut out of its middle.
func (c *Capture) Result() (kept Text, cut int64) {
	cut = c.total - int64(len(c.head)) - int64(len(c.tail))
	out := append([]byte(nil), c.head...)
	if cut > 0 {
		if len(out) > 0 && out[len(out)-1] != '\n' {
			out = append(out, '\n')
		}
		out = fmt.Appendf(out, "[... %d bytes cut ...]\n", cut)
	}
	out = append(out, c.tail[c.next:]...)
	return Text(append(out, c.tail[:c.next]...)), cut
}
