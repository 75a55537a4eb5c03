package hosttest

import (
	"strings"

	"fabgo/transport"
)

var faultTests = []test{
	{"disk full", func(r *run) { // F39
		r.needs(r.Small != nil, "small file system")
		d := r.Small(r.T)
		r.write(d.Join("f"), "old", "0600")
		op := transport.Write{Path: d.Join("f"), Content: stream(8 << 20)}
		r.refused(op, transport.NoSpace)
		op.Path = d.Join("new")
		r.refused(op, transport.NoSpace)
		r.holds(d.Join("f"), "old")
		r.only(d, "f")
		r.write(d.Join("f"), "it goes on", "")
		r.holds(d.Join("f"), "it goes on")
	}},
	{"read-only file system", func(r *run) { // F41
		r.needs(r.ReadOnly != nil, "read-only file system")
		d := r.ReadOnly(r.T)
		c := transport.String("new")
		for _, op := range []transport.Op{
			transport.Write{Path: d.Join("old"), Content: c}, transport.Write{Path: d.Join("new"), Content: c}, transport.Mkdir{Path: d.Join("new")},
			transport.Link{Path: d.Join("new"), Target: "t"}, transport.Remove{Path: d.Join("old")}, transport.SetAttr{Path: d.Join("old"), Mode: "0611"},
		} {
			r.refused(op, transport.ReadOnlyFS)
		}
		r.holds(d.Join("old"), "old\n")
		r.only(d, "old")
	}},
	{"immutable", func(r *run) { // F43
		r.needs(r.Immutable != nil, "immutable attribute")
		d := r.dir()
		r.write(d.Join("f"), "old", "0644")
		do[transport.Done](r, transport.Mkdir{Path: d.Join("dir")})
		r.write(d.Join("dir", "f"), "old", "0644")
		r.Immutable(r.T, d.Join("f"))
		r.Immutable(r.T, d.Join("dir"))
		c := transport.String("new")
		for _, op := range []transport.Op{
			transport.Write{Path: d.Join("f"), Content: c}, transport.Remove{Path: d.Join("f")}, transport.SetAttr{Path: d.Join("f"), Mode: "0600"},
			transport.Write{Path: d.Join("dir", "f"), Content: c}, transport.Mkdir{Path: d.Join("dir", "new")}, transport.Remove{Path: d.Join("dir", "f")},
		} {
			if e := r.refused(op, transport.Denied); !strings.Contains(e.Message, "immutable attribute set") || !strings.Contains(e.Hint, "chattr -i") {
				r.Errorf("%s: %q, hint %q", brief(op), e.Message, e.Hint)
			}
		}
		r.holds(d.Join("f"), "old")
		r.holds(d.Join("dir", "f"), "old")
		r.only(d, "dir", "f")
	}},
	{"append-only", func(r *run) { // F43
		r.needs(r.Append != nil, "append-only attribute")
		d := r.dir()
		r.write(d.Join("log"), "old", "0644")
		r.Append(r.T, d.Join("log"))
		for _, op := range []transport.Op{
			transport.Write{Path: d.Join("log"), Content: transport.String("new")}, transport.Remove{Path: d.Join("log")}, transport.SetAttr{Path: d.Join("log"), Mode: "0600"},
		} {
			if e := r.refused(op, transport.Denied); !strings.Contains(e.Message, "append-only attribute set") || !strings.Contains(e.Hint, "chattr -a") {
				r.Errorf("%s: %q, hint %q", brief(op), e.Message, e.Hint)
			}
		}
		r.holds(d.Join("log"), "old")
		r.only(d, "log")
	}},
	{"not ours", func(r *run) {
		r.needs(r.Unowned != nil, "folder that is not ours")
		d := r.Unowned(r.T)
		for _, op := range []transport.Op{
			transport.Write{Path: d.Join("new"), Content: transport.String("x")}, transport.Mkdir{Path: d.Join("new")},
			transport.Link{Path: d.Join("new"), Target: "t"}, transport.SetAttr{Path: d, Mode: "0777"},
		} {
			r.refused(op, transport.Denied)
		}
		mine := r.dir()
		r.write(mine.Join("f"), "x", "")
		r.refused(transport.Write{Path: mine.Join("g"), Content: transport.String("x"), Owner: "0"}, transport.Denied)
		r.refused(transport.SetAttr{Path: mine.Join("f"), Owner: "0"}, transport.Denied)
		r.only(mine, "f")
	}},
	{"no permission", func(r *run) {
		r.needs(!r.AsRoot, "user whom permissions hold")
		d := r.dir()
		r.write(d.Join("f"), "x", "0000")
		do[transport.Done](r, transport.Mkdir{Path: d.Join("dir"), Mode: "0000"})
		for _, op := range []transport.Op{
			transport.Read{Path: d.Join("f")}, transport.Stat{Path: d.Join("f"), Digest: true}, transport.List{Path: d.Join("dir")},
			transport.Stat{Path: d.Join("dir", "f")}, transport.List{Path: d, Recursive: true}, transport.List{Path: d, Digest: true},
			transport.Write{Path: d.Join("dir", "f"), Content: transport.String("x")}, transport.Mkdir{Path: d.Join("dir", "sub")},
			transport.Exec{Argv: transport.Texts("pwd"), Dir: d.Join("dir")},
		} {
			r.refused(op, transport.Denied)
		}
		do[transport.Written](r, transport.Write{Path: d.Join("f"), Content: transport.String("y")}) // its folder is ours
		do[transport.Done](r, transport.SetAttr{Path: d.Join("dir"), Mode: "0700"})
	}},
}
