package main

import (
	"fmt"
	"io"
	"sync"

	"fabgo/internal/report"
)

// screen shows what belongs to no record: lines on standard error, above the status line where there is one.
type screen struct {
	stderr io.Writer
	lines  *report.Terminal // nil where records are not shown for a person
}

func (s *screen) notice(host, text string) {
	s.aside(func() { fmt.Fprintf(s.stderr, "%s: %s\n", report.Escape(host), report.Escape(text)) })
}

func (s *screen) aside(f func()) {
	if s.lines == nil {
		f()
		return
	}
	s.lines.Aside(f)
}

// upload tells of a helper on its way to a host: once, and where there is a status line how far it has come.
func (s *screen) upload(host string) func(sent, size int64) {
	var once sync.Once
	return func(sent, size int64) {
		once.Do(func() { s.notice(host, fmt.Sprintf("bringing the helper there, %s MB, once", megabytes(size))) })
		s.status(host, fmt.Sprintf("bringing the helper, %s of %s MB", megabytes(sent), megabytes(size)))
	}
}

// status tells, where there is a status line, what goes on with a host until its next record.
func (s *screen) status(host, text string) {
	if s.lines != nil {
		s.lines.Status(host, text)
	}
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f", float64(n)/1e6) }
