package converge

import (
	"context"
	"testing"
	"time"

	"fabgo/internal/journal"
	"fabgo/transport"
)

// memory is a sink that keeps records.
type memory struct {
	records []journal.Record
	kept    []transport.Content
	fail    error // of Record
}

func (m *memory) Record(r journal.Record) error {
	m.records = append(m.records, r)
	return m.fail
}
func (m *memory) Keep(c transport.Content) error { m.kept = append(m.kept, c); return nil }
func (m *memory) Sync() error                    { return nil }

// end is the last End that was recorded.
func (m *memory) end(t *testing.T) journal.End {
	t.Helper()
	for i := len(m.records) - 1; i >= 0; i-- {
		if e, ok := m.records[i].Body.(journal.End); ok {
			return e
		}
	}
	t.Fatal("no step was ended")
	return journal.End{}
}

func newSession(t *testing.T, h transport.Host, mode journal.Mode) (*Session, *memory) {
	t.Helper()
	sink := &memory{}
	clock := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	rec := journal.NewRecorder("web1", h, func() time.Time { clock = clock.Add(time.Millisecond); return clock }, sink)
	if err := rec.Start(journal.Start{Mode: mode}); err != nil {
		t.Fatal(err)
	}
	return New(t.Context(), t.Context(), Info{Name: "web1", Address: "local", User: "root", Acting: "root"}, mode, rec), sink
}

// files is a resource of files (or rows, in plans) that are wanted.
type files struct {
	want    []Object
	opts    FileOptions
	wantErr error
	lazy    bool // Apply does nothing
}

func (f files) Name() string { return f.want[0].Key.String() }

func (f files) Want(context.Context, transport.Host) ([]Object, error) { return f.want, f.wantErr }

func (f files) Apply(ctx context.Context, h transport.Host, delta []Pair) error {
	for _, p := range delta {
		if f.lazy {
			return nil
		}
		if err := ApplyFile(ctx, h, p, f.opts); err != nil {
			return err
		}
	}
	return nil
}

// installs is a resource that does more than it tells.
type installs struct {
	files
	scope Scope
}

func (i installs) Opaque() Scope { return i.scope }

func regular(path, content string) Object {
	c := transport.String(content)
	return Object{Key: FileKey(transport.Path(path)), File: &File{Type: transport.Regular, Content: &c}}
}

func dir(path string) Object {
	return Object{Key: FileKey(transport.Path(path)), File: &File{Type: transport.Dir}}
}

func link(path, target string) Object {
	return Object{Key: FileKey(transport.Path(path)), File: &File{Type: transport.Symlink, Target: transport.Text(target)}}
}

func absent(path string) Object {
	return Object{Key: FileKey(transport.Path(path)), Absent: true}
}

func rowOf(t transport.Table, name string, kv ...string) Object {
	o := Object{Key: Key{t, name}, Fields: map[string]transport.Text{}}
	for i := 0; i < len(kv); i += 2 {
		o.Fields[kv[i]] = transport.Text(kv[i+1])
	}
	return o
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

var step = Step{Builtin: "test.step", Pos: "web1.star:1:1"}
