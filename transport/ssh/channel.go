package ssh

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"fabgo/transport"
)

// sessionsPerConnection is how many commands run on one connection at once; others wait. OpenSSH's MaxSessions is 10, and SFTP needs
// one of them.
const sessionsPerConnection = 8

// broken says that a connection ended, or had to be ended, under a question.
type broken struct {
	what string // the question
	err  error  // why
	sent bool   // a change may have reached the far end
}

func (b *broken) Error() string { return fmt.Sprintf("%s: %v", b.what, b.err) }
func (b *broken) Unwrap() error { return b.err }

// sessions counts the channels of a connection and admits as many as the server allows, which is learnt when it refuses one.
type sessions struct {
	mu      sync.Mutex
	inUse   int
	held    int // of them by streams, which may never end
	limit   int
	changed chan struct{} // closed and made anew when a channel is given back
}

func newSessions() *sessions {
	return &sessions{limit: sessionsPerConnection, changed: make(chan struct{})}
}

// admit takes a place, or says what to wait for.
func (s *sessions) admit() (ok bool, wait <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inUse >= s.limit {
		return false, s.changed
	}
	s.inUse++
	return true, nil
}

func (s *sessions) free() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inUse--
	close(s.changed)
	s.changed = make(chan struct{})
}

// refused notes that the server allows no more than there are. It reports how many others there are.
func (s *sessions) refused() (others int, wait <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = min(s.limit, max(s.inUse-1, 1))
	return s.inUse - 1, s.changed
}

// hold notes that a stream has one, or has it no more.
func (s *sessions) hold(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held += n
}

// full reports that streams have all that there are: to wait would be to wait for ever.
func (s *sessions) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held >= s.limit
}

func (s *sessions) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inUse
}

// bounded runs f, which blocks on the connection, until it returns, or the deadline, ctx or the connection ends. Past the deadline the
// connection is of no use any more and closed.
func (c *conn) bounded(ctx context.Context, what string, limit time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		if err == nil {
			return nil
		}
		if c.wire.over() { // whatever the error is, this is its cause, and the reason will be known at once
			c.ends(causeGrace)
		}
		if why := c.why(); why != nil {
			return &broken{what: what, err: why}
		}
		if _, refused := errors.AsType[*ssh.OpenChannelError](err); refused {
			return err
		}
		// Whatever else stops a request is the end of the connection, in one of many words: "unexpected packet", a reset. Until that is
		// known, the connection would be taken for a good one by whoever asks next.
		if !c.ends(causeGrace) && !isEOF(err) { // an EOF may be that of the channel alone
			c.abandon(err)
			c.ends(causeGrace)
		}
		return &broken{what: what, err: err}
	case <-timer.C:
		err := fmt.Errorf("no answer within %s", limit)
		c.abandon(err)
		return &broken{what: what, err: err}
	case <-c.dead:
		return &broken{what: what, err: c.why()}
	case <-ctx.Done():
		return interruptedError(ctx, what)
	}
}

// ends waits for the end of the connection.
func (c *conn) ends(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-c.dead:
		return true
	case <-timer.C:
		return false
	}
}

var errClosedByPeer = errors.New("the server closed the connection")

func interruptedError(ctx context.Context, what string) error {
	cause := context.Cause(ctx)
	return &transport.Error{Kind: transport.Interrupted, Message: what + ": " + cause.Error(), Err: cause}
}

// session opens a session channel. Where the server allows fewer than we have, it waits for one of ours to end; spare, when not nil,
// gives up a channel that could be done without. An urgent one does not wait its turn.
func (c *conn) session(ctx context.Context, t Timeouts, spare func() bool, urgent bool) (ssh.Channel, <-chan *ssh.Request, error) {
	const what = "open a channel"
	free := func() {}
	for !urgent {
		ok, wait := c.sessions.admit()
		if ok {
			free = c.sessions.free
			break
		}
		if c.sessions.full() {
			return nil, nil, errFull(nil)
		}
		select {
		case <-wait:
		case <-c.dead:
			return nil, nil, &broken{what: what, err: c.why()}
		case <-ctx.Done():
			return nil, nil, interruptedError(ctx, what)
		}
	}
	for patience := 25; ; {
		var (
			mu   sync.Mutex
			ch   ssh.Channel
			reqs <-chan *ssh.Request
			late bool
		)
		err := c.bounded(ctx, what, t.Channel, func() error {
			nch, nreqs, err := c.client.OpenChannel("session", nil)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && late {
				go ssh.DiscardRequests(nreqs)
				nch.Close()
			}
			ch, reqs = nch, nreqs
			return err
		})
		mu.Lock()
		late = err != nil
		if late && ch != nil { // it came just too late
			go ssh.DiscardRequests(reqs)
			ch.Close()
		}
		mu.Unlock()
		if err == nil {
			return ch, reqs, nil
		}
		refused, ok := errors.AsType[*ssh.OpenChannelError](err)
		if !ok {
			free()
			if b, ok := errors.AsType[*broken](err); ok { // what cannot open a channel is to be dialled anew
				c.abandon(b.err)
			}
			return nil, nil, err
		}
		if spare != nil && spare() {
			continue
		}
		var others int
		var wait <-chan struct{}
		if urgent {
			others = c.sessions.count()
		} else {
			others, wait = c.sessions.refused()
		}
		// The server may not have seen yet that our last channel is closed.
		var pause <-chan time.Time
		if patience--; others == 0 {
			pause = time.After(time.Duration(25-patience) * 10 * time.Millisecond)
		}
		if others == 0 && patience == 0 || others > 0 && urgent {
			free()
			return nil, nil, &transport.Error{Kind: transport.Unreachable, Message: "open a channel: the server refuses: " + refused.Message,
				Hint: "MaxSessions in its sshd_config must be at least 1", Err: err}
		}
		if others > 0 && !urgent && c.sessions.full() {
			free()
			return nil, nil, errFull(err)
		}
		select {
		case <-wait:
		case <-pause:
		case <-c.dead:
			free()
			return nil, nil, &broken{what: what, err: c.why()}
		case <-ctx.Done():
			free()
			return nil, nil, interruptedError(ctx, what)
		}
	}
}

func errFull(cause error) error {
	return &transport.Error{Kind: transport.Unreachable, Message: "open a channel: the server allows no more of them, and programs that still run have them all",
		Hint: "MaxSessions in its sshd_config limits them", Err: cause}
}

// release gives a channel of session back.
func (c *conn) release(ch ssh.Channel, urgent bool) {
	ch.Close()
	if !urgent {
		c.sessions.free()
	}
}

// abandon closes a connection that does not answer any more.
func (c *conn) abandon(why error) {
	c.fail(why)
	c.wire.Close()
}
