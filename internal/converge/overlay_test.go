package converge

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
	"fabgo/transport/tables"
)

var first = Cause{Step: 1, What: "run make"}

func TestOverlayThroughRealSymlinks(t *testing.T) {
	f := fake.New(fake.Options{})
	f.MakeDir("/run", "0755")
	if _, err := f.Do(t.Context(), transport.Link{Path: "/var/run", Target: "/run"}); err != nil {
		t.Fatal(err)
	}
	o := NewOverlay(f, "root")
	must[any](t)(nil, o.Put(t.Context(), regular("/var/run/app.pid", "17\n"), first))
	for _, p := range []transport.Path{"/run/app.pid", "/var/run/app.pid"} {
		d := must[transport.Data](t)(transport.Do[transport.Data](t.Context(), o, transport.Read{Path: p}))
		if b, _ := d.Content.ReadAll(10); string(b) != "17\n" {
			t.Errorf("%s holds %q", p, b)
		}
	}
}

func TestOverlayTreeMadeAnew(t *testing.T) {
	f := fake.New(fake.Options{})
	f.WriteFile("/srv/app/old/file", "old", "0644")
	o := NewOverlay(f, "root")
	for _, obj := range []Object{absent("/srv/app"), dir("/srv/app"), regular("/srv/app/new", "n")} {
		must[any](t)(nil, o.Put(t.Context(), obj, first))
	}
	l := must[transport.Listing](t)(transport.Do[transport.Listing](t.Context(), o, transport.List{Path: "/srv", Recursive: true}))
	var got []string
	for _, e := range l.Entries {
		got = append(got, string(e.Path))
	}
	if s := strings.Join(got, " "); s != "app app/new" {
		t.Errorf("the tree is %s", s)
	}
}

