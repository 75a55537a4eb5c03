package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/ssh"

	"fabgo/transport"
)

const startWhat = "start a program"

// Start runs a POSIX sh script at the far end, on a channel of its own, as root with Sudo, and hands over its standard input and output.
// It asks nothing before: as root, or where sudo wants no password, the one request of the script is all that is sent.
//
// Start returns as soon as the script is on its way. What is written from then on follows at once, and the script finds it on its
// standard input untouched; so a question and its answer take no round trip more than the script itself. Whether the script began is
// said by Ready, and by every other method when it did not. Where sudo wants a password, what was written waits until the script has
// begun; only up to half a MiB is written before that, and whoever writes more waits too. What ctx ends is Start, not the stream.
//
// A stream has no deadline, but the connection's keepalives watch over it. It holds one of the connection's sessions.
func (h *Host) Start(ctx context.Context, script string) (*Stream, error) {
	for try := 1; ; try++ {
		c, err := h.connection(ctx)
		if err != nil {
			return nil, err
		}
		s, err := h.start(ctx, c, script)
		b, ok := errors.AsType[*broken](err)
		switch {
		case err == nil:
			return s, nil
		case !ok:
			return nil, err
		case b.sent || try == 2:
			return nil, h.unreachable(b)
		}
	}
}

func (h *Host) unreachable(b *broken) error {
	return &transport.Error{Kind: transport.Unreachable, Message: fmt.Sprintf("%s: the connection to %s was lost: %v", b.what, h.ep, b.err), Err: b.err}
}

func (h *Host) start(ctx context.Context, c *conn, script string) (*Stream, error) {
	s := &Stream{h: h, c: c, script: script, in: newPipe(inputKept), out: newPipe(outputKept), tail: &tail{limit: stderrKept},
		ready: make(chan struct{}), done: make(chan struct{}), gone: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	a, err := s.attempt(ctx, h.firstWay(c))
	if err != nil {
		s.cancel()
		return nil, err
	}
	go s.follow(a)
	return s, nil
}

// way is how a script becomes root.
type way struct {
	look bool        // it looks itself: what needs no password is tried
	as   *escalation // otherwise; nil: it is the login's account that acts
}

// firstWay is the one that is known to work, or the one that finds out.
func (h *Host) firstWay(c *conn) way {
	if !h.opts.Sudo {
		return way{}
	}
	h.mu.Lock()
	l := h.link
	h.mu.Unlock()
	if l != nil && l.conn == c {
		return way{as: l.root}
	}
	h.passMu.Lock()
	defer h.passMu.Unlock()
	if h.checked != nil {
		return way{as: h.checked}
	}
	return way{look: true}
}

// The notes of a script that looks how to become root itself, ahead of its begin.
const (
	viaSudo = "sudo"
	viaDoas = "doas"
	viaNone = "neither"
)

// commandLine is what to ask the server for.
func (w way) commandLine(nonce, script string) string {
	if !w.look {
		return w.as.commandLine(nonce, script)
	}
	note := func(via string) string { return fmt.Sprintf("printf '<%s>via %s\\n'; ", nonce, via) }
	return loginCommand("PATH=" + searchPath + ":$PATH; export PATH\nS=" + shellWord(script) + "\n" +
		`if [ "$(id -u)" = 0 ]; then exec /bin/sh -c "$S"; fi` + "\n" +
		"if command -v sudo >/dev/null 2>&1; then " + note(viaSudo) + `exec sudo -n -u root -- /bin/sh -c "$S"; fi` + "\n" +
		"if command -v doas >/dev/null 2>&1; then " + note(viaDoas) + `exec doas -n -u root /bin/sh -c "$S"; fi` + "\n" +
		note(viaNone) + "exit 127")
}

// attempt is a script that was asked for, on a channel of its own.
type attempt struct {
	c       *conn
	ch      ssh.Channel
	way     way
	nonce   string
	lead    []byte // goes to standard input ahead of what is written to the stream
	out     *gate
	errs    *gate
	exit    chan ending
	pumped  chan struct{} // closed at the end of its output
	quiet   chan struct{} // closed at the end of its standard error
	stopped chan struct{} // closed when it is given up: it takes no more input

	answered chan struct{} // closed when the server answered the request
	ok       bool
	err      error
}

// attempt asks the server to run the script. It returns when the request is on its way, ahead of all input.
func (s *Stream) attempt(ctx context.Context, w way) (*attempt, error) {
	nonce := newNonce()
	// What the login's environment is must not matter, and standard error is marked too, so that noise can be told from the script's.
	script := environment + fmt.Sprintf("printf '<%[1]s>\\n' >&2; printf '<%[1]s>begin 0\\n'\n", nonce) + s.script
	a := &attempt{c: s.c, way: w, nonce: nonce, exit: make(chan ending, 1), pumped: make(chan struct{}), quiet: make(chan struct{}),
		stopped: make(chan struct{}), answered: make(chan struct{})}
	line := w.commandLine(nonce, script)
	if len(line) > longestCommand {
		a.lead = []byte(script)
		line = w.commandLine(nonce, readScript(len(a.lead)))
	}
	ch, reqs, err := s.c.session(ctx, s.h.times, s.h.spare(s.c), false)
	if err != nil {
		return nil, err
	}
	a.ch = ch
	s.c.sessions.hold(1)
	go watchRequests(reqs, a.exit)
	if err := a.request(ctx, s.h.times.Request, line); err != nil {
		a.release()
		return nil, err
	}
	var first bytes.Buffer
	a.out, a.errs = newGate(nonce, &first), newGate(nonce, s.tail)
	go func() { defer close(a.quiet); a.errs.copy(ch.Stderr()) }()
	go s.pump(a, &first)
	go s.feed(a)
	return a, nil
}

// request sends the request for a command line without waiting for its answer.
func (a *attempt) request(ctx context.Context, limit time.Duration, line string) error {
	unlock, err := a.c.requests.lock(ctx)
	if err != nil {
		return interruptedError(ctx, startWhat)
	}
	defer unlock()
	sent := a.c.wire.expect()
	go func() {
		defer close(a.answered)
		a.ok, a.err = sendExec(a.ch, line)
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-sent:
	case <-a.answered:
	case <-timer.C:
		err := fmt.Errorf("nothing could be sent for %s", limit)
		a.c.abandon(err)
		return &broken{what: startWhat, err: err, sent: true}
	case <-a.c.dead:
		return &broken{what: startWhat, err: a.c.why(), sent: true}
	case <-ctx.Done():
		return interruptedError(ctx, startWhat)
	}
	return nil
}

// sendExec has a name that wire finds on the stack when the request goes out.
func sendExec(ch ssh.Channel, line string) (bool, error) {
	return ch.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{line}))
}

