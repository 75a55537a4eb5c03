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

// TestLedgerGrows: what a change costs does not depend on how many there were before it, and all of them are known afterwards.
func TestLedgerGrows(t *testing.T) {
	f := fake.New(fake.Options{})
	s := inherit(t, f, "r1", journal.Running)
	const n = 3*ledgerLength + 7
	var most int64
	for i := range n {
		must[Change](t)(s.Converge(Step{Builtin: "file.put"}, files{want: []Object{regular(fmt.Sprintf("/etc/%d", i), "1")}}))
		s.unsettled.tell("file.put", fmt.Sprintf("file:/etc/%d", i))
	}
	writes := 0
	for _, r := range f.Log() {
		if w, ok := r.Op.(transport.Write); ok && strings.HasPrefix(string(w.Path), "/var/lib/fabgo/state/") {
			writes++
			most = max(most, w.Content.Size)
		}
	}
	if writes > n+10 || most > ledgerLength*200 {
		t.Errorf("%d writes of up to %d bytes for %d changes", writes, most, n)
	}
	look := func(want, done int) {
		t.Helper()
		_, got, err := NewLedger(f, LedgerOptions{Bundle: "//web1.star"}).Open(t.Context())
		if err != nil || len(got) != want {
			t.Fatalf("%d changes are known, want %d: %v", len(got), want, err)
		}
		for i, c := range got {
			if c.Resource != fmt.Sprintf("file:/etc/%d", i) || c.Step != i+1 {
				t.Fatalf("the change %d is %+v", i, c)
			}
			if c.Done {
				done--
			}
		}
		if done != 0 {
			t.Errorf("%d too few are known to be done", done)
		}
	}
	look(n, n-1) // of the last nobody knows yet
	s.Leave(t.Context())
	look(n, n)

	// The next run goes on where this one was left, then settles all of it.
	s = inherit(t, f, "r2", journal.Running)
	for i := range n + ledgerLength {
		must[Change](t)(s.Converge(Step{Builtin: "file.put"}, files{want: []Object{regular(fmt.Sprintf("/etc/%d", i), "1")}}))
		s.unsettled.tell("file.put", fmt.Sprintf("file:/etc/%d", i))
	}
	look(n+ledgerLength, n+ledgerLength-1)
	f.ClearLog()
	if err := s.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := asked(f, "/var/lib/fabgo/state"); got != "remove ~/unsettled/web1.more, remove ~/unsettled/web1.json" {
		t.Errorf("the end: %s", got)
	}
	look(0, 0)
}

// TestLedgerOfAnotherSeries: files that are left from a ledger that somebody removed, or whose removal was cut off, are not believed for another.
func TestLedgerOfAnotherSeries(t *testing.T) {
	f := fake.New(fake.Options{})
	open := func() (*HostLedger, []journal.Carried) {
		t.Helper()
		l := NewLedger(f, LedgerOptions{Bundle: "//web1.star"})
		_, got, err := l.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return l, got
	}
	add := func(l *HostLedger, run string, n int) {
		t.Helper()
		for i := range n {
			c := journal.Carried{Builtin: "file.put", Resource: fmt.Sprintf("file:/%s/%d", run, i), Run: run, Step: i + 1}
			if err := l.Add(t.Context(), []journal.Carried{c}); err != nil {
				t.Fatal(err)
			}
		}
	}
	l, _ := open()
	add(l, "r1", 2*ledgerLength)
	if _, err := f.Do(t.Context(), transport.Remove{Path: l.file}); err != nil {
		t.Fatal(err)
	}
	if _, got := open(); len(got) != 0 {
		t.Errorf("%d changes are known, and the file was removed", len(got))
	}
	l, _ = open()
	add(l, "r2", 1)
	if _, got := open(); len(got) != 1 || got[0].Run != "r2" {
		t.Errorf("%+v", got)
	}
	l, _ = open()
	add(l, "r3", 2*ledgerLength)
	if _, got := open(); len(got) != 1+2*ledgerLength {
		t.Errorf("%d changes are known", len(got))
	}
	l, got := open()
	if err := l.Save(t.Context(), got[:1]); err != nil {
		t.Fatal(err)
	}
	if _, got := open(); len(got) != 1 {
		t.Errorf("%d changes are known after all but one were settled", len(got))
	}
}
