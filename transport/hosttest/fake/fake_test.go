package fake_test

import (
	"context"
	"strconv"
	"testing"

	"fabgo/transport"
	"fabgo/transport/hosttest"
	"fabgo/transport/hosttest/fake"
	"fabgo/transport/tables"
)

func TestConformance(t *testing.T) {
	hosttest.Run(t, func(t *testing.T) hosttest.Target {
		f := fake.New(fake.Options{})
		f.MakeDir("/srv/scratch", "0755")
		n := 0
		mount := func() transport.Path {
			n++
			p := transport.Path("/mnt").Join(string(rune('a' + n)))
			f.Mount(p, 2<<20)
			return p
		}
		return hosttest.Target{Host: f, Root: "/srv/scratch", AsRoot: true, Other: "daemon", Expendable: true,
			Small: func(*testing.T) transport.Path { return mount() },
			ReadOnly: func(*testing.T) transport.Path {
				p := mount()
				f.WriteFile(p.Join("old"), "old\n", "0644")
				f.SetReadOnly(p, true)
				return p
			},
			Immutable: func(_ *testing.T, p transport.Path) { f.SetImmutable(p, true) },
			Mount:     func(_ *testing.T, p transport.Path) { f.Mount(p, 0) },
		}
	})
}

func TestConformanceBare(t *testing.T) {
	hosttest.Run(t, func(t *testing.T) hosttest.Target {
		f := fake.New(fake.Options{NoSystemd: true, NoDpkg: true})
		f.MakeDir("/srv/scratch", "0755")
		return hosttest.Target{Host: f, Root: "/srv/scratch", AsRoot: true}
	})
}

