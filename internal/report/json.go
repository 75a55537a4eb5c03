package report

import (
	"io"
	"sync"

	"fabgo/internal/journal"
	"fabgo/transport"
)

// JSONOptions choose what NewJSON writes.
type JSONOptions struct {
	// Verbose adds the beginnings of steps, intents and ops to the starts and ends of sessions, ends of steps and notes.
	Verbose bool
}

// JSON writes records as the journal has them, one a line. It is a journal.Sink and safe for concurrent use. After the first error
// of the writer it writes nothing more; the error is ErrClosed when the reader has gone.
type JSON struct {
	opts JSONOptions
	mu   sync.Mutex
	w    io.Writer
	err  error
}

// NewJSON writes to w.
func NewJSON(w io.Writer, opts JSONOptions) *JSON { return &JSON{opts: opts, w: w} }

// Record writes a line, in one Write.
func (j *JSON) Record(rec journal.Record) error {
	switch rec.Body.(type) {
	case journal.Begin, journal.Intent, journal.Outcome:
		if !j.opts.Verbose {
			return nil
		}
	}
	line, err := rec.MarshalJSON()
	if err != nil {
		return writeError(err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		_, err := j.w.Write(append(line, '\n'))
		j.err = writeError(err)
	}
	return j.err
}

// Keep keeps nothing.
func (j *JSON) Keep(transport.Content) error { return nil }

// Sync does nothing.
func (j *JSON) Sync() error { return nil }
