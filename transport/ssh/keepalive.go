package ssh

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// watch finds out when the connection is over: closed by the far end, or silent for three keepalives.
func (c *conn) watch() {
	c.dead = make(chan struct{})
	go func() {
		err := c.client.Wait()
		if err == nil || isEOF(err) {
			err = errClosedByPeer
		}
		c.fail(err)
		close(c.dead)
	}()
	go c.keepAlive()
}

// fail keeps the first reason for the connection's end.
func (c *conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == nil {
		c.reason = err
	}
}

// why is the reason, once the connection is dead.
func (c *conn) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) }

func (c *conn) keepAlive() {
	every := c.ep.KeepAlive
	limit := 3*every - every/4
	tick := time.NewTicker(max(every/4, time.Millisecond))
	defer tick.Stop()
	asked := time.Now()
	answers := make(chan struct{}, 1)
	waiting := false
	for {
		select {
		case <-c.dead:
			return
		case <-answers:
			waiting = false
		case <-tick.C:
			silence := c.wire.silence()
			if silence >= limit {
				// The client would wait for its own writes to a dead connection; closing the wire below it does not.
				c.abandon(fmt.Errorf("the server was silent for %s", silence.Round(time.Second/10)))
				return
			}
			// One question at a time: x/crypto/ssh waits for the answer, and a second question for the first one's.
			if silence >= every && !waiting && time.Since(asked) >= every {
				waiting, asked = true, time.Now()
				go func() {
					c.client.SendRequest("keepalive@openssh.com", true, nil)
					answers <- struct{}{}
				}()
			}
		}
	}
}
