package template

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// Error is a failure at a place in a template file. Line and Col count from 1; Col counts characters, not bytes.
type Error struct {
	File      string
	Line, Col int
	Msg       string
	Source    string // the line of the file, without its newline

	cause   error
	at      place
	missing bool // the value does not exist: `default` and `is defined` turn this failure into an answer
}

// Error prints "site.conf.j2:3:14: undefined: nme (did you mean name?)".
func (e *Error) Error() string { return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Msg) }

// Unwrap returns the error of a loader, a context, or a value's own method that this one reports.
func (e *Error) Unwrap() error { return e.cause }

// source is one template file after newline normalisation; offsets everywhere in this package point into text.
type source struct {
	name string
	text string
}

// place is an offset in a source. The line and column are computed only when an error needs them.
type place struct {
	src *source
	off int
}

func (p place) errorf(format string, args ...any) *Error {
	return p.report(fmt.Errorf(format, args...), false)
}

func (p place) report(err error, missing bool) *Error {
	text := p.src.text
	off := min(p.off, len(text))
	start := strings.LastIndexByte(text[:off], '\n') + 1
	end := len(text)
	if i := strings.IndexByte(text[start:], '\n'); i >= 0 {
		end = start + i
	}
	return &Error{
		File:    p.src.name,
		Line:    strings.Count(text[:start], "\n") + 1,
		Col:     utf8.RuneCountInString(text[start:off]) + 1,
		Msg:     err.Error(),
		Source:  text[start:end],
		cause:   errors.Unwrap(err),
		at:      p,
		missing: missing,
	}
}

// wrap gives err the position p unless it already has one of its own, nearer to the fault.
func (p place) wrap(err error) error {
	if err == nil {
		return nil
	}
	var located *Error
	if errors.As(err, &located) {
		return located
	}
	var gone *missingError
	if errors.As(err, &gone) {
		return p.report(err, true)
	}
	e := p.report(err, false)
	e.cause = err
	return e
}

// missingError says that a value does not exist, as opposed to being of the wrong kind.
type missingError struct{ msg string }

func (e *missingError) Error() string { return e.msg }

func missingf(format string, args ...any) error { return &missingError{fmt.Sprintf(format, args...)} }

func isMissing(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.missing
	}
	var gone *missingError
	return errors.As(err, &gone)
}

// an names the type of a value within an error: "an int", "a list", "None".
func an(v starlark.Value) string {
	name := v.Type()
	switch {
	case v == starlark.None:
		return "None"
	case name != "" && strings.IndexByte("aeiou", name[0]) >= 0:
		return "an " + name
	}
	return "a " + name
}
