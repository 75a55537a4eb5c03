// Package converge is one bundle on one host: it compares what is there with what is wanted and makes it so, or says what it would do.
//
// The one rule: Session.Converge (and Act, for what has no state) is the only place that knows plan from run. The wanted state that the
// diff used is the prediction; no builtin writes a prediction of its own.
//
// The trap: after an opaque step (a command, a package's scripts) of a plan, what a probe does not find may yet come into being. It is
// unknown then, with its cause, not absent.
//
// The promise: a plan passes no changing op to the host; a run that says changed has looked again and found what was wanted.
package converge

import (
	"context"
	"strconv"

	"fabgo/transport"
)

// Key names an object of a host: a file by its path, else a row of a table.
type Key struct {
	Table transport.Table // FileTable or one of transport's
	Name  string
}

// FileTable is the Table of keys that are paths.
const FileTable transport.Table = "file"

// FileKey is the key of a file.
func FileKey(p transport.Path) Key { return Key{FileTable, string(p)} }

// String is the key as it stands in output: "file:/etc/motd".
func (k Key) String() string { return string(k.Table) + ":" + k.Name }

// Object is one object in one state, wanted or found. One of File and Fields is set, unless it is absent.
type Object struct {
	Key    Key
	Absent bool
	File   *File
	Fields map[string]transport.Text // wanted: only those that matter; values equal as texts
	Cause  *Cause                    // found: it is not known what is there; with Fields: what their other columns are
	Hidden bool                      // wanted: its content is neither shown nor kept
	As     string                    // wanted: the diff calls a made row this ("installed 1.2"), instead of "present" and its columns
}

// File is the state of a file. In a wanted one, zero fields are left as they are.
type File struct {
	Type    transport.FileType
	Mode    transport.Mode
	Owner   transport.Text // name, or digits
	Group   transport.Text
	Target  transport.Text     // of symlinks
	Content *transport.Content // of regular files
	Follow  bool               // wanted: a symlink in that place is followed
	Replace bool               // wanted: whatever is there, but a folder that is not empty, makes way
	Brought bool               // wanted: the resource itself brings the content of a new file, which is not known before

	UID, GID int // found; -1 when predicted
}

// owned reports whether a wanted owner (name or digits) is what was found.
func owned(want, name transport.Text, id int) bool {
	return want == name || id >= 0 && string(want) == strconv.Itoa(id)
}

// satisfied reports whether what was found is what is wanted.
func satisfied(want, have Object) bool {
	if have.unknown() {
		return false
	}
	if want.Absent || have.Absent {
		return want.Absent == have.Absent
	}
	if want.File != nil {
		w, h := want.File, have.File
		return w.Type == h.Type &&
			(w.Mode == "" || w.Mode == h.Mode || h.Type == transport.Symlink) &&
			(w.Owner == "" || owned(w.Owner, h.Owner, h.UID)) &&
			(w.Group == "" || owned(w.Group, h.Group, h.GID)) &&
			(w.Type != transport.Symlink || w.Target == h.Target) &&
			(w.Content == nil || h.Content != nil && w.Content.Digest == h.Content.Digest)
	}
	for k, v := range want.Fields {
		if got, ok := have.Fields[k]; got != v || !ok && have.Cause != nil {
			return false
		}
	}
	return true
}

// unknown reports whether nothing is known of what was found.
func (o Object) unknown() bool { return o.Cause != nil && o.Fields == nil }

// unsure is why it cannot be known whether what was found is what is wanted, or nil when it can.
func unsure(want, have Object) *Cause {
	if have.Cause == nil || have.unknown() {
		return have.Cause
	}
	for k, v := range want.Fields {
		if got, ok := have.Fields[k]; ok && got != v {
			return nil
		}
	}
	return have.Cause
}

// merge is what is there after want has been made so where have was. It is the prediction. Owner and group of a new file are empty
// where they are not wanted: the host decides.
func merge(want, have Object) Object {
	if want.Absent {
		return Object{Key: want.Key, Absent: true}
	}
	if want.File != nil {
		f := File{Type: want.File.Type, UID: -1, GID: -1}
		switch {
		case have.File != nil && have.File.Type == f.Type:
			f = *have.File
		case f.Type == transport.Regular:
			f.Mode = "0644"
		case f.Type == transport.Dir:
			f.Mode = "0755"
		}
		w := want.File
		if w.Mode != "" {
			f.Mode = w.Mode
		}
		if w.Owner != "" && !owned(w.Owner, f.Owner, f.UID) {
			f.Owner, f.UID = w.Owner, -1
		}
		if w.Group != "" && !owned(w.Group, f.Group, f.GID) {
			f.Group, f.GID = w.Group, -1
		}
		if w.Content != nil {
			f.Content = w.Content
		}
		if w.Target != "" {
			f.Target = w.Target
		}
		f.Follow = w.Follow
		return Object{Key: want.Key, File: &f, Hidden: want.Hidden}
	}
	fields := map[string]transport.Text{}
	for k, v := range have.Fields {
		fields[k] = v
	}
	for k, v := range want.Fields {
		fields[k] = v
	}
	return Object{Key: want.Key, Fields: fields, Cause: have.Cause, As: want.As}
}