// release gives the channel back. The input ends there, if it had not ended.
func (a *attempt) release() {
	close(a.stopped)
	closed := make(chan struct{})
	go func() { defer close(closed); a.ch.Close() }()
	select { // a connection that takes nothing more is found dead by its keepalives
	case <-closed:
	case <-a.c.dead:
	case <-time.After(causeGrace):
	}
	a.c.sessions.hold(-1)
	a.c.sessions.free()
}

// pump takes the output: up to the script's begin for the gate, what follows for the reader.
func (s *Stream) pump(a *attempt, first *bytes.Buffer) {
	defer close(a.pumped)
	defer close(a.out.ended)
	buf := make([]byte, 32<<10)
	for a.out.beginWord() == "" {
		n, err := a.ch.Read(buf)
		a.out.write(buf[:n])
		if err != nil {
			break
		}
	}
	if a.out.beginWord() == "" || isClosed(a.stopped) { // or it began too late: another one has its place
		return
	}
	s.out.Write(first.Bytes())
	for {
		n, err := a.ch.Read(buf)
		if _, werr := s.out.Write(buf[:n]); werr != nil || err != nil {
			return
		}
	}
}

// feed gives the input: a password and nothing else until the script has greeted, then what the stream is written.
func (s *Stream) feed(a *attempt) {
	if p := a.way.as.password(); p != nil {
		if _, err := a.ch.Write(append(bytes.Clone(p), '\n')); err != nil {
			return
		}
		select {
		case <-a.out.greeted:
		case <-a.stopped:
			return
		case <-a.c.dead:
			return
		}
		if _, err := io.WriteString(a.ch, a.nonce+"\n"); err != nil {
			return
		}
	}
	if _, err := a.ch.Write(a.lead); err != nil {
		return
	}
	// Until the script has begun everything is kept, where it may have to be given once more to another one.
	keep := a.way.look
	buf := make([]byte, 32<<10)
	for at := int64(0); ; {
		n, err := s.in.peek(buf, at, func() bool { return isClosed(a.stopped) || keep && isClosed(a.out.begun) })
		switch {
		case err == errStopped && !isClosed(a.stopped):
			keep = false
		case err == io.EOF: // of CloseWrite
			a.ch.CloseWrite()
			return
		case err != nil:
			return
		}
		if _, err := a.ch.Write(buf[:n]); err != nil {
			return
		}
		at += int64(n)
		if !keep {
			s.in.drop(at)
		}
	}
}