// TestOverlayAfterOpaqueChange: what was taken away before a command may be back after it; what is taken away after it is not.
func TestOverlayAfterOpaqueChange(t *testing.T) {
	f := fake.New(fake.Options{})
	f.MakeDir("/srv/a", "0755")
	f.MakeDir("/srv/b", "0755")
	o := NewOverlay(f, "root")
	must[any](t)(nil, o.Put(t.Context(), absent("/srv/a"), Cause{Step: 1}))
	o.Darken(Scope{}, Cause{Step: 2, What: "run make", Pos: "web1.star:2:1"})
	must[any](t)(nil, o.Put(t.Context(), absent("/srv/b"), Cause{Step: 3}))
	must[any](t)(nil, o.Put(t.Context(), regular("/opt/new/file", "x"), Cause{Step: 4})) // /opt/new may come
	for path, unknown := range map[transport.Path]bool{"/srv/a": true, "/srv/b": false, "/srv/b/c": false, "/srv/c": true, "/opt/new": true, "/opt/new/file": false} {
		_, err := o.Do(t.Context(), transport.Stat{Path: path})
		if c := CauseOf(err); (c != nil) != unknown || c != nil && c.Step != 2 {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := o.Do(t.Context(), transport.List{Path: "/srv"}); CauseOf(err) == nil {
		t.Errorf("an empty folder may be filled: %v", err)
	}
	_, err := o.Do(t.Context(), transport.Stat{Path: "/srv/c"})
	if err == nil || err.Error() != "file:/srv/c is not known before the run, because of step 2 (run make, web1.star:2:1)" {
		t.Errorf("%v", err)
	}
}

func TestScopeOfPackages(t *testing.T) {
	for key, covered := range map[Key]bool{
		FileKey("/etc/x"): true, FileKey("/srv/x"): false, FileKey("/usr/local/bin/x"): false, FileKey("/home/x"): false,
		{transport.Units, "x.service"}: true, {transport.Users, "x"}: true, {transport.Sysctls, "x"}: false, {transport.Mounts, "/x"}: false,
	} {
		if got := (Scope{Packages: true}).covers(key); got != covered {
			t.Errorf("%s: %v", key, got)
		}
		if !(Scope{}).covers(key) {
			t.Errorf("%s is not covered by all", key)
		}
	}
}

func TestOverlayAccounts(t *testing.T) {
	f := fake.New(fake.Options{})
	f.PutGroup(tables.Group{Name: "staff1", GID: "3000"})
	f.PutGroup(tables.Group{Name: "ops", GID: "3001", Members: []string{"ann"}})
	f.PutUser(tables.User{Name: "ann", UID: "3000", GID: "3000", Home: "/home/ann"}, "!")
	o := NewOverlay(f, "root")
	get := func(table transport.Table, key string) map[string]transport.Text {
		t.Helper()
		r := must[transport.Rows](t)(transport.Do[transport.Rows](t.Context(), o, transport.Lookup{Table: table, Keys: []transport.Text{transport.Text(key)}}))
		if len(r.Rows) == 0 {
			return nil
		}
		return r.Rows[0].Fields
	}
	put := func(obj Object) {
		t.Helper()
		must[any](t)(nil, o.Put(t.Context(), obj, first))
	}
	put(rowOf(transport.Users, "bob", "uid", "3005", "group", "staff1", "groups", "ops"))
	if m := get(transport.Groups, "ops")["members"]; m != "ann,bob" {
		t.Errorf("members of ops: %q", m)
	}
	if u := get(transport.Users, "3005"); u["gid"] != "3000" || u["group"] != "staff1" {
		t.Errorf("bob by id: %v", u)
	}
	put(rowOf(transport.Groups, "ops", "gid", "3001", "members", "bob"))
	if g := get(transport.Users, "ann")["groups"]; g != "" {
		t.Errorf("groups of ann: %q", g)
	}
	put(rowOf(transport.Groups, "staff1", "gid", "4000"))
	if g := get(transport.Users, "ann")["gid"]; g != "4000" {
		t.Errorf("gid of ann: %q", g)
	}
	put(Object{Key: Key{transport.Users, "bob"}, Absent: true})
	if m := get(transport.Groups, "ops")["members"]; m != "" {
		t.Errorf("members of ops without bob: %q", m)
	}
	if u := get(transport.Users, "bob"); u != nil {
		t.Errorf("bob: %v", u)
	}
	all := must[transport.Rows](t)(transport.Do[transport.Rows](t.Context(), o, transport.Lookup{Table: transport.Users}))
	if _, ok := all.Get("bob"); ok {
		t.Error("bob is in the whole table")
	}
	c := transport.String("x")
	must[any](t)(nil, o.Put(t.Context(), Object{Key: FileKey("/srv/x"), File: &File{Type: transport.Regular, Content: &c, Owner: "ann", UID: -1, GID: -1}}, first))
	fi := must[transport.FileInfo](t)(transport.Do[transport.FileInfo](t.Context(), o, transport.Stat{Path: "/srv/x"}))
	if fi.UID != 3000 || fi.Owner != "ann" || fi.GID != 4000 {
		t.Errorf("the file of ann: %+v", fi)
	}
	err := o.Put(t.Context(), Object{Key: FileKey("/srv/y"), File: &File{Type: transport.Regular, Content: &c, Owner: "nobodyatall", UID: -1}}, first)
	if transport.KindOf(err) != transport.NotFound || !strings.Contains(err.Error(), `no user "nobodyatall"`) {
		t.Errorf("an owner who is not there: %v", err)
	}
}

func TestOverlayUnitOfPredictedFile(t *testing.T) {
	f := fake.New(fake.Options{})
	f.MakeDir("/etc/systemd/system", "0755")
	o := NewOverlay(f, "root")
	look := func(name string) map[string]transport.Text {
		t.Helper()
		r := must[transport.Rows](t)(transport.Do[transport.Rows](t.Context(), o, transport.Lookup{Table: transport.Units, Keys: []transport.Text{transport.Text(name)}}))
		if len(r.Rows) == 0 {
			return nil
		}
		return r.Rows[0].Fields
	}
	for name, text := range map[string]string{
		"a.service": "[Service]\nExecStart=/a\nExecReload=/b\n[Install]\nWantedBy=multi-user.target\n", "b@.service": "[Service]\nExecStart=/a\n",
	} {
		must[any](t)(nil, o.Put(t.Context(), regular("/etc/systemd/system/"+name, text), first))
	}
	if u := look("a.service"); u["load"] != "loaded" || u["active"] != "inactive" || u["enabled"] != "disabled" || u["reload"] != "yes" {
		t.Errorf("a.service: %v", u)
	}
	if u := look("b@x.service"); u["enabled"] != "static" || u["reload"] != "no" {
		t.Errorf("b@x.service: %v", u)
	}
	must[any](t)(nil, o.Put(t.Context(), rowOf(transport.Units, "a.service", "load", "loaded", "enabled", "masked"), first))
	if u := look("a.service"); u["load"] != "masked" {
		t.Errorf("masked: %v", u)
	}
	must[any](t)(nil, o.Put(t.Context(), link("/etc/systemd/system/c.service", "/dev/null"), first))
	if u := look("c.service"); u["load"] != "masked" {
		t.Errorf("c.service: %v", u)
	}
}

func TestOverlayExec(t *testing.T) {
	f := fake.New(fake.Options{})
	o := NewOverlay(f, "root")
	fails := transport.Exec{Argv: transport.Texts("false")}
	if out, err := transport.Do[transport.Output](t.Context(), o, fails); err != nil || out.Code == 0 {
		t.Fatalf("before any prediction: %v, %v", out, err)
	}
	must[any](t)(nil, o.Put(t.Context(), rowOf(transport.Users, "app", "uid", "3000"), Cause{Step: 3, What: "user.present user:app"}))
	must[any](t)(nil, o.Put(t.Context(), regular("/srv/x", "x"), Cause{Step: 4}))
	if _, err := o.Do(t.Context(), fails); CauseOf(err) == nil || CauseOf(err).Step != 4 {
		t.Errorf("a failure after a prediction: %v", err)
	}
	if _, err := o.Do(t.Context(), transport.Exec{Argv: transport.Texts("true"), User: "app"}); CauseOf(err) == nil || CauseOf(err).Step != 3 {
		t.Errorf("as a user who is still to come: %v", err)
	}
	if _, err := o.Do(t.Context(), transport.Exec{Argv: transport.Texts("true")}); err != nil {
		t.Errorf("a success is a success: %v", err)
	}
	if _, err := o.Do(t.Context(), transport.Exec{Argv: transport.Texts("true"), Change: true}); transport.KindOf(err) != transport.Refused {
		t.Errorf("a changing command: %v", err)
	}
}

// TestPlanPassesNoChange: a host that refuses to be changed sees none of a plan with every kind of step.
func TestPlanPassesNoChange(t *testing.T) {
	f := fake.New(fake.Options{})
	before := f.Snapshot()
	h := transport.HostFunc(func(ctx context.Context, op transport.Op) (transport.Result, error) {
		if op.Changes() {
			t.Fatalf("the plan sent %s", transport.EncodeOp(op))
		}
		return f.Do(ctx, op)
	})
	s, _ := newSession(t, h, journal.Planning)
	for i := range 300 {
		for _, r := range []Resource{
			files{want: []Object{dir(fmt.Sprintf("/srv/%d", i)), regular(fmt.Sprintf("/srv/%d/f", i), "x"), link(fmt.Sprintf("/srv/%d/l", i), "f")}},
			files{want: []Object{absent(fmt.Sprintf("/srv/%d/f", i))}},
			files{want: []Object{rowOf(transport.Users, fmt.Sprintf("u%d", i), "shell", "/bin/sh")}},
			installs{files{want: []Object{rowOf(transport.Packages, fmt.Sprintf("p%d", i), "status", "installed")}}, Scope{Packages: true}},
		} {
			if c, err := s.Converge(step, r); err != nil || !c.Changed {
				t.Fatalf("%s: %+v, %v", r.Name(), c, err)
			}
		}
		if _, err := s.Act(step, &action{effect: Effect{Opaque: true}}); err != nil {
			t.Fatal(err)
		}
	}
	if fmt.Sprint(f.Snapshot()) != fmt.Sprint(before) {
		t.Error("the plan changed the host")
	}
}

// TestOverlayIsFast: predicting a big tree costs no walk over what is predicted already.
func TestOverlayIsFast(t *testing.T) {
	f := fake.New(fake.Options{})
	f.MakeDir("/srv", "0755")
	o := NewOverlay(transport.HostFunc(func(ctx context.Context, op transport.Op) (transport.Result, error) {
		switch op := op.(type) {
		case transport.Stat:
			if strings.Count(string(op.Path), "/") > 1 {
				return transport.FileInfo{Type: transport.Absent}, nil
			}
			return transport.FileInfo{Type: transport.Dir, Mode: "0755"}, nil
		case transport.Lookup:
			return transport.Rows{}, nil
		}
		return f.Do(ctx, op)
	}), "0")
	since := time.Now()
	for i := range 20_000 {
		if err := o.Put(t.Context(), regular(fmt.Sprintf("/srv/%d", i), "x"), first); err != nil {
			t.Fatal(err)
		}
	}
	if d := time.Since(since); d > 5*time.Second {
		t.Errorf("20,000 files took %s", d)
	}
}

// reaching is a resource of files whose wanted state is not known, but where they are is.
type reaching struct{ files }

func (r reaching) Reach() []Object { return r.want }

// TestBlindStepVeilsWhereItReaches: a step whose wanted state is not known leaves its own places unknown, also one where something stands,
// with itself as the cause; all else is as known as it was, with the cause that it had.
func TestBlindStepVeilsWhereItReaches(t *testing.T) {
	f := fake.New(fake.Options{})
	f.WriteFile("/srv/here", "old", "0644")
	f.WriteFile("/srv/beside", "old", "0644")
	f.WriteFile("/srv/attr", "old", "0644")
	f.MakeDir("/srv/tree/below", "0755")
	f.MakeDir("/etc/nginx", "0755")
	f.MakeDir("/etc/systemd/system", "0755")
	for path, target := range map[transport.Path]transport.Text{"/srv/link": "/srv/target", "/srv/linked": "/srv/tree"} {
		if _, err := f.Do(t.Context(), transport.Link{Path: path, Target: target}); err != nil {
			t.Fatal(err)
		}
	}
	s, _ := newSession(t, f, journal.Planning)
	converge := func(r Resource) Change {
		t.Helper()
		return must[Change](t)(s.Converge(step, r))
	}
	converge(installs{files{want: []Object{rowOf(transport.Packages, "nginx", "status", "installed")}}, Scope{Packages: true, Listed: true}}) // step 1
	through := regular("/srv/link", "")
	through.File.Follow = true
	u := &Unknown{What: "x", Cause: Cause{Step: 1}}
	blind := reaching{files{wantErr: u, want: []Object{
		regular("/etc/nginx/nginx.conf", ""), regular("/srv/here", ""), regular("/srv/attr", ""), through, dir("/srv/tree"), regular("/etc/systemd/system/a.service", ""),
	}}}
	if c := converge(blind); c.Status != journal.Unknown || !c.Changed { // step 2
		t.Fatalf("%+v", c)
	}
	because := func(key string, err error) int {
		t.Helper()
		if c := CauseOf(err); c != nil {
			return c.Step
		}
		if err != nil && transport.KindOf(err) != transport.NotFound {
			t.Errorf("%s: %v", key, err)
		}
		return 0
	}
	for path, want := range map[transport.Path]int{
		"/etc/nginx/nginx.conf": 2, "/etc/nginx/other": 1, "/etc/new": 1,
		"/srv/here": 2, "/srv/beside": 0, "/srv/new": 0, "/srv/link": 0, "/srv/target": 2,
		"/srv/tree": 2, "/srv/tree/below": 2, "/srv/tree/new/file": 2, "/srv/linked/below": 2,
	} {
		_, err := s.host.Do(t.Context(), transport.Stat{Path: path})
		if got := because(string(path), err); got != want {
			t.Errorf("stat %s: unknown because of step %d, want %d", path, got, want)
		}
	}
	for path, want := range map[transport.Path]int{"/srv": 2, "/srv/tree": 2, "/srv/tree/below": 2, "/etc/nginx": 2} {
		_, err := s.host.Do(t.Context(), transport.List{Path: path})
		if got := because(string(path), err); got != want {
			t.Errorf("list %s: unknown because of step %d, want %d", path, got, want)
		}
	}
	if _, err := s.host.Do(t.Context(), transport.Read{Path: "/srv/here"}); because("/srv/here", err) != 2 {
		t.Errorf("the old content of what may be changed: %v", err)
	}
	for unit, want := range map[transport.Text]int{"a.service": 2, "b.service": 1} {
		_, err := s.host.Do(t.Context(), transport.Lookup{Table: transport.Units, Keys: []transport.Text{unit}})
		if got := because(string(unit), err); got != want {
			t.Errorf("%s: unknown because of step %d, want %d", unit, got, want)
		}
	}

	// What is predicted later is known, at its own place.
	if c := converge(files{want: []Object{regular("/srv/here", "new")}}); c.Status != journal.Unknown || !strings.Contains(c.Because, "step 2") {
		t.Errorf("whether that changes something: %+v", c)
	}
	d := must[transport.Data](t)(transport.Do[transport.Data](t.Context(), s.host, transport.Read{Path: "/srv/here"}))
	if b, _ := d.Content.ReadAll(10); string(b) != "new" {
		t.Errorf("it holds %q", b)
	}
	converge(files{want: []Object{dir("/srv/tree")}})
	for path, want := range map[transport.Path]int{"/srv/tree": 0, "/srv/tree/below": 2, "/srv/tree/new": 2} {
		_, err := s.host.Do(t.Context(), transport.Stat{Path: path})
		if got := because(string(path), err); got != want {
			t.Errorf("within a folder that is only made sure of: %s: step %d, want %d", path, got, want)
		}
	}
	attr := Object{Key: FileKey("/srv/attr"), File: &File{Type: transport.Regular, Mode: "0600", Brought: true}}
	converge(files{want: []Object{attr}})
	if _, err := s.host.Do(t.Context(), transport.Stat{Path: "/srv/attr", Digest: true}); because("/srv/attr", err) != 2 {
		t.Errorf("attributes are known, the content is not: %v", err)
	}
	converge(files{want: []Object{absent("/srv/tree")}})
	for _, path := range []transport.Path{"/srv/tree", "/srv/tree/below"} {
		if fi, err := transport.Do[transport.FileInfo](t.Context(), s.host, transport.Stat{Path: path}); err != nil || fi.Type != transport.Absent {
			t.Errorf("%s was removed: %+v, %v", path, fi, err)
		}
	}
	converge(files{want: []Object{dir("/srv/tree")}})
	if l := must[transport.Listing](t)(transport.Do[transport.Listing](t.Context(), s.host, transport.List{Path: "/srv/tree"})); len(l.Entries) > 0 {
		t.Errorf("a folder made anew holds %v", l.Entries)
	}
}

// TestBlindOpaqueStepListsNothing: packages that could not be chosen were not predicted one by one, so any may come.
func TestBlindOpaqueStepListsNothing(t *testing.T) {
	s, _ := newSession(t, fake.New(fake.Options{}), journal.Planning)
	u := &Unknown{What: "x", Cause: Cause{Step: 1}}
	r := installs{files{want: []Object{rowOf(transport.Packages, "a")}, wantErr: u}, Scope{Packages: true, Listed: true}}
	must[Change](t)(s.Converge(step, r))
	if _, err := s.host.Do(t.Context(), transport.Lookup{Table: transport.Packages, Keys: transport.Texts("b")}); CauseOf(err) == nil {
		t.Errorf("another package: %v", err)
	}
}
