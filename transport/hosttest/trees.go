package hosttest

import (
	"strings"

	"fabgo/transport"
)

var mkdirTests = []test{
	{"modes", func(r *run) {
		d := r.dir()
		do[transport.Done](r, transport.Mkdir{Path: d.Join("default")})
		r.mode(d.Join("default"), transport.Dir, "0755")
		for _, m := range []transport.Mode{"0700", "0711", "0777", "1777", "2755", "0500"} {
			do[transport.Done](r, transport.Mkdir{Path: d.Join("m" + string(m)), Mode: m})
			r.mode(d.Join("m"+string(m)), transport.Dir, m)
		}
		do[transport.Done](r, transport.Mkdir{Path: d.Join("m2755", "below"), Mode: "0755"})
		r.mode(d.Join("m2755", "below"), transport.Dir, "0755")
	}},
	{"owners", func(r *run) {
		r.needs(r.AsRoot, "root")
		d := r.dir()
		do[transport.Done](r, transport.Mkdir{Path: d.Join("a", "b"), Parents: true, Owner: "4321", Group: "1234", Mode: "2750"})
		if got := r.stat(d.Join("a", "b")); got.UID != 4321 || got.GID != 1234 || got.Mode != "2750" {
			r.Errorf("%+v", got)
		}
		if got := r.stat(d.Join("a")); got.UID != 0 || got.Mode != "0755" {
			r.Errorf("a parent: %+v", got)
		}
		r.refused(transport.Mkdir{Path: d.Join("c"), Owner: "no-such-user"}, transport.NotFound)
		r.only(d, "a")
	}},
	{"what stands in the way", func(r *run) {
		d := r.dir()
		r.write(d.Join("f"), "x", "")
		do[transport.Done](r, transport.Mkdir{Path: d.Join("dir"), Mode: "0700"})
		do[transport.Done](r, transport.Link{Path: d.Join("link"), Target: "dir"})
		do[transport.Done](r, transport.Link{Path: d.Join("dangling"), Target: "nosuch"})
		for _, n := range []string{"f", "dir", "link", "dangling"} {
			r.refused(transport.Mkdir{Path: d.Join(n)}, transport.Refused)
			r.refused(transport.Mkdir{Path: d.Join(n), Parents: true}, transport.Refused)
		}
		r.mode(d.Join("dir"), transport.Dir, "0700")
		r.refused(transport.Mkdir{Path: "/"}, transport.Refused)
		r.refused(transport.Mkdir{Path: d.Join("f", "below")}, transport.Refused)
		r.refused(transport.Mkdir{Path: d.Join("f", "below", "deep"), Parents: true}, transport.Refused)
		r.refused(transport.Mkdir{Path: d.Join("nosuch", "below")}, transport.NotFound)
		do[transport.Done](r, transport.Mkdir{Path: d.Join("link", "below"), Parents: true})
		r.only(d.Join("dir"), "below")
		r.only(d, "dangling", "dir", "f", "link")
	}},
}

var linkTests = []test{
	{"make and replace", func(r *run) {
		d := r.dir()
		for _, target := range []string{"one", "/two", "../x y\n", strings.Repeat("t/", 500), "."} {
			do[transport.Done](r, transport.Link{Path: d.Join("l"), Target: transport.Text(target)})
			if got := r.stat(d.Join("l")); got.Type != transport.Symlink || string(got.Target) != target {
				r.Errorf("%+v, want %q", got, target)
			}
		}
		r.only(d, "l")
	}},
	{"what stands in the way", func(r *run) {
		d := r.dir()
		r.write(d.Join("f"), "x", "")
		do[transport.Done](r, transport.Mkdir{Path: d.Join("dir")})
		for _, n := range []string{"f", "dir"} {
			r.refused(transport.Link{Path: d.Join(n), Target: "t"}, transport.Refused)
			r.refused(transport.Link{Path: d.Join(n), Target: transport.Text(d.Join("f")), Hard: true}, transport.Refused)
		}
		r.refused(transport.Link{Path: d.Join("nosuch", "l"), Target: "t"}, transport.NotFound)
		r.refused(transport.Link{Path: d.Join("l"), Target: ""}, transport.Refused)
		r.refused(transport.Link{Path: d.Join("l"), Target: "a\x00b"}, transport.Refused)
		r.holds(d.Join("f"), "x")
		r.only(d, "dir", "f")
	}},
	{"hard", func(r *run) {
		d := r.dir()
		r.write(d.Join("f"), "x", "0600")
		do[transport.Done](r, transport.Link{Path: d.Join("sym"), Target: "nosuch"})
		for _, n := range []string{"hard", "sym"} {
			do[transport.Done](r, transport.Link{Path: d.Join(n), Target: transport.Text(d.Join("f")), Hard: true})
			r.mode(d.Join(n), transport.Regular, "0600")
		}
		do[transport.Done](r, transport.SetAttr{Path: d.Join("hard"), Mode: "0640"})
		r.mode(d.Join("f"), transport.Regular, "0640")
		r.refused(transport.Link{Path: d.Join("g"), Target: transport.Text(d.Join("nosuch")), Hard: true}, transport.NotFound)
		r.only(d, "f", "hard", "sym")
	}},
	{"owners", func(r *run) {
		r.needs(r.AsRoot, "root")
		d := r.dir()
		r.write(d.Join("f"), "x", "")
		do[transport.Done](r, transport.Link{Path: d.Join("l"), Target: "f", Owner: "4321", Group: "1234"})
		if got := r.stat(d.Join("l")); got.UID != 4321 || got.GID != 1234 {
			r.Errorf("%+v", got)
		}
		if got := r.stat(d.Join("f")); got.UID != 0 {
			r.Errorf("what it points to was given away: %+v", got)
		}
		r.refused(transport.Link{Path: d.Join("m"), Target: "f", Owner: "no-such-user"}, transport.NotFound)
	}},
}