// greet follows a, and what is tried in its place, until the script has begun.
func (s *Stream) greet(a *attempt) (*attempt, error) {
	for {
		end, err := a.await(s)
		if err == nil && end == nil {
			s.in.wake()
			return a, nil
		}
		a.release()
		s.in.wake()
		if err != nil {
			return nil, err
		}
		next, err := s.instead(a, *end)
		if err == nil {
			a, err = s.attempt(s.ctx, next)
		}
		if b, ok := errors.AsType[*broken](err); ok {
			return nil, s.h.unreachable(b)
		}
		if err != nil {
			return nil, err
		}
	}
}

// await waits for the script's begin: no ending and no error. An ending is how it ended without one.
func (a *attempt) await(s *Stream) (*ending, error) {
	h := s.h
	timer := time.NewTimer(h.times.Request)
	defer timer.Stop()
	answered := a.answered
	for {
		select {
		case <-a.out.begun:
			return nil, nil
		case <-answered:
			answered = nil
			if a.err == nil && !a.ok {
				return nil, refusesCommands(startWhat)
			}
			timer.Reset(h.times.Auth) // for a slow profile, for PAM
		case e := <-a.exit:
			for _, output := range []chan struct{}{a.pumped, a.quiet} {
				select {
				case <-output:
				case <-s.ctx.Done():
				case <-time.After(exitGrace):
				}
			}
			if isClosed(a.out.begun) { // and it ended at once
				a.exit <- e
				return nil, nil
			}
			if e.code < 0 {
				return nil, h.unreachable(&broken{what: startWhat, err: s.cause(endedNoWord)})
			}
			e.noise = noiseOf(a.out, a.errs)
			return &e, nil
		case <-timer.C:
			if answered != nil {
				err := fmt.Errorf("no answer within %s", h.times.Request)
				a.c.abandon(err)
				return nil, h.unreachable(&broken{what: startWhat, err: err})
			}
			if said := noiseOf(a.out, a.errs); a.way.as != nil || a.out.via != "" {
				return nil, escalationError(fmt.Sprintf("%s did not start the command within %s: %s", a.program(), h.times.Auth, said), "")
			} else {
				return nil, &transport.Error{Kind: transport.Timeout, Message: fmt.Sprintf("%s on %s: the account's shell did not begin it within %s: %s", startWhat, h.ep, h.times.Auth, said),
					Hint: "its profile may wait for input, or sshd_config may force a command"}
			}
		case <-a.c.dead:
			return nil, h.unreachable(&broken{what: startWhat, err: a.c.why()})
		case <-s.ctx.Done():
			return nil, s.closed()
		}
	}
}

// program is what makes the script root.
func (a *attempt) program() string {
	if a.way.as != nil {
		return a.way.as.program
	}
	return a.out.via
}

// instead says what to try after an attempt that ended before the script began, if anything.
func (s *Stream) instead(a *attempt, end ending) (way, error) {
	switch {
	case a.way.as != nil:
		return way{}, s.h.refusal(end.noise)
	case a.out.via == viaNone:
		return way{}, neitherError(s.h.ep.User)
	case a.out.via == viaDoas:
		return way{}, doasError(end.noise)
	case a.out.via == viaSudo && wantsPassword(end.noise):
		as, err := s.h.withPassword(s.ctx, s.c, "root", end.noise)
		return way{as: as}, err
	case a.out.via == viaSudo:
		return way{}, s.h.refusal(end.noise)
	}
	return way{}, s.h.noCommands(s.c, end)
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
