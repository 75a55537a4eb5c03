package converge

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
)

// inherit is a session of a run over a host, with the host's ledger, as a play opens it.
func inherit(t *testing.T, h transport.Host, run string, mode journal.Mode, tasks ...journal.Task) *Session {
	t.Helper()
	s, _ := newSession(t, h, mode)
	u := Unsettled{Run: run, Tasks: tasks, Ledger: NewLedger(h, LedgerOptions{Bundle: "//web1.star", User: "root"})}
	if err := u.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Carry(u)
	return s
}

// asked are the ops below a folder since the last call.
func asked(f *fake.Fake, below string) string {
	var out []string
	for _, r := range f.Log() {
		switch op := r.Op.(type) {
		case transport.Read:
			out = append(out, fmt.Sprint("read ", op.Path))
		case transport.Write:
			out = append(out, fmt.Sprint("write ", op.Path, " ", op.Mode))
		case transport.Mkdir:
			out = append(out, fmt.Sprint("mkdir ", op.Path, " ", op.Mode))
		case transport.Remove:
			out = append(out, fmt.Sprint("remove ", op.Path))
		}
	}
	f.ClearLog()
	var kept []string
	for _, o := range out {
		if strings.Contains(o, below) {
			kept = append(kept, strings.ReplaceAll(o, below, "~"))
		}
	}
	return strings.Join(kept, ", ")
}