var removeTests = []test{
	{"one", func(r *run) {
		d := r.dir()
		r.write(d.Join("f"), "x", "0000")
		do[transport.Done](r, transport.Mkdir{Path: d.Join("dir")})
		do[transport.Done](r, transport.Link{Path: d.Join("to-f"), Target: "f"})
		do[transport.Done](r, transport.Link{Path: d.Join("to-dir"), Target: "dir"})
		r.exec("mkfifo", string(d.Join("pipe")))
		do[transport.Done](r, transport.Remove{Path: d.Join("to-f")})
		do[transport.Done](r, transport.Remove{Path: d.Join("to-dir"), Recursive: true})
		r.only(d, "dir", "f", "pipe")
		for _, n := range []string{"dir", "f", "pipe"} {
			do[transport.Done](r, transport.Remove{Path: d.Join(n)})
			r.refused(transport.Remove{Path: d.Join(n)}, transport.NotFound)
			r.refused(transport.Remove{Path: d.Join(n), Recursive: true}, transport.NotFound)
		}
		r.only(d)
	}},
	{"tree", func(r *run) {
		d := r.dir()
		t := d.Join("t")
		do[transport.Done](r, transport.Mkdir{Path: t})
		r.tree(t)
		r.write(d.Join("outside"), "stays", "")
		do[transport.Done](r, transport.Mkdir{Path: d.Join("other")})
		r.write(d.Join("other", "f"), "stays", "")
		do[transport.Done](r, transport.Link{Path: t.Join("to-outside"), Target: "../outside"})
		do[transport.Done](r, transport.Link{Path: t.Join("a", "to-other"), Target: transport.Text(d.Join("other"))})
		r.refused(transport.Remove{Path: t}, transport.Refused)
		r.refused(transport.Remove{Path: t.Join("a")}, transport.Refused)
		if len(do[transport.Listing](r, transport.List{Path: t}).Entries) != 6 {
			r.Error("a refused removal removed something")
		}
		do[transport.Done](r, transport.Remove{Path: t, Recursive: true})
		r.only(d, "other", "outside")
		r.holds(d.Join("other", "f"), "stays")
	}},
	{"top folders", func(r *run) {
		r.refused(transport.Remove{Path: "/"}, transport.Refused)
		if r.stat("/proc").Type == transport.Dir {
			r.refused(transport.Remove{Path: "/proc", Recursive: true}, transport.Refused)
		}
		if !r.Expendable {
			return
		}
		r.refused(transport.Remove{Path: "/", Recursive: true}, transport.Refused)
		r.refused(transport.Remove{Path: "/etc", Recursive: true}, transport.Refused)
		r.refused(transport.SetAttr{Path: "/", Mode: "0700", Recursive: true}, transport.Refused)
		r.refused(transport.SetAttr{Path: "/etc", Mode: "0700", Recursive: true}, transport.Refused)
	}},
	{"mount points", func(r *run) {
		r.needs(r.Mount != nil, "way to mount")
		d := r.dir()
		do[transport.Done](r, transport.Mkdir{Path: d.Join("a", "mnt"), Parents: true})
		r.write(d.Join("a", "first"), "stays", "")
		r.Mount(r.T, d.Join("a", "mnt"))
		r.write(d.Join("a", "mnt", "f"), "stays", "")
		r.refused(transport.Remove{Path: d.Join("a", "mnt")}, transport.Refused)
		r.refused(transport.Remove{Path: d.Join("a", "mnt"), Recursive: true}, transport.Refused)
		r.refused(transport.Remove{Path: d.Join("a"), Recursive: true}, transport.Refused)
		r.holds(d.Join("a", "mnt", "f"), "stays")
	}},
	{"below a file", func(r *run) {
		d := r.dir()
		r.write(d.Join("f"), "x", "")
		r.refused(transport.Remove{Path: d.Join("f", "g")}, transport.Refused, transport.NotFound)
		r.refused(transport.Remove{Path: d.Join("no", "g")}, transport.NotFound)
	}},
}

