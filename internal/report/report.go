// Package report reads a journal aloud: to a terminal, as JSON lines, as the table of past runs.
//
// The one rule: it knows nothing but records. Live or from a file, the same records give the same words; several sessions feed one
// printer at once, which keeps the lines of a step together.
//
// The trap: a record holds what a host, a bundle or a file name says, and any of them may hold bytes that steer a terminal. All of it
// goes through Escape before it is printed; the only line breaks and colours on the screen are those that this package makes.
//
// The promise: the words of a status (ok, changed, would change, failed, unknown, skipped) and their place at the beginning of a line,
// after the host's name where there are several, stay as they are: people grep for them.
package report

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"

	"fabgo/internal/journal"
)

// ErrClosed is the error of a printer whose reader has gone, as in fabgo run --json | head. There is nobody left to tell, so a
// command ends quietly.
var ErrClosed = errors.New("write output: nobody reads it any more")

func writeError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrClosedPipe):
		return ErrClosed
	}
	return fmt.Errorf("write output: %w", err)
}

// Play feeds the records of several hosts to a sink, in the order of their times, as they came when they were recorded.
func Play(to journal.Sink, hosts ...[]journal.Record) error {
	var all []journal.Record
	for _, h := range hosts {
		all = append(all, h...)
	}
	slices.SortStableFunc(all, func(a, b journal.Record) int { return a.Time.Compare(b.Time) })
	for _, rec := range all {
		if err := to.Record(rec); err != nil {
			return err
		}
	}
	return nil
}