func do[R transport.Result](t *testing.T, h transport.Host, op transport.Op) R {
	t.Helper()
	r, err := transport.Do[R](t.Context(), h, op)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func run(t *testing.T, h transport.Host, argv ...string) transport.Output {
	t.Helper()
	return do[transport.Output](t, h, transport.Exec{Argv: transport.Texts(argv...), Change: true})
}

func lookup(t *testing.T, h transport.Host, table transport.Table, key string) map[string]transport.Text {
	t.Helper()
	row, ok := do[transport.Rows](t, h, transport.Lookup{Table: table, Keys: transport.Texts(key)}).Get(transport.Text(key))
	if !ok {
		return nil
	}
	return row.Fields
}

func TestFailNext(t *testing.T) {
	f := fake.New(fake.Options{})
	isWrite := func(op transport.Op) bool { return op.Kind() == "write" }
	f.FailNext(transport.NoSpace, isWrite)
	f.FailNext(transport.Lost, isWrite)
	w := transport.Write{Path: "/etc/motd", Content: transport.String("hi")}
	do[transport.FileInfo](t, f, transport.Stat{Path: "/"})
	for _, tt := range []struct {
		kind  transport.Kind
		there bool
	}{{transport.NoSpace, false}, {transport.Lost, true}, {"", true}} {
		_, err := f.Do(t.Context(), w)
		if _, there := f.ReadFile("/etc/motd"); transport.KindOf(err) != tt.kind || there != tt.there {
			t.Errorf("got %v, the file is there: %v; want %q, %v", err, there, tt.kind, tt.there)
		}
	}
	if log := f.Log(); len(log) != 4 || transport.KindOf(log[1].Err) != transport.NoSpace || log[3].Result == nil {
		t.Errorf("%+v", log)
	}
	f.ClearLog()
	run(t, f, "echo", "a")
	if c := f.Commands(); len(f.Log()) != 1 || len(c) != 1 || c[0][1] != "a" {
		t.Errorf("%v", c)
	}
}

func TestSnapshot(t *testing.T) {
	ops := []transport.Op{
		transport.Mkdir{Path: "/srv/a/b", Parents: true}, transport.Write{Path: "/srv/a/f", Content: transport.String("x"), Owner: "www-data"},
		transport.Link{Path: "/srv/l", Target: "a"}, transport.Exec{Argv: transport.Texts("systemctl", "stop", "cron"), Change: true},
	}
	a, b := fake.New(fake.Options{}), fake.New(fake.Options{})
	for i, op := range ops {
		before := a.Snapshot()
		if _, err := a.Do(t.Context(), op); err != nil {
			t.Fatal(err)
		}
		if a.Snapshot() == before {
			t.Errorf("op %d leaves no trace in the snapshot", i)
		}
		do[transport.FileInfo](t, b, transport.Stat{Path: "/etc"}) // looking changes nothing
		if _, err := b.Do(t.Context(), op); err != nil {
			t.Fatal(err)
		}
	}
	if x, y := a.Snapshot(), b.Snapshot(); x != y {
		t.Errorf("equal states differ:\n%s\n%s", x, y)
	}
	a.WriteFile("/etc/systemd/system/new.service", "[Install]\n", "0644")
	before := a.Snapshot()
	lookup(t, a, transport.Units, "new.service")
	run(t, a, "systemctl", "is-enabled", "new.service")
	for _, op := range []transport.Op{transport.List{Path: "/", Recursive: true, Digest: true}, transport.Lookup{Table: transport.Users},
		transport.Lookup{Table: transport.Units}, transport.Read{Path: "/etc/hosts"}} {
		if _, err := a.Do(t.Context(), op); err != nil {
			t.Fatal(err)
		}
	}
	if a.Snapshot() != before {
		t.Error("looking changed something")
	}
}

func TestHandlers(t *testing.T) {
	f := fake.New(fake.Options{})
	f.OnExec("useradd", func(_ context.Context, f *fake.Fake, op transport.Exec) (transport.Output, error) {
		name := string(op.Argv[len(op.Argv)-1])
		id := strconv.Itoa(f.FreeID(1000))
		f.PutGroup(tables.Group{Name: name, GID: id})
		f.PutUser(tables.User{Name: name, UID: id, GID: id, Home: "/home/" + name, Shell: "/bin/sh"}, "!")
		return transport.Output{}, nil
	})
	for _, program := range []string{"useradd", "/usr/sbin/useradd"} {
		if out := run(t, f, program, "u"+strconv.Itoa(len(program))); out.Code != 0 {
			t.Fatal(out)
		}
	}
	if u := lookup(t, f, transport.Users, "u17"); u["uid"] != "1001" || u["group"] != "u17" || u["locked"] != "yes" {
		t.Errorf("%v", u)
	}
	f.PutGroup(tables.Group{Name: "sudo", GID: "27", Members: []string{"u7"}})
	f.SetExpiry("u7", "123")
	if u := lookup(t, f, transport.Users, "u7"); u["groups"] != "sudo" || u["expires"] != "123" {
		t.Errorf("%v", u)
	}
	f.DeleteUser("u7")
	f.DeleteGroup("u7")
	if g, ok := f.Group("sudo"); !ok || len(g.Members) != 0 || lookup(t, f, transport.Users, "u7") != nil || lookup(t, f, transport.Groups, "u7") != nil {
		t.Errorf("a trace of u7 is left: %v", g)
	}

	f.OnExec("useradd", fake.Exits(9, "useradd: later one wins\n"))
	if out := run(t, f, "useradd", "x"); out.Code != 9 || out.Stderr == "" {
		t.Errorf("%+v", out)
	}
	f.OnCommand(func(argv []string) bool { return argv[0] == "sh" && argv[2] == "a | b" }, fake.Exits(0, "piped"))
	if out := run(t, f, "sh", "-c", "a | b"); out.Stderr != "piped" {
		t.Errorf("%+v", out)
	}
	for _, argv := range [][]string{{"sh", "-c", "c | d"}, {"bash"}} {
		if _, err := f.Do(t.Context(), transport.Exec{Argv: transport.Texts(argv...)}); transport.KindOf(err) != transport.Unsupported {
			t.Errorf("%q: %v", argv, err)
		}
	}

	f.PutPackage(tables.Package{Name: "nginx", Want: "hold"})
	if p := lookup(t, f, transport.Packages, "nginx"); p["status"] != "installed" || p["hold"] != "yes" || p["version"] == "" {
		t.Errorf("%v", p)
	}
	f.DeletePackage("nginx")
	if p := lookup(t, f, transport.Packages, "nginx"); p != nil {
		t.Errorf("%v", p)
	}
}

func TestSystemctl(t *testing.T) {
	f := fake.New(fake.Options{})
	const unit = "/etc/systemd/system/app.service"
	want := func(active, enabled, stale transport.Text) {
		t.Helper()
		if u := lookup(t, f, transport.Units, "app.service"); u["active"] != active || u["enabled"] != enabled || u["stale"] != stale {
			t.Errorf("%v, want %s, %s, stale %s", u, active, enabled, stale)
		}
	}
	if u := lookup(t, f, transport.Units, "app.service"); u["load"] != "not-found" {
		t.Errorf("%v", u)
	}
	if out := run(t, f, "systemctl", "start", "app"); out.Code != 5 {
		t.Errorf("%+v", out)
	}
	f.WriteFile(unit, "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n", "0644")
	want("inactive", "disabled", "no")
	run(t, f, "systemctl", "enable", "--now", "app.service")
	want("active", "enabled", "no")
	f.WriteFile(unit, "[Service]\nExecStart=/bin/true\nExecReload=/bin/true\n[Install]\nWantedBy=multi-user.target\n", "0644")
	want("active", "enabled", "yes")
	if out := run(t, f, "systemctl", "reload", "app"); out.Code == 0 {
		t.Errorf("reloaded what cannot: %+v", out)
	}
	run(t, f, "systemctl", "daemon-reload")
	want("active", "enabled", "no")
	run(t, f, "systemctl", "reload", "app")
	run(t, f, "systemctl", "restart", "app")
	if u, _ := f.Unit("app.service"); u.Reloads != 1 || u.Starts != 2 || !u.CanReload {
		t.Errorf("%+v", u)
	}
	u, _ := f.Unit("app.service")
	u.Fails = true
	f.PutUnit("app.service", u)
	if out := run(t, f, "systemctl", "restart", "app"); out.Code != 1 || out.Stderr == "" {
		t.Errorf("%+v", out)
	}
	want("failed", "enabled", "no")
	if out := run(t, f, "systemctl", "is-active", "app", "ssh"); out.Code != 3 || out.Stdout != "failed\nactive\n" {
		t.Errorf("%+v", out)
	}
	run(t, f, "systemctl", "disable", "cron.service")
	run(t, f, "systemctl", "mask", "cron.service")
	if u := lookup(t, f, transport.Units, "cron.service"); u["load"] != "masked" || u["enabled"] != "masked" || u["file"] != "/etc/systemd/system/cron.service" {
		t.Errorf("%v", u)
	}
	if out := run(t, f, "systemctl", "start", "cron"); out.Code == 0 {
		t.Errorf("started a masked unit: %+v", out)
	}
	run(t, f, "systemctl", "unmask", "cron.service")
	if u := lookup(t, f, transport.Units, "cron.service"); u["load"] != "loaded" || u["file"] != "/usr/lib/systemd/system/cron.service" {
		t.Errorf("%v", u)
	}
}