var setAttrTests = []test{
	{"modes", func(r *run) {
		d := r.dir()
		r.write(d.Join("f"), "x", "")
		for _, m := range modes {
			do[transport.Done](r, transport.SetAttr{Path: d.Join("f"), Mode: m})
			r.mode(d.Join("f"), transport.Regular, m)
			do[transport.Done](r, transport.SetAttr{Path: d.Join("f")})
			r.mode(d.Join("f"), transport.Regular, m)
		}
		r.refused(transport.SetAttr{Path: d.Join("f"), Mode: "u+x"}, transport.Refused)
		r.refused(transport.SetAttr{Path: d.Join("nosuch"), Mode: "0600"}, transport.NotFound)
		r.refused(transport.SetAttr{Path: d.Join("f", "below"), Mode: "0600"}, transport.Refused, transport.NotFound)
	}},
	{"symlinks", func(r *run) {
		d := r.dir()
		r.write(d.Join("f"), "x", "0600")
		do[transport.Done](r, transport.Link{Path: d.Join("l"), Target: "f"})
		r.refused(transport.SetAttr{Path: d.Join("l"), Mode: "0777"}, transport.Refused)
		r.mode(d.Join("f"), transport.Regular, "0600")
		if r.AsRoot {
			do[transport.Done](r, transport.SetAttr{Path: d.Join("l"), Owner: "4321", Group: "1234"})
			if l, f := r.stat(d.Join("l")), r.stat(d.Join("f")); l.UID != 4321 || l.GID != 1234 || f.UID != 0 {
				r.Errorf("link %+v, file %+v", l, f)
			}
		}
	}},
	{"owners", func(r *run) {
		r.needs(r.AsRoot, "root")
		d := r.dir()
		r.write(d.Join("f"), "x", "6755")
		for _, tt := range []struct {
			op       transport.SetAttr
			uid, gid int
			mode     transport.Mode
		}{
			{transport.SetAttr{Owner: "4321"}, 4321, 0, "6755"},
			{transport.SetAttr{Group: "1234"}, 4321, 1234, "6755"},
			{transport.SetAttr{Owner: "root", Mode: "4711"}, 0, 1234, "4711"},
			{transport.SetAttr{Owner: "root", Group: "root"}, 0, 0, "4711"},
		} {
			tt.op.Path = d.Join("f")
			do[transport.Done](r, tt.op)
			if got := r.stat(d.Join("f")); got.UID != tt.uid || got.GID != tt.gid || got.Mode != tt.mode {
				r.Errorf("%s: %+v", brief(tt.op), got)
			}
		}
		r.refused(transport.SetAttr{Path: d.Join("f"), Owner: "no-such-user"}, transport.NotFound)
		r.refused(transport.SetAttr{Path: d.Join("f"), Group: "no-such-group"}, transport.NotFound)
	}},
	{"recursive", func(r *run) {
		d := r.dir()
		t := d.Join("t")
		do[transport.Done](r, transport.Mkdir{Path: t})
		r.tree(t)
		r.write(d.Join("outside"), "x", "0600")
		do[transport.Done](r, transport.Link{Path: t.Join("to-outside"), Target: "../outside"})
		op := transport.SetAttr{Path: t, Mode: "0711", Recursive: true}
		do[transport.Done](r, op)
		r.mode(t, transport.Dir, "0711")
		r.mode(t.Join("a", "sub"), transport.Dir, "0711")
		r.mode(t.Join("a", "f"), transport.Regular, "0600")
		op.FileMode, op.Mode = "0444", ""
		do[transport.Done](r, op)
		r.mode(t.Join("a", "sub"), transport.Dir, "0711")
		r.mode(t.Join("a", "sub", "deep"), transport.Regular, "0444")
		r.mode(t.Join("a.conf"), transport.Regular, "0444")
		r.mode(d.Join("outside"), transport.Regular, "0600")
		op.Mode = "0500" // keeps an ordinary user out of nothing that is still to be done
		do[transport.Done](r, op)
		r.mode(t.Join("a", "sub"), transport.Dir, "0500")
		op.Mode = "0755"
		do[transport.Done](r, op)
		if r.AsRoot {
			do[transport.Done](r, transport.SetAttr{Path: t, Owner: "4321", Group: "1234", Recursive: true})
			for _, e := range do[transport.Listing](r, transport.List{Path: t, Recursive: true}).Entries {
				if e.UID != 4321 || e.GID != 1234 {
					r.Errorf("%+v", e)
				}
			}
			if r.stat(d.Join("outside")).UID != 0 || r.stat(d).UID != 0 {
				r.Error("the owner of something outside was changed")
			}
		}
		r.refused(transport.SetAttr{Path: d.Join("nosuch"), Mode: "0755", Recursive: true}, transport.NotFound)
	}},
}
