package interp

import (
	"fmt"
	"strings"
)

// Problem is something wrong with a file that is known without running it.
type Problem struct {
	Pos    Position
	Msg    string
	Hint   string  // what to do about it; may be empty
	Source string  // the text of the line
	Chain  []Frame // the load statements that led to the file, outermost first
	Err    error   // the cause, if there is one
}

func (p *Problem) Error() string {
	msg := p.Msg
	if p.Hint != "" {
		msg += " (" + p.Hint + ")"
	}
	if p.Pos.IsValid() {
		return p.Pos.String() + ": " + msg
	}
	return msg
}

func (p *Problem) Unwrap() error { return p.Err }

// Problems is all that is wrong with a bundle and its libraries, in the order of reading. It is never empty as an error.
type Problems []*Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// lineOf is line n (from 1) of a source, cut to a length that a terminal can show.
func lineOf(src string, n int) string {
	for i := 1; i < n; i++ {
		_, rest, ok := strings.Cut(src, "\n")
		if !ok {
			return ""
		}
		src = rest
	}
	line, _, _ := strings.Cut(src, "\n")
	line = strings.TrimRight(line, "\r \t")
	const longest = 400
	if len(line) > longest {
		line = strings.ToValidUTF8(line[:longest], "") + " ..."
	}
	return line
}

// LimitError says that an evaluation was ended because it did too much.
type LimitError struct {
	What  string // "steps", "printed bytes"
	Limit uint64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("evaluation stopped: more than %s %s", grouped(e.Limit), e.What)
}

// Hint is for whoever meets the limit by accident.
func (e *LimitError) Hint() string { return "is there a loop over far more than was meant?" }

// grouped writes 100000000 as 100,000,000.
func grouped(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// FailError is what the builtin fail raises: the bundle itself says that it cannot go on.
type FailError struct{ Msg string }

func (e *FailError) Error() string { return e.Msg }
