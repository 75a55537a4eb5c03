package builtins

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"fabgo/internal/converge"
	"fabgo/transport"
)

// linesFile is a file of the system in which some lines are to be so; the others stay as they are. What the file is, its attributes, and its
// lines may depend on the host.
type linesFile struct {
	name string
	want func(ctx context.Context, h transport.Host) ([]converge.Object, error)
}

func (r *linesFile) Name() string { return r.name }

func (r *linesFile) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	return r.want(ctx, h)
}

func (r *linesFile) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	return applyFiles(ctx, h, delta)
}

// wholeFiles are files of the system whose state is known beforehand.
func wholeFiles(name string, files ...converge.Object) *linesFile {
	return &linesFile{name, func(context.Context, transport.Host) ([]converge.Object, error) { return files, nil }}
}

// placedLines is a linesFile of which it is known beforehand where it may be: a plan that cannot tell its content still knows that no other file
// is touched.
type placedLines struct {
	linesFile
	paths []transport.Path
}

func (r *placedLines) Reach() []converge.Object {
	var out []converge.Object
	for _, p := range r.paths {
		out = append(out, converge.Object{Key: converge.FileKey(p), File: &converge.File{Type: transport.Regular}})
	}
	return out
}

// changedLines is a file as edit leaves it, with the attributes of f. One that is not there is edited as an empty one, and is made only where something
// comes of it. f.Follow is for files that nobody but root can put a symlink in the place of.
func changedLines(ctx context.Context, h transport.Host, p transport.Path, f converge.File, edit func(l *lines) error) (converge.Object, error) {
	o := converge.Object{Key: converge.FileKey(p)}
	fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: p, Follow: f.Follow})
	if err != nil {
		return o, err
	}
	l := &lines{}
	switch fi.Type {
	case transport.Absent:
	case transport.Symlink:
		return o, &transport.Error{Kind: transport.Refused, Path: p, Message: fmt.Sprintf("edit %s: it is a symlink to %s, which its owner may turn anywhere", p, fi.Target), Hint: "take it away before: file.absent"}
	case transport.Regular:
		old, err := readPieces(ctx, h, p, editLimit)
		if err != nil {
			return o, err
		}
		l = linesOf(old)
	default:
		return o, &transport.Error{Kind: transport.Refused, Path: p, Message: fmt.Sprintf("edit %s: it is a %s, not a file", p, fi.Type)}
	}
	if err := edit(l); err != nil {
		return o, fmt.Errorf("edit %s: %w", p, err)
	}
	if fi.Type == transport.Absent && len(l.text) == 0 {
		o.Absent = true
		return o, nil
	}
	content := transport.Bytes(l.bytes())
	f.Type, f.Content = transport.Regular, &content
	o.File = &f
	return o, nil
}

// swapLines puts lines where those from from to to stood; all that stay the same are not touched.
func (l *lines) swapLines(from, to int, text ...string) {
	for from < to && len(text) > 0 && l.text[from] == text[0] {
		from, text = from+1, text[1:]
	}
	l.remove(from, to)
	if len(text) > 0 {
		l.insert(from, text...)
	}
}

// oneLine refuses what would be more than a line of a file.
func oneLine(what, s string) error {
	for _, r := range s {
		if r == '\n' || r == '\r' || r == 0 {
			return fmt.Errorf("%s: %q holds a line break or a NUL, and has to be one line", what, s)
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
