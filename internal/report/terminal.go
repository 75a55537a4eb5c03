package report

import (
	"io"
	"strings"
	"sync"
	"time"

	"fabgo/internal/journal"
	"fabgo/transport"
)

// TerminalOptions say how NewTerminal prints. The zero value prints plain lines without limits of width.
type TerminalOptions struct {
	Color bool // see ColorFor
	// Width is the number of columns to which titles of steps and the status line are cut; 0 is that of the terminal, and no limit where
	// there is none.
	Width int
	// Verbosity: -1 prints failures only; 0 what changed, failed, is unknown or was noted; 1 (-v) also what was well already, what was
	// skipped, what only looked, and positions; 2 also ops.
	Verbosity int
	Diff      bool     // print the diffs of contents, not only their size
	Hosts     []string // all hosts of the run; with more than one, lines begin with the host's name
	Live      bool     // w is a terminal: keep a line at the bottom that tells what is being done
}

// Terminal prints a run for a person. It is a journal.Sink and safe for concurrent use; the lines of one step stay together. Its last
// call is Recap. After the first error of the writer it prints nothing more; the error is ErrClosed when the reader has gone.
type Terminal struct {
	opts TerminalOptions
	paint
	now func() time.Time
	sum Summary

	mu      sync.Mutex
	w       io.Writer
	err     error
	views   map[string]*view
	order   []string // hosts as they came
	pad     int      // of the longest host's name with its colon; 0: no names
	printed bool
	live    live
}

// view is what the terminal remembers of a host between records.
type view struct {
	mode   journal.Mode
	step   int
	begin  journal.Begin
	since  time.Time // when the step was begun; zero: none is open
	said   string    // what the last step that went wrong said
	hinted bool      // and gave a hint
	at     string    // where it did, to be printed unless the end of the session knows more
	status string    // what goes on outside of steps, for the status line
	waits  time.Time // since when
}

// begun is since when what is under way with the host has been; zero: nothing is.
func (v *view) begun() time.Time {
	if v.status != "" {
		return v.waits
	}
	return v.since
}

// NewTerminal prints to w. With opts.Live it also starts the status line, which Recap ends.
func NewTerminal(w io.Writer, opts TerminalOptions) *Terminal {
	t := newTerminal(w, opts)
	if opts.Live {
		t.live.start(t)
	}
	return t
}

func newTerminal(w io.Writer, opts TerminalOptions) *Terminal {
	t := &Terminal{opts: opts, paint: paint(opts.Color), now: time.Now, w: w, views: map[string]*view{}}
	if len(opts.Hosts) > 1 {
		for _, h := range opts.Hosts {
			t.pad = max(t.pad, columns(Escape(h))+1)
		}
	}
	return t
}

// Record prints what a record has to say.
func (t *Terminal) Record(rec journal.Record) error {
	t.sum.Record(rec)
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.view(rec.Host)
	v.status = ""
	b := t.block(rec.Host, v.mode)
	if f, ok := rec.Body.(journal.Finish); v.at != "" && !(ok && v.explains(f)) {
		b.detail("at " + Escape(v.at))
	}
	v.at = ""
	switch body := rec.Body.(type) {
	case journal.Start:
		v.mode = body.Mode
		t.startLine(b, body)
	case journal.Begin:
		v.step, v.begin, v.since = rec.Step, body, t.now()
	case journal.Outcome:
		t.opLine(b, body)
	case journal.End:
		v.since = time.Time{}
		t.step(b, v, body)
	case journal.Note:
		t.note(b, body)
	case journal.Finish:
		v.since = time.Time{}
		t.finish(b, v, body)
	}
	return t.print(b)
}

func (t *Terminal) view(host string) *view {
	v := t.views[host]
	if v == nil {
		v = &view{}
		t.views[host] = v
		t.order = append(t.order, host)
	}
	return v
}

// Keep keeps nothing.
func (t *Terminal) Keep(transport.Content) error { return nil }

// Sync does nothing.
func (t *Terminal) Sync() error { return nil }

// Aside clears the status line and lets nothing be printed while f has the terminal: for prompts, and for lines that belong to no record.
func (t *Terminal) Aside(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.write(t.live.erase())
	f()
}

// Recap ends the output: it removes the status line and prints a row for each host. It is called once.
func (t *Terminal) Recap() error {
	t.live.end()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, host := range t.order {
		if v := t.views[host]; v.at != "" {
			b := t.block(host, v.mode)
			b.detail("at " + Escape(v.at))
			t.print(b)
		}
	}
	text := t.recap()
	if text != "" && t.printed {
		text = "\n" + text
	}
	t.write(t.live.erase() + text)
	return t.err
}

// print writes a block in one go, above the status line.
func (t *Terminal) print(b *block) error {
	if b.text.Len() > 0 {
		again := t.live.shown
		text := t.live.erase() + b.text.String()
		if again {
			text += t.live.line(t)
		}
		t.write(text)
		t.printed = true
	}
	return t.err
}

func (t *Terminal) write(s string) {
	if t.err == nil && s != "" {
		_, err := io.WriteString(t.w, s)
		t.err = writeError(err)
	}
}

func (t *Terminal) width() int {
	if t.opts.Width > 0 {
		return t.opts.Width
	}
	return widthOf(t.w)
}

// block collects the lines of one record. What is put into it is escaped already.
type block struct {
	paint
	prefix string
	word   int // columns of the word at the beginning of a line
	text   strings.Builder
}

func (t *Terminal) block(host string, mode journal.Mode) *block {
	b := &block{paint: t.paint, word: len("changed")}
	if mode == journal.Planning {
		b.word = len("would change")
	}
	if t.pad > 0 {
		h := Escape(host) + ":"
		b.prefix = t.in(dim, h) + strings.Repeat(" ", max(0, t.pad-columns(h))+1)
	}
	return b
}

// line adds a line: its word, coloured and padded, and the rest.
func (b *block) line(s style, word, rest string) {
	b.text.WriteString(b.prefix + b.in(s, word))
	if rest != "" {
		b.text.WriteString(strings.Repeat(" ", max(0, b.word-len(word))+2) + rest)
	}
	b.text.WriteByte('\n')
}

// detail adds a line below.
func (b *block) detail(text string) { b.text.WriteString(b.prefix + "    " + text + "\n") }
