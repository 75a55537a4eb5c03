package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"fabgo/internal/report"
	"fabgo/transport"
)

// terminal is where a person sits.
type terminal struct{ in, out *os.File }

// prompter asks on the terminal, one question at a time.
type prompter struct {
	tty   *terminal
	aside func(func()) // keeps other output away meanwhile
	mu    sync.Mutex

	sudoOnce sync.Once
	sudo     []byte
	sudoErr  error
}

// prompter finds the terminal. It is nil where there is none, as in cron and CI.
func (e *env) prompter() *prompter {
	tty, err := e.Terminal()
	if err != nil {
		return nil
	}
	return &prompter{tty: tty, aside: func(f func()) { f() }}
}

// Confirm asks for yes or no; anything but yes is no.
func (p *prompter) Confirm(ctx context.Context, text string) (bool, error) {
	line, err := p.ask(ctx, strings.TrimSpace(text)+" [yes/no] ", true)
	return strings.EqualFold(strings.TrimSpace(string(line)), "yes"), err
}

// Password asks without echo.
func (p *prompter) Password(ctx context.Context, text string) ([]byte, error) {
	return p.ask(ctx, strings.TrimSpace(text)+" ", false)
}

// sudoPassword asks when the first host wants it. All hosts get the same answer.
func (p *prompter) sudoPassword(ctx context.Context) ([]byte, error) {
	if p == nil {
		return nil, &transport.Error{
			Kind: transport.Escalation, Message: "ask for the password of sudo: there is no terminal",
			Hint: "run fabgo on a terminal, or let this user run sudo without a password",
		}
	}
	p.sudoOnce.Do(func() { p.sudo, p.sudoErr = p.Password(ctx, "sudo password:") })
	return bytes.Clone(p.sudo), p.sudoErr
}

// ask shows a question and reads a line. When the context ends while it waits, the terminal is put back as it was.
func (p *prompter) ask(ctx context.Context, text string, echo bool) (answer []byte, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	p.aside(func() { answer, err = p.question(ctx, text, echo) })
	return answer, err
}

func (p *prompter) question(ctx context.Context, text string, echo bool) ([]byte, error) {
	if !echo {
		undo, err := quiet(p.tty.in)
		if err != nil {
			return nil, fmt.Errorf("turn the echo of the terminal off: %w", err)
		}
		defer func() {
			undo()
			fmt.Fprintln(p.tty.out) // the end of the line that was not echoed
		}()
	}
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			fmt.Fprintln(p.tty.out)
		}
		fmt.Fprint(p.tty.out, report.Escape(line))
	}
	type reply struct {
		line []byte
		err  error
	}
	ch := make(chan reply, 1)
	go func() { // a read of a terminal cannot be ended: what the context leaves behind waits until the process is over
		line, err := readLine(p.tty.in)
		ch <- reply{line, err}
	}()
	select {
	case r := <-ch:
		return r.line, r.err
	case <-ctx.Done():
		if echo {
			fmt.Fprintln(p.tty.out)
		}
		return nil, context.Cause(ctx)
	}
}

// readLine reads up to the end of a line, a byte at a time, so that what is typed ahead is left for the next question.
func readLine(r io.Reader) ([]byte, error) {
	var line []byte
	var b [1]byte
	for {
		n, err := r.Read(b[:])
		switch {
		case n == 1 && b[0] == '\n':
			return bytes.TrimSuffix(line, []byte("\r")), nil
		case errors.Is(err, io.EOF) && n == 0:
			return nil, errors.New("no answer was given")
		case err != nil:
			return nil, err
		}
		line = append(line, b[:n]...)
	}
}
