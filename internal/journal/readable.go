package journal

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Readable is s as it stands in records, where every byte that is not UTF-8 is written \xNN.
func Readable(s string) string { return readable(s) }

// readable makes valid UTF-8 of s. encoding/json alone would write the same replacement for every byte that it cannot, so that two
// files with odd names became one in the journal, and a replay would not compare equal to its run.
func readable(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[0])
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

func readableAll(ss []string) []string {
	if !slices.ContainsFunc(ss, func(s string) bool { return !utf8.ValidString(s) }) {
		return ss
	}
	out := make([]string, len(ss))
	for i, s := range ss {
		out[i] = readable(s)
	}
	return out
}

func readableBody(b Body) Body {
	switch b := b.(type) {
	case Start:
		b.Bundle = readable(b.Bundle)
		b.Tasks = readableTasks(b.Tasks)
		b.Carried = slices.Clone(b.Carried)
		for i, c := range b.Carried {
			b.Carried[i].Builtin, b.Carried[i].Resource, b.Carried[i].Tasks = readable(c.Builtin), readable(c.Resource), readableTasks(c.Tasks)
		}
		return b
	case Begin:
		return b.readable()
	case Outcome:
		if b.Error != nil {
			e := *b.Error
			e.Message, e.Hint = readable(e.Message), readable(e.Hint)
			b.Error = &e
		}
		return b
	case End:
		b.Begin = b.Begin.readable()
		b.Because = readable(b.Because)
		b.Diff = slices.Clone(b.Diff)
		for i, d := range b.Diff {
			b.Diff[i] = Delta{readable(d.Object), readable(d.Attr), readable(d.From), readable(d.To), readable(d.Text)}
		}
		b.Error = b.Error.readable()
		return b
	case Note:
		b.Text, b.Pos = readable(b.Text), readable(b.Pos)
		return b
	case Finish:
		b.Error = b.Error.readable()
		return b
	}
	return b
}

func readableTasks(ts []Task) []Task {
	out := slices.Clone(ts)
	for i, t := range out {
		out[i] = Task{readable(t.Name), readableAll(t.Args)}
	}
	return out
}

func (b Begin) readable() Begin {
	b.Builtin, b.Resource, b.Label, b.Pos = readable(b.Builtin), readable(b.Resource), readable(b.Label), readable(b.Pos)
	return b
}

func (f *Failure) readable() *Failure {
	if f == nil {
		return nil
	}
	c := *f
	c.Message, c.Hint, c.Stderr, c.Source = readable(f.Message), readable(f.Hint), readable(f.Stderr), readable(f.Source)
	c.Command, c.Frames = readableAll(f.Command), readableAll(f.Frames)
	return &c
}