// probe finds the objects that are wanted, in their order. It asks for a content's digest only where one is wanted.
func probe(ctx context.Context, h transport.Host, want []Object) ([]Object, error) {
	have := make([]Object, len(want))
	rows := map[transport.Table][]int{}
	var tables []transport.Table
	for i, w := range want {
		if w.Key.Table != FileTable {
			if rows[w.Key.Table] == nil {
				tables = append(tables, w.Key.Table)
			}
			rows[w.Key.Table] = append(rows[w.Key.Table], i)
			continue
		}
		o, err := ProbeFile(ctx, h, w)
		if err != nil {
			return nil, err
		}
		have[i] = o
	}
	for _, t := range tables {
		keys := make([]transport.Text, len(rows[t]))
		for j, i := range rows[t] {
			keys[j] = transport.Text(want[i].Key.Name)
		}
		res, err := transport.Do[transport.Rows](ctx, h, transport.Lookup{Table: t, Keys: keys})
		cause := CauseOf(err)
		if err != nil && cause == nil {
			return nil, err
		}
		for _, i := range rows[t] {
			k := want[i].Key
			have[i] = Object{Key: k, Absent: true}
			if row, ok := res.Get(transport.Text(k.Name)); ok {
				have[i] = Object{Key: k, Fields: row.Fields, Cause: partial(h, k)}
			}
		}
		if cause != nil { // of some keys; ask one by one which
			for _, i := range rows[t] {
				o, err := probeRow(ctx, h, want[i].Key)
				if err != nil {
					return nil, err
				}
				have[i] = o
			}
		}
	}
	return have, nil
}

func probeRow(ctx context.Context, h transport.Host, k Key) (Object, error) {
	res, err := transport.Do[transport.Rows](ctx, h, transport.Lookup{Table: k.Table, Keys: []transport.Text{transport.Text(k.Name)}})
	if c := CauseOf(err); c != nil {
		return Object{Key: k, Cause: c}, nil
	}
	if err != nil {
		return Object{}, err
	}
	if row, ok := res.Get(transport.Text(k.Name)); ok {
		return Object{Key: k, Fields: row.Fields, Cause: partial(h, k)}, nil
	}
	return Object{Key: k, Absent: true}, nil
}

// partial is why some columns of a row are not known: a step was predicted to set others, without knowing what was there.
func partial(h transport.Host, k Key) *Cause {
	if o, ok := h.(*Overlay); ok && o.rows[k] != nil {
		return o.rows[k].obj.Cause
	}
	return nil
}

// ProbeFile looks for one file, as it is wanted.
func ProbeFile(ctx context.Context, h transport.Host, want Object) (Object, error) {
	op := transport.Stat{Path: transport.Path(want.Key.Name)}
	if want.File != nil {
		op.Follow = want.File.Follow
		if c := want.File.Content; c != nil && c.Secret {
			op.Against = c // only the host knows what the tokens stand for
		} else {
			op.Digest = c != nil
		}
	}
	fi, err := transport.Do[transport.FileInfo](ctx, h, op)
	if c := CauseOf(err); c != nil {
		return Object{Key: want.Key, Cause: c}, nil
	}
	if err != nil {
		return Object{}, err
	}
	o := fileObject(want.Key, fi)
	if op.Against != nil && fi.Type == transport.Regular {
		o.File.Content = &transport.Content{Size: fi.Size}
		if fi.Same {
			o.File.Content = op.Against
		}
	}
	return o, nil
}

// fileObject is what a Stat tells of a file.
func fileObject(k Key, fi transport.FileInfo) Object {
	if fi.Type == transport.Absent {
		return Object{Key: k, Absent: true}
	}
	f := &File{Type: fi.Type, Mode: fi.Mode, Owner: fi.Owner, Group: fi.Group, UID: fi.UID, GID: fi.GID, Target: fi.Target}
	if fi.Digest != "" {
		f.Content = &transport.Content{Digest: fi.Digest, Size: fi.Size}
	}
	return Object{Key: k, File: f}
}
