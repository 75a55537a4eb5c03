package main

import (
	"fmt"
	"runtime/debug"
)

// The exit codes, as the help tells them.
const (
	exitOK          = 0
	exitFailed      = 1   // a step failed, or a time limit passed
	exitUsage       = 2   // the command line is wrong
	exitInvalid     = 3   // the bundle or a configuration is at fault; nothing was touched
	exitUnreachable = 4   // a host was
	exitPending     = 5   // plan --detailed-exitcode: there are changes to make
	exitLocked      = 6   // another run is under way
	exitBug         = 70  // our fault
	exitInterrupted = 130 // Ctrl-C
)

const exitHelp = `Exit codes: 0 all is well; 1 a step failed; 2 wrong command line; 3 wrong bundle or configuration,
nothing was touched; 4 a host could not be reached; 5 changes are pending (plan
--detailed-exitcode); 6 another run holds the lock of the host; 70 a defect of fabgo; 130
interrupted. With several hosts the worst counts, in this order: 70, 130, 4, 1, 6, 3, 5, 0.`

// severity orders exit codes: with several hosts the last of them counts.
var severity = []int{exitOK, exitPending, exitInvalid, exitLocked, exitFailed, exitUnreachable, exitInterrupted, exitBug}

// exit is an error with the exit code that it means. Silent ones have been told already.
type exit struct {
	code   int
	err    error
	silent bool
}

func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// usage says that the command line is wrong.
func usage(format string, args ...any) error {
	return &exit{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// invalid says that a bundle or a configuration is.
func invalid(err error) error { return &exit{code: exitInvalid, err: err} }

// done ends a command that has told everything with a code.
func done(code int) error {
	if code == exitOK {
		return nil
	}
	return &exit{code: code, silent: true}
}

// guard turns a panic of f into an error with the exit code of our own defects: one host's must not end the others.
func (e *env) guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &exit{code: exitBug, err: fmt.Errorf("internal error: %v\n%s\nThis is a defect of fabgo %s: please report it with the lines above", r, debug.Stack(), e.Version)}
		}
	}()
	return f()
}
