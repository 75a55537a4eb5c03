package hosttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"fabgo/transport"
)

var modes = []transport.Mode{"0000", "0400", "0600", "0644", "0666", "0755", "0777", "1755", "2755", "4755", "6750", "7777", "0007"}

// broken is a content whose bytes end in an error half-way.
func broken() transport.Content {
	return transport.Source(transport.DigestOf([]byte("x")), 1<<20, func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("x", 100_000)), failing{})), nil
	})
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the source broke") }

var writeTests = []test{
	{"create and replace", func(r *run) {
		d := r.dir()
		r.write(d.Join("f"), "one", "")
		r.mode(d.Join("f"), transport.Regular, "0644")
		r.holds(d.Join("f"), "one")
		r.write(d.Join("f"), "two", "0600")
		r.mode(d.Join("f"), transport.Regular, "0600")
		r.write(d.Join("f"), "three is longer", "")
		r.mode(d.Join("f"), transport.Regular, "0600")
		r.holds(d.Join("f"), "three is longer")
		r.write(d.Join("f"), "", "")
		r.holds(d.Join("f"), "")
		r.only(d, "f")
	}},
	{"modes", func(r *run) {
		d := r.dir()
		for _, m := range modes {
			r.write(d.Join("new"+string(m)), "x", m)
			r.mode(d.Join("new"+string(m)), transport.Regular, m)
			r.write(d.Join("f"), "x", m)
			r.mode(d.Join("f"), transport.Regular, m)
			r.write(d.Join("f"), "kept", "")
			r.mode(d.Join("f"), transport.Regular, m)
		}
		for _, m := range []transport.Mode{"rw", "9999", "1", "77777"} {
			r.refused(transport.Write{Path: d.Join("f"), Content: transport.String(""), Mode: m}, transport.Refused)
		}
	}},
	{"umask", func(r *run) {
		r.needs(r.Umask != nil, "way to set the umask")
		for _, mask := range []int{0, 0o077, 0o777} {
			r.Run(fmt.Sprintf("%03o", mask), func(t *testing.T) {
				r := &run{T: t, suite: r.suite}
				d := r.dir()
				r.Target.Umask(t, mask)
				r.write(d.Join("f"), "x", "")
				r.mode(d.Join("f"), transport.Regular, "0644")
				r.write(d.Join("g"), "x", "0666")
				r.mode(d.Join("g"), transport.Regular, "0666")
				do[transport.Done](r, transport.Mkdir{Path: d.Join("a", "b"), Parents: true})
				r.mode(d.Join("a"), transport.Dir, "0755")
				r.mode(d.Join("a", "b"), transport.Dir, "0755")
				do[transport.Done](r, transport.Mkdir{Path: d.Join("c"), Mode: "1777"})
				r.mode(d.Join("c"), transport.Dir, "1777")
			})
		}
	}},
	{"owners", func(r *run) {
		r.needs(r.AsRoot, "root")
		d := r.dir()
		do[transport.Written](r, transport.Write{Path: d.Join("f"), Content: transport.String("x"), Mode: "4750", Owner: "4321", Group: "1234"})
		want := func(uid, gid int, mode transport.Mode) {
			r.Helper()
			if got := r.stat(d.Join("f")); got.UID != uid || got.GID != gid || got.Mode != mode || got.Owner == "" {
				r.Errorf("%+v, want %d:%d %s", got, uid, gid, mode)
			}
		}
		want(4321, 1234, "4750")
		r.write(d.Join("f"), "y", "")
		want(4321, 1234, "4750")
		do[transport.Written](r, transport.Write{Path: d.Join("f"), Content: transport.String("z"), Owner: "root"})
		want(0, 1234, "4750")
		do[transport.Done](r, transport.Remove{Path: d.Join("f")})
		do[transport.Written](r, transport.Write{Path: d.Join("f"), Content: transport.String("z"), Owner: "daemon"})
		daemon := do[transport.Rows](r, transport.Lookup{Table: transport.Users, Keys: transport.Texts("daemon")})
		if row, ok := daemon.Get("daemon"); ok {
			got := r.stat(d.Join("f"))
			if fmt.Sprint(got.UID) != string(row.Fields["uid"]) || fmt.Sprint(got.GID) != string(row.Fields["gid"]) || got.Owner != "daemon" {
				r.Errorf("a new file of daemon: %+v; the account is %v", got, row)
			}
		} else {
			r.Error("no account daemon")
		}
		r.refused(transport.Write{Path: d.Join("g"), Content: transport.String(""), Owner: "no-such-user"}, transport.NotFound)
		r.refused(transport.Write{Path: d.Join("g"), Content: transport.String(""), Group: "no-such-group"}, transport.NotFound)
		r.only(d, "f")
	}},
	{"large", func(r *run) {
		size := int64(100 << 20)
		if r.brief() {
			size = 8 << 20
		}
		d := r.dir()
		c := stream(size)
		do[transport.Written](r, transport.Write{Path: d.Join("big"), Content: c, Mode: "0600"})
		info := do[transport.FileInfo](r, transport.Stat{Path: d.Join("big"), Digest: true, Against: &c})
		if info.Digest != c.Digest || !info.Same || info.Size != size {
			r.Errorf("%+v, want %d bytes of %s", info, size, c.Digest)
		}
		if got, n := r.readAll(d.Join("big")); got != c.Digest || n != size {
			r.Errorf("read back %d bytes of %s", n, got)
		}
		do[transport.Done](r, transport.Remove{Path: d, Recursive: true})
	}},
	{"what stands in the way", func(r *run) {
		d := r.dir()
		do[transport.Done](r, transport.Mkdir{Path: d.Join("dir")})
		do[transport.Done](r, transport.Link{Path: d.Join("link"), Target: "file"})
		do[transport.Done](r, transport.Link{Path: d.Join("masked"), Target: "/dev/null"})
		r.exec("mkfifo", string(d.Join("pipe")))
		r.write(d.Join("file"), "old", "0600")
		c := transport.String("new")
		for _, name := range []string{"dir", "link", "masked", "pipe"} {
			r.refused(transport.Write{Path: d.Join(name), Content: c}, transport.Refused)
		}
		if e := r.refused(transport.Write{Path: d.Join("masked"), Content: c}, transport.Refused); !strings.Contains(e.Message, "masked") {
			r.Errorf("a masked unit gets no message of its own: %v", e)
		}
		r.refused(transport.Write{Path: d.Join("file", "below"), Content: c}, transport.Refused)
		r.refused(transport.Write{Path: d.Join("nosuch", "f"), Content: c}, transport.NotFound)
		r.refused(transport.Write{Path: "/", Content: c}, transport.Refused)
		r.holds(d.Join("file"), "old")
		r.only(d, "dir", "file", "link", "masked", "pipe")
	}},
	{"follow", func(r *run) {
		d := r.dir()
		do[transport.Done](r, transport.Mkdir{Path: d.Join("sub")})
		do[transport.Done](r, transport.Link{Path: d.Join("one"), Target: "two"})
		do[transport.Done](r, transport.Link{Path: d.Join("two"), Target: transport.Text(d.Join("sub", "file"))})
		for _, content := range []string{"made", "replaced"} {
			do[transport.Written](r, transport.Write{Path: d.Join("one"), Content: transport.String(content), Follow: true})
			r.holds(d.Join("sub", "file"), content)
		}
		if r.stat(d.Join("one")).Type != transport.Symlink || r.stat(d.Join("two")).Type != transport.Symlink {
			r.Error("a symlink was replaced")
		}
		do[transport.Done](r, transport.Link{Path: d.Join("loop"), Target: "loop"})
		r.refused(transport.Write{Path: d.Join("loop"), Content: transport.String(""), Follow: true}, transport.Refused)
		do[transport.Done](r, transport.Link{Path: d.Join("dir"), Target: "sub"})
		r.refused(transport.Write{Path: d.Join("dir"), Content: transport.String(""), Follow: true}, transport.Refused)
		r.only(d.Join("sub"), "file")
		r.write(d.Join("dir", "through"), "a folder", "") // a symlink of our own, higher up, is followed
		r.holds(d.Join("sub", "through"), "a folder")
	}},
	{"backup", func(r *run) {
		d := r.dir()
		op := transport.Write{Path: d.Join("f"), Content: transport.String("1"), Mode: "0600", Backup: d.Join("f.bak")}
		do[transport.Written](r, op)
		r.only(d, "f")
		for i := 2; i < 5; i++ {
			op.Content, op.Mode = transport.String(fmt.Sprint(i)), "0644"
			do[transport.Written](r, op)
			r.holds(d.Join("f"), fmt.Sprint(i))
			r.holds(d.Join("f.bak"), fmt.Sprint(i-1))
			if i == 2 {
				r.mode(d.Join("f.bak"), transport.Regular, "0600")
			}
		}
		r.only(d, "f", "f.bak")
		do[transport.Done](r, transport.Mkdir{Path: d.Join("dir")})
		for _, p := range []transport.Path{d.Join("dir"), d.Join("dir", "other"), d.Join("f"), "relative"} {
			op.Backup, op.Content = p, transport.String("no")
			r.refused(op, transport.Refused)
		}
		r.holds(d.Join("f"), "4")
		r.only(d, "dir", "f", "f.bak")
	}},
	{"validate", func(r *run) {
		d := r.dir()
		op := transport.Write{Path: d.Join("f"), Content: transport.String("good"), Validate: transport.Texts("cat", "%s")}
		if w := do[transport.Written](r, op); w.Validation == nil || w.Validation.Code != 0 || w.Validation.Stdout != "good" {
			r.Errorf("%+v", w.Validation)
		}
		op.Content, op.Validate, op.Backup = transport.String("bad"), transport.Texts("false", "%s"), d.Join("bak")
		if w := do[transport.Written](r, op); w.Validation == nil || w.Validation.Code != 1 {
			r.Errorf("%+v", w.Validation)
		}
		r.holds(d.Join("f"), "good")
		op.Validate = transport.Texts("no-such-program", "%s")
		r.refused(op, transport.NotFound)
		op.Path = d.Join("new")
		r.refused(op, transport.NotFound)
		r.holds(d.Join("f"), "good")
		r.only(d, "f")
		op = transport.Write{Path: d.Join(strings.Repeat("'", 255)), Content: transport.String("long"), Validate: transport.Texts("cat", "%s")}
		if w := do[transport.Written](r, op); w.Validation.Stdout != "long" {
			r.Errorf("%+v", w.Validation)
		}
		if w := do[transport.Written](r, transport.Write{Path: d.Join("f"), Content: transport.String("x")}); w.Validation != nil {
			r.Errorf("a validation that nobody asked for: %+v", w.Validation)
		}
	}},
	{"sources that fail", func(r *run) {
		d := r.dir()
		r.write(d.Join("f"), "old", "0600")
		short := transport.Source(transport.DigestOf([]byte("other")), 5, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("othEr")), nil })
		for name, c := range map[string]transport.Content{
			"broken": broken(), "other bytes": short, "known by name only": {Digest: transport.DigestOf([]byte("x")), Size: 1},
		} {
			for _, p := range []transport.Path{d.Join("f"), d.Join("new")} {
				if res, err := r.host.Do(r.Context(), transport.Write{Path: p, Content: c}); err == nil {
					r.Errorf("%s: %v", name, res)
				}
			}
		}
		r.holds(d.Join("f"), "old")
		r.only(d, "f")
	}},
	{"interrupted", func(r *run) {
		d := r.dir()
		r.write(d.Join("f"), "old", "0600")
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		c := stream(8 << 20)
		slow := transport.Source(c.Digest, c.Size, func() (io.ReadCloser, error) {
			in, err := c.Open()
			return cancelling{in, cancel}, err
		})
		if res, err := r.host.Do(ctx, transport.Write{Path: d.Join("f"), Content: slow}); err == nil {
			r.Errorf("written although the context ended: %v", res)
		}
		r.holds(d.Join("f"), "old")
		r.only(d, "f")
	}},
	{"hard links part", func(r *run) {
		d := r.dir()
		r.write(d.Join("f"), "old", "")
		do[transport.Done](r, transport.Link{Path: d.Join("g"), Target: transport.Text(d.Join("f")), Hard: true})
		r.write(d.Join("f"), "new", "")
		r.holds(d.Join("g"), "old")
	}},
	{"readers see all or nothing", func(r *run) {
		d := r.dir()
		f := d.Join("f")
		contents := []string{strings.Repeat("a", 300_000), strings.Repeat("b", 200_000)}
		r.write(f, contents[0], "0600")
		ctx, stop := context.WithCancel(r.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			defer stop()
			for i := range 20 {
				if _, err := r.host.Do(r.Context(), transport.Write{Path: f, Content: transport.String(contents[(i+1)%2]), Mode: []transport.Mode{"0640", "0600"}[i%2]}); err != nil {
					r.Error(err)
					return
				}
			}
		})
		for ctx.Err() == nil {
			switch got := r.content(f); got {
			case contents[0], contents[1]:
			default:
				r.Errorf("a reader saw %d bytes, %.20q...", len(got), got)
			}
			if info := r.stat(f); info.Type != transport.Regular || info.Mode != "0640" && info.Mode != "0600" {
				r.Errorf("a reader saw %+v", info)
			}
		}
		wg.Wait()
		r.only(d, "f")
	}},
}

// cancelling ends a context after the first bytes were read.
type cancelling struct {
	io.ReadCloser
	cancel func()
}

func (c cancelling) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p[:min(len(p), 4096)])
	c.cancel()
	return n, err
}
