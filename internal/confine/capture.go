package confine

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// A runtime that gives up says why first and then prints stacks; a report needs the start, and the end in case.
const (
	headBytes = 16 << 10
	tailBytes = 16 << 10
)

// capture keeps the head and the tail of what is written to it, and hands all of it on.
type capture struct {
	next io.Writer // may be nil

	mu      sync.Mutex
	head    []byte
	tail    []byte // a ring once it is full
	at      int    // where the ring is written next
	written int64
}

// Write never fails: a child must not die because nobody wants to read what it says.
func (c *capture) Write(p []byte) (int, error) {
	c.keep(p)
	if c.next != nil {
		c.next.Write(p)
	}
	return len(p), nil
}

func (c *capture) keep(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written += int64(len(p))
	rest := p
	if n := min(headBytes-len(c.head), len(rest)); n > 0 {
		c.head = append(c.head, rest[:n]...)
		rest = rest[n:]
	}
	if len(rest) > tailBytes {
		rest = rest[len(rest)-tailBytes:]
	}
	for len(rest) > 0 {
		if len(c.tail) < tailBytes {
			n := min(tailBytes-len(c.tail), len(rest))
			c.tail = append(c.tail, rest[:n]...)
			rest = rest[n:]
			continue
		}
		n := copy(c.tail[c.at:], rest)
		c.at = (c.at + n) % tailBytes
		rest = rest[n:]
	}
}

func (c *capture) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	b.Write(c.head)
	if left := c.written - int64(len(c.head)+len(c.tail)); left > 0 {
		fmt.Fprintf(&b, "\n... %d bytes left out ...\n", left)
	}
	b.Write(c.tail[c.at:])
	b.Write(c.tail[:c.at])
	return b.String()
}
