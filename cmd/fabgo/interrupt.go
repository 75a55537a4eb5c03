package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// interrupts turn signals into the ends of two contexts: soft, when the step under way is to be the last, and hard, when it is to be
// cut off.
type interrupts struct {
	soft, hard context.Context
	stop       context.CancelCauseFunc // ends soft
	close      func()
}

// What ended a run, as its journal says.
var (
	errOnce  = errors.New("Ctrl-C was typed")
	errTwice = errors.New("Ctrl-C was typed twice")
	errTold  = errors.New("fabgo was told to end, or its terminal was closed")
)

// interruptible ends soft at the first Ctrl-C, which say tells of, and hard at the second, or at once when the terminal goes away or the
// process is told to end. After that, signals kill the process as they would any.
func (e *env) interruptible(parent context.Context, say func()) *interrupts {
	hard, cut := context.WithCancelCause(parent)
	soft, stop := context.WithCancelCause(hard)
	ch := make(chan os.Signal, 4)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // nohup
			signal.Notify(ch, s)
		}
	}
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE) // heard and not heeded: a write to a closed pipe is an error like others. To ignore it would bind commands of @local too
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case s := <-ch:
				if s == os.Interrupt && soft.Err() == nil {
					stop(errOnce)
					go say() // whatever it waits for, the next signal is heard
					continue
				}
				signal.Stop(ch)
				if s == os.Interrupt {
					cut(errTwice)
				} else {
					cut(errTold)
				}
			}
		}
	}()
	return &interrupts{soft, hard, stop, func() {
		signal.Stop(ch)
		signal.Stop(pipe)
		close(done)
		cut(nil)
	}}
}

// lastStep says what the first Ctrl-C does.
func (e *env) lastStep() {
	fmt.Fprintln(e.Stderr, "\ninterrupted: the step under way is the last one; Ctrl-C again cuts it off")
}
