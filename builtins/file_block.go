package builtins

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"
)

func fileBlock(c *call, a struct {
	writing
	placing
	Content string `arg:"content"`
	Marker  string `arg:"marker"`
	Begin   string `arg:"begin"`
	End     string `arg:"end"`
	Absent  bool   `arg:"absent"`
	Create  bool   `arg:"create"`
}) (starlark.Value, error) {
	bad := func(f string, args ...any) (starlark.Value, error) {
		return nil, fmt.Errorf("file.block: "+f, args...)
	}
	place, err := a.place()
	begin, end := strings.ReplaceAll(a.Marker, "{mark}", a.Begin), strings.ReplaceAll(a.Marker, "{mark}", a.End)
	switch {
	case err != nil:
		return bad("%w", err)
	case !strings.Contains(a.Marker, "{mark}"):
		return bad("marker: %q does not hold {mark}, which stands for %s and %s", a.Marker, a.Begin, a.End)
	case strings.ContainsAny(begin+end, "\r\n"):
		return bad("marker: %q is more than one line", a.Marker)
	case begin == end:
		return bad("begin and end are both %q: the markers must differ", a.Begin)
	}
	var content []string
	if a.Content != "" {
		content = strings.Split(strings.TrimSuffix(strings.ReplaceAll(a.Content, "\r\n", "\n"), "\n"), "\n")
	}
	for _, t := range content {
		if t == begin || t == end {
			return bad("content: it holds the line %q, which is a marker", t)
		}
	}
	block := append(append([]string{begin}, content...), end)
	return c.edited(a.writing.holding(a.Content), a.Create, a.Absent, func(old []byte) ([]byte, error) {
		l := linesOf(old)
		from, to, err := findBlock(l, begin, end)
		if err != nil {
			return nil, err
		}
		if from < 0 {
			if !a.Absent {
				l.insert(place(l), block...)
			}
			return l.bytes(), nil
		}
		end, last := l.end(), l.ends[to-1] // of the file with its old block, which may be all of it
		l.remove(from, to)
		if !a.Absent {
			l.insertWith(end, from, block)
			l.ends[from+len(block)-1] = last
		}
		return l.bytes(), nil
	})
}

// findBlock finds the one block between the markers; from is -1 when there is none.
func findBlock(l *lines, begin, end string) (from, to int, err error) {
	from, to = -1, -1
	for i, t := range l.text {
		switch {
		case t == begin && from >= 0:
			return 0, 0, fmt.Errorf("the marker %q stands in lines %d and %d: one block must go, or get another marker", begin, from+1, i+1)
		case t == begin:
			from = i
		case t == end && (from < 0 || to >= 0):
			return 0, 0, fmt.Errorf("the marker %q in line %d ends no block", end, i+1)
		case t == end:
			to = i + 1
		}
	}
	if from >= 0 && to < 0 {
		return 0, 0, fmt.Errorf("the block that begins in line %d has no end: the marker %q is missing", from+1, end)
	}
	return from, to, nil
}
