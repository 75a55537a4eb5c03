package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"fabgo/transport"
)

// Stream is a program at the far end, and a stream of bytes to and from it. One may read and one may write at the same time; Close may
// be called by anybody at any time, and has to be called at the end.
//
// Between the two there is flow control in both directions: who is slow is waited for, and little is kept in memory.
type Stream struct {
	h      *Host
	c      *conn
	script string // POSIX sh
	in     *pipe  // to the program
	out    *pipe  // from it
	tail   *tail  // of its standard error
	ctx    context.Context
	cancel context.CancelFunc

	ready chan struct{} // closed when the script has begun, or never will
	done  chan struct{} // closed when it is over; exit and err are set then
	gone  chan struct{} // closed when its channel was given back
	begun bool          // set before ready is closed
	exit  Exit
	err   error

	mu      sync.Mutex
	running *attempt // once the script has begun
}

// Exit is how a program ended that was left to end.
type Exit struct {
	Code   int    // 128 and the signal's number when a signal ended it
	Signal string // its name without SIG, or ""
}

const (
	outputKept  = 128 << 10 // output that nobody has read yet
	inputKept   = 512 << 10 // input that is under way, or kept until the script has begun
	stderrKept  = 8 << 10
	exitGrace   = 2 * time.Second // for the outputs of a program that ended: what it left behind may hold them open for ever
	causeGrace  = 200 * time.Millisecond
	endedNoWord = "the server closed the channel without saying how the program ended"
)

var (
	errStopped      = errors.New("stopped")
	errStreamClosed = errors.New("the stream was closed on this side")
	errProgramEnded = errors.New("the program at the far end has ended")
)

// Ready waits until the script has begun. An error says why it did not; Read, Write and Wait would give it too.
func (s *Stream) Ready(ctx context.Context) error {
	select {
	case <-s.ready:
	case <-ctx.Done():
		return interruptedError(ctx, "start a program")
	}
	if s.begun {
		return nil
	}
	<-s.done
	return s.err
}

// Read gives the script's standard output, from its first byte on. Behind the last one comes io.EOF, or an error that says why the
// script did not begin or how it was lost.
func (s *Stream) Read(p []byte) (int, error) { return s.out.Read(p) }

// Write sends to the script's standard input. It returns when the bytes are on their way, before the far end has them.
func (s *Stream) Write(p []byte) (int, error) { return s.in.Write(p) }

// Flush waits until all that was written has left this machine, or cannot any more.
func (s *Stream) Flush() { s.in.drain() }

// CloseWrite lets the script see the end of its input, behind all that was written.
func (s *Stream) CloseWrite() error {
	s.in.finish(io.EOF)
	return nil
}

// Close ends the stream. A program that still runs sees the end of its input and, when it writes, that nobody reads; it is not killed.
func (s *Stream) Close() error {
	s.cancel()
	<-s.gone
	return nil
}

// Done is closed when the program is over or lost.
func (s *Stream) Done() <-chan struct{} { return s.done }

// Wait waits for Done and says how the program ended. The error says why that is not known, or that the script never began: it is
// Unreachable when the connection was lost, whatever the program did or still does. Output that nobody read yet can be read still.
func (s *Stream) Wait(ctx context.Context) (Exit, error) {
	select {
	case <-s.done:
		return s.exit, s.err
	case <-ctx.Done():
		return Exit{}, interruptedError(ctx, "wait for a program")
	}
}

// Stderr is the end of what the script wrote to its standard error so far, a few KiB of it.
func (s *Stream) Stderr() string { return s.tail.String() }

// end says how the program ended. What it wrote may still be on its way to the reader.
func (s *Stream) end(exit Exit, err error) {
	s.exit, s.err = exit, err
	if err == nil {
		err = errProgramEnded
	}
	s.in.leave(err)
	close(s.done)
}

// fail is the end of a stream whose program's end is not known, or that never began.
func (s *Stream) fail(err error) {
	s.out.finish(err)
	s.end(Exit{}, err)
}

func (s *Stream) lost(err error) error {
	return &transport.Error{Kind: transport.Unreachable, Message: fmt.Sprintf("the connection to %s was lost under a running program: %v", s.h.ep, err), Err: err}
}

func (s *Stream) closed() error {
	return &transport.Error{Kind: transport.Interrupted, Message: errStreamClosed.Error(), Err: errStreamClosed}
}

// follow accompanies a script from its start to its end, on a.
func (s *Stream) follow(a *attempt) {
	defer close(s.gone)
	defer s.cancel()
	a, err := s.greet(a)
	if err != nil {
		s.fail(err)
		close(s.ready)
		return
	}
	defer a.release()
	s.mu.Lock()
	s.running = a
	s.mu.Unlock()
	s.begun = true
	close(s.ready)

	s.accompany(a)
}

// accompany waits for the end of a script that has begun.
func (s *Stream) accompany(a *attempt) {
	output := a.pumped
	var verdict <-chan time.Time
	for ended := false; !ended; {
		select {
		case e := <-a.exit:
			if e.code < 0 { // nobody said how; a connection that ends says why
				s.fail(s.lost(s.cause(endedNoWord)))
				return
			}
			select {
			case <-a.quiet:
			case <-s.ctx.Done():
			case <-time.After(exitGrace):
			}
			s.end(Exit{Code: e.code, Signal: e.signal}, nil)
			ended = true
		case <-output: // it closed its output and goes on, or it ended, or the connection did: that shows in a moment
			output, verdict = nil, time.After(causeGrace)
		case <-verdict:
			s.out.finish(io.EOF)
		case <-s.c.dead:
			s.fail(s.lost(s.c.why()))
			return
		case <-s.ctx.Done():
			s.fail(s.closed())
			s.out.leave(s.closed())
			return
		}
	}
	for output != nil {
		select {
		case <-output:
			output = nil
		case <-time.After(exitGrace):
			if s.out.empty() { // nobody is slow; something that the program left behind holds its output
				output = nil
			}
		case <-s.ctx.Done():
			s.out.leave(s.closed())
			return
		}
	}
	if s.c.wire.over() { // the last bytes may be missing
		s.out.finish(s.lost(s.cause("the server closed the connection")))
		return
	}
	s.out.finish(io.EOF)
}

// cause is why the connection ended, if that is known in a moment.
func (s *Stream) cause(otherwise string) error {
	select {
	case <-s.c.dead:
		return s.c.why()
	case <-time.After(causeGrace):
		return errors.New(otherwise)
	}
}