// TestLedgerCost is what the promise costs a host: one read at the beginning, one write for a step that changes, else nothing.
func TestLedgerCost(t *testing.T) {
	f := fake.New(fake.Options{})
	s := inherit(t, f, "r1", journal.Running, journal.Task{Name: "a"}, journal.Task{Name: "b", Args: []string{"x=1"}})
	if got := asked(f, "/var/lib/fabgo/state"); got != "read ~/unsettled/web1.json" {
		t.Errorf("the beginning: %s", got)
	}
	put := func(s *Session, path, text string) Change {
		t.Helper()
		return must[Change](t)(s.Converge(Step{Builtin: "file.put"}, files{want: []Object{regular(path, text)}}))
	}
	put(s, "/etc/a", "1")
	if got := asked(f, "/var/lib/fabgo/state"); got != "write ~/unsettled/web1.json 0600, mkdir ~ 0700, mkdir ~/unsettled 0700, write ~/unsettled/web1.json 0600" {
		t.Errorf("the first change: %s", got)
	}
	put(s, "/etc/b", "1")
	if got := asked(f, "/var/lib/fabgo/state"); got != "write ~/unsettled/web1.json 0600" {
		t.Errorf("another: %s", got)
	}
	put(s, "/etc/b", "1")
	if _, err := s.Act(step, &action{skip: "it is there"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Observe(step, "x", func(context.Context, transport.Host) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if got := asked(f, "/var/lib/fabgo/state"); got != "" {
		t.Errorf("steps that changed nothing: %s", got)
	}

	// the run ends here, before its end
	p := inherit(t, f, "p", journal.Planning)
	asked(f, "/var/lib/fabgo/state")
	for _, path := range []string{"/etc/a", "/etc/b"} {
		if c := put(p, path, "1"); !c.Changed || c.Carried != "r1" || c.Origin != map[string]string{"/etc/a": "r1#1", "/etc/b": "r1#2"}[path] {
			t.Errorf("%+v", c)
		}
	}
	put(p, "/etc/c", "1")
	if err := p.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := asked(f, "/var/lib/fabgo/state"); got != "" {
		t.Errorf("a plan: %s", got)
	}

	n := inherit(t, f, "r2", journal.Running, journal.Task{Name: "a"}, journal.Task{Name: "b", Args: []string{"x=2"}})
	asked(f, "/var/lib/fabgo/state")
	if c := put(n, "/etc/a", "1"); c.Carried != "r1" {
		t.Errorf("%+v", c)
	}
	if got := asked(f, "/var/lib/fabgo/state"); got != "" {
		t.Errorf("a carried step: %s", got)
	}
	if err := n.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := asked(f, "/var/lib/fabgo/state"); got != "write ~/unsettled/web1.json 0600" {
		t.Errorf("an end that leaves something: %s", got)
	}
	n = inherit(t, f, "r3", journal.Running)
	if c := put(n, "/etc/a", "1"); c.Changed {
		t.Errorf("settled: %+v", c)
	}
	put(n, "/etc/b", "1")
	asked(f, "/var/lib/fabgo/state")
	for _, want := range []string{"remove ~/unsettled/web1.json", ""} {
		if err := n.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := asked(f, "/var/lib/fabgo/state"); got != want {
			t.Errorf("an end that leaves nothing: %s", got)
		}
	}
}

// TestKeptBeforeTheChange: whatever moment the host goes away in, the change is known.
func TestKeptBeforeTheChange(t *testing.T) {
	f := fake.New(fake.Options{})
	s := inherit(t, f, "r1", journal.Running)
	seen := func() int {
		_, carried, err := NewLedger(f, LedgerOptions{Bundle: "//web1.star"}).Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(carried)
	}
	n := 0
	if _, err := s.Act(step, &action{do: func(context.Context, transport.Host) error { n = seen(); return nil }}); err != nil || n != 1 {
		t.Errorf("while the action is carried out %d changes are kept: %v", n, err)
	}
	f.FailNext(transport.Lost, func(op transport.Op) bool { w, ok := op.(transport.Write); return ok && w.Path == "/etc/a" })
	if _, err := s.Converge(step, files{want: []Object{regular("/etc/a", "1")}}); err == nil || seen() != 2 {
		t.Errorf("%v, and %d changes are kept", err, seen())
	}
}

func TestLedgerPlaces(t *testing.T) {
	f := fake.New(fake.Options{})
	for _, c := range []struct {
		opts LedgerOptions
		want string
	}{
		{LedgerOptions{Bundle: "//web1.star"}, "/var/lib/fabgo/state/unsettled/web1.json"},
		{LedgerOptions{Bundle: "//sites/..web 1.star", User: "root"}, "/var/lib/fabgo/state/unsettled/sites%2F..web%201.json"},
		{LedgerOptions{Bundle: "//.star", User: "root"}, "/var/lib/fabgo/state/unsettled/.json"},
		{LedgerOptions{Bundle: "//web1.star", User: "nobody"}, "/nonexistent/.local/state/fabgo/state/unsettled/web1.json"},
		{LedgerOptions{Bundle: "//web1.star", User: "nobody", Dir: "/srv/state/"}, "/srv/state/unsettled/web1.json"},
	} {
		l := NewLedger(f, c.opts)
		if _, _, err := l.Open(t.Context()); err != nil || string(l.file) != c.want {
			t.Errorf("%+v: %s, %v", c.opts, l.file, err)
		}
	}
	long := NewLedger(f, LedgerOptions{Bundle: "//" + strings.Repeat("x/", 200) + ".star"})
	if _, _, err := long.Open(t.Context()); err != nil || len(long.file) > 150 {
		t.Errorf("%s, %v", long.file, err)
	}
	if _, _, err := NewLedger(f, LedgerOptions{Bundle: "//web1.star", User: "nobodyatall"}).Open(t.Context()); err == nil || !strings.Contains(err.Error(), "home folder of nobodyatall") {
		t.Errorf("%v", err)
	}
}

// TestLedgerKeepsAnyName: names are bytes, and what is written down is known again.
func TestLedgerKeepsAnyName(t *testing.T) {
	f := fake.New(fake.Options{})
	name := "run:printf 'a\xff\n\u2028<&>'"
	want := []journal.Carried{{Builtin: "run", Resource: journal.Readable(name), Run: "r1", Step: 7, Failed: true}}
	l := NewLedger(f, LedgerOptions{Bundle: "//web1.star"})
	if _, _, err := l.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Save(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	_, got, err := l.Open(t.Context())
	if err != nil || !reflect.DeepEqual(got, want) || keyOf(got[0]) != key("run", name) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFingerprint(t *testing.T) {
	one := func(want, have []Object) []string { return Change{want: want, have: have}.Fingerprint() }
	file := func(text string, mode transport.Mode, owner transport.Text) []Object {
		o := regular("/etc/a", text)
		o.File.Mode, o.File.Owner = mode, owner
		return []Object{o}
	}
	base := one(file("x", "", ""), file("x", "0644", "root"))
	for name, other := range map[string][]string{
		"content": one(file("y", "", ""), file("y", "0644", "root")),
		"mode":    one(file("x", "", ""), file("x", "0600", "root")),
		"owner":   one(file("x", "", ""), file("x", "0644", "app")),
	} {
		if reflect.DeepEqual(base, other) {
			t.Errorf("%s makes no difference", name)
		}
	}
	row := func(kv ...string) []Object { return []Object{rowOf(transport.Units, "a", kv...)} }
	if !reflect.DeepEqual(one(row("active", "yes"), row("active", "yes", "sub", "x")), one(row("active", "yes"), row("active", "yes", "sub", "y"))) {
		t.Error("columns that nobody wants make a difference")
	}
	tree := func(n int, last string) []Object {
		out := []Object{dir("/srv/t")}
		for i := range n {
			out = append(out, regular(fmt.Sprintf("/srv/t/%d", i), "x"))
		}
		return append(out, regular("/srv/t/last", last))
	}
	big, above := tree(5000, "x"), append([]Object{dir("/srv")}, tree(5000, "x")...)
	if a, b := one(big, big), one(above, above); len(a) != 1 || !reflect.DeepEqual(a, b) {
		t.Errorf("a tree: %v and %v", a, b)
	}
	if other := tree(5000, "y"); reflect.DeepEqual(one(big, big), one(other, other)) {
		t.Error("a file of a large tree makes no difference")
	}
}
