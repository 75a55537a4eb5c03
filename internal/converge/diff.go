package converge

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	udiff "github.com/aymanbagabas/go-udiff"

	"fabgo/internal/journal"
	"fabgo/transport"
)

// diffLimit is the size of a content up to which its lines are compared: 256 KiB.
const diffLimit = 256 << 10

// diff says how want differs from have. Contents are read for it, through h.
func diff(ctx context.Context, h transport.Host, want, have Object) ([]journal.Delta, error) {
	name := want.Key.String()
	whole := func(from, to string) []journal.Delta { return []journal.Delta{{Object: name, From: from, To: to}} }
	switch {
	case satisfied(want, have):
		return nil, nil
	case want.Absent && have.unknown():
		return whole("unknown", "absent"), nil
	case want.Absent:
		return whole(have.noun(), "absent"), nil
	case want.File != nil:
		return diffFile(ctx, h, want, have)
	}
	var out []journal.Delta
	if have.Absent || have.unknown() {
		from := "absent"
		if have.unknown() {
			from = "unknown"
		}
		out = whole(from, want.noun())
		if want.As != "" {
			return out, nil
		}
	}
	for _, k := range slices.Sorted(maps.Keys(want.Fields)) {
		w := want.Fields[k]
		f, ok := have.Fields[k]
		switch {
		case !ok && have.Cause != nil && have.Fields != nil:
			out = append(out, journal.Delta{Object: name, Attr: k, From: "unknown", To: string(w)})
		case w != f:
			out = append(out, journal.Delta{Object: name, Attr: k, From: string(f), To: string(w)})
		}
	}
	return out, nil
}

// brief is diff without the lines of contents, and of a file that is made without its attributes. It asks nothing.
func brief(ctx context.Context, h transport.Host, want, have Object) ([]journal.Delta, error) {
	want.Hidden = true
	ds, err := diff(ctx, h, want, have)
	if want.File != nil && len(ds) > 1 && ds[0].Attr == "" {
		ds = ds[:1]
	}
	return ds, err
}

// noun is what an object is called in "absent -> noun".
func (o Object) noun() string {
	switch {
	case o.As != "":
		return o.As
	case o.File != nil:
		return string(o.File.Type)
	}
	return "present"
}

func diffFile(ctx context.Context, h transport.Host, want, have Object) ([]journal.Delta, error) {
	name := want.Key.String()
	w, f := want.File, have.File
	var out []journal.Delta
	if f == nil || f.Type != w.Type {
		from := "absent"
		if have.Cause != nil {
			from = "unknown"
		} else if f != nil {
			from = string(f.Type)
		}
		out = append(out, journal.Delta{Object: name, From: from, To: string(w.Type)})
		f = &File{UID: -1, GID: -1}
	}
	add := func(attr, from, to string) {
		out = append(out, journal.Delta{Object: name, Attr: attr, From: from, To: to})
	}
	if w.Content != nil && (f.Content == nil || f.Content.Digest != w.Content.Digest) {
		d, err := diffContent(ctx, h, want, have)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	if w.Type == transport.Symlink && w.Target != f.Target {
		add("target", string(f.Target), string(w.Target))
	}
	if w.Mode != "" && w.Mode != f.Mode {
		add("mode", string(f.Mode), string(w.Mode))
	}
	if w.Owner != "" && !owned(w.Owner, f.Owner, f.UID) {
		add("owner", string(f.Owner), string(w.Owner))
	}
	if w.Group != "" && !owned(w.Group, f.Group, f.GID) {
		add("group", string(f.Group), string(w.Group))
	}
	return out, nil
}

func diffContent(ctx context.Context, h transport.Host, want, have Object) (journal.Delta, error) {
	d := journal.Delta{Object: want.Key.String(), Attr: "content", To: size(want.File.Content.Size)}
	if want.File.Content.Secret { // what it will be long nobody knows here
		d.To = "with a secret"
	}
	var old []byte
	if have.File != nil && have.File.Type == transport.Regular && have.File.Content != nil {
		d.From = size(have.File.Content.Size)
		if want.Hidden {
			return d, nil
		}
		if have.File.Content.Size > diffLimit {
			return d, nil
		}
		data, err := transport.Do[transport.Data](ctx, h, transport.Read{Path: transport.Path(want.Key.Name)})
		if err != nil {
			return d, err
		}
		if old, err = data.Content.ReadAll(transport.ReadLimit); err != nil {
			return d, err
		}
	}
	if want.Hidden || !want.File.Content.Known() || want.File.Content.Size > diffLimit {
		return d, nil
	}
	now, err := want.File.Content.ReadAll(diffLimit)
	if err != nil {
		return d, err
	}
	if !text(old) || !text(now) {
		return d, nil
	}
	from := want.Key.Name
	if have.File == nil {
		from = "/dev/null"
	}
	d.Text = udiff.Unified(from, want.Key.Name, string(old), string(now))
	return d, nil
}

func size(n int64) string { return fmt.Sprintf("%d bytes", n) }

func text(b []byte) bool { return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 }

// differences puts deltas in a line for errors: "mode 0644 instead of 0600".
func differences(ds []journal.Delta) string {
	var parts []string
	for _, d := range ds {
		what := d.Object
		if d.Attr != "" {
			what += " " + d.Attr
		}
		parts = append(parts, fmt.Sprintf("%s is %q instead of %q", what, d.From, d.To))
	}
	return strings.Join(parts, ", ")
}
