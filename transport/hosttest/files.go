package hosttest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"fabgo/transport"
)

var statTests = []test{
	{"absent", func(r *run) {
		d := r.dir()
		for _, p := range []transport.Path{d.Join("nosuch"), d.Join("nosuch", "below"), "/nosuch"} {
			same := transport.String("x")
			if got := do[transport.FileInfo](r, transport.Stat{Path: p, Digest: true, Against: &same}); got != (transport.FileInfo{Type: transport.Absent}) {
				r.Errorf("%q: %+v, want nothing but absent", p, got)
			}
		}
		r.write(d.Join("file"), "x", "")
		if got := r.stat(d.Join("file", "below")); got.Type != transport.Absent {
			r.Errorf("below a file: %+v", got)
		}
	}},
	{"attributes", func(r *run) {
		d := r.dir()
		r.write(d.Join("f"), "12345", "0640")
		got := r.stat(d.Join("f"))
		if got.Type != transport.Regular || got.Mode != "0640" || got.Size != 5 || got.ModTime < 1e9 || got.Owner == "" || got.Group == "" || got.Digest != "" || got.Same {
			r.Errorf("%+v", got)
		}
		if r.AsRoot && (got.UID != 0 || got.Owner != "root") {
			r.Errorf("owner of root's file: %+v", got)
		}
		if got := r.stat(d); got.Type != transport.Dir || got.Mode != "0755" || got.Size != 0 {
			r.Errorf("folder: %+v", got)
		}
		if got := r.stat("/"); got.Type != transport.Dir || got.UID != 0 {
			r.Errorf("/: %+v", got)
		}
		if got := r.stat("/dev/null"); got.Type != transport.Special || got.Size != 0 {
			r.Errorf("/dev/null: %+v", got)
		}
	}},
	{"symlinks", func(r *run) {
		d := r.dir()
		r.write(d.Join("f"), "x", "0600")
		for name, target := range map[string]string{"l": "f", "abs": string(d.Join("f")), "dangling": "no\nwhere", "dot": "."} {
			do[transport.Done](r, transport.Link{Path: d.Join(name), Target: transport.Text(target)})
			if got := r.stat(d.Join(name)); got.Type != transport.Symlink || got.Target != transport.Text(target) || got.Mode != "" {
				r.Errorf("%s: %+v", name, got)
			}
		}
		for name, want := range map[string]transport.FileType{"l": transport.Regular, "abs": transport.Regular, "dangling": transport.Absent, "dot": transport.Dir} {
			if got := do[transport.FileInfo](r, transport.Stat{Path: d.Join(name), Follow: true}); got.Type != want || got.Target != "" {
				r.Errorf("follow %s: %+v, want %s", name, got, want)
			}
		}
		do[transport.Done](r, transport.Link{Path: d.Join("a"), Target: "b"})
		do[transport.Done](r, transport.Link{Path: d.Join("b"), Target: "a"})
		r.refused(transport.Stat{Path: d.Join("a"), Follow: true}, transport.Refused)
	}},
	{"digest and against", func(r *run) {
		d := r.dir()
		r.write(d.Join("f"), "hello", "")
		do[transport.Done](r, transport.Link{Path: d.Join("l"), Target: "f"})
		yes, sameSize, no := transport.String("hello"), transport.String("hellO"), transport.String("other size")
		for _, tt := range []struct {
			op   transport.Stat
			dig  transport.Digest
			same bool
		}{
			{transport.Stat{Path: d.Join("f"), Digest: true}, yes.Digest, false},
			{transport.Stat{Path: d.Join("f"), Against: &yes}, "", true},
			{transport.Stat{Path: d.Join("f"), Against: &sameSize}, "", false},
			{transport.Stat{Path: d.Join("f"), Against: &no}, "", false},
			{transport.Stat{Path: d.Join("f"), Against: &no, Digest: true}, yes.Digest, false},
			{transport.Stat{Path: d.Join("l"), Against: &yes, Digest: true}, "", false},
			{transport.Stat{Path: d.Join("l"), Against: &yes, Digest: true, Follow: true}, yes.Digest, true},
			{transport.Stat{Path: d, Against: &yes, Digest: true}, "", false},
		} {
			if got := do[transport.FileInfo](r, tt.op); got.Digest != tt.dig || got.Same != tt.same {
				r.Errorf("%s: digest %q, same %v", brief(tt.op), got.Digest, got.Same)
			}
		}
	}},
	{"bad paths", func(r *run) {
		for _, p := range []transport.Path{"", "relative", "/a//b", "/a/../b", "/a/", "/nul\x00", transport.Path("/" + strings.Repeat("x", 256))} {
			r.refused(transport.Stat{Path: p}, transport.Refused)
			r.refused(transport.Read{Path: p}, transport.Refused)
			r.refused(transport.List{Path: p}, transport.Refused)
			r.refused(transport.Write{Path: p, Content: transport.String("")}, transport.Refused)
			r.refused(transport.Mkdir{Path: p}, transport.Refused)
			r.refused(transport.Link{Path: p, Target: "x"}, transport.Refused)
			r.refused(transport.Remove{Path: p}, transport.Refused)
			r.refused(transport.SetAttr{Path: p, Mode: "0644"}, transport.Refused)
		}
	}},
	{"ask is not for machines", func(r *run) { r.refused(transport.Ask{What: transport.AskTime}, transport.Unsupported) }},
	{"interrupted", func(r *run) {
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		if _, err := r.host.Do(ctx, transport.Stat{Path: "/"}); transport.KindOf(err) != transport.Interrupted {
			r.Errorf("with an ended context: %v", err)
		}
	}},
}

var readTests = []test{
	{"pieces", func(r *run) {
		d := r.dir()
		const all = "0123456789"
		r.write(d.Join("f"), all, "")
		for _, tt := range []struct {
			offset, limit int64
			want          string
			more          bool
		}{{0, 0, all, false}, {0, 10, all, false}, {0, 9, "012345678", true}, {3, 4, "3456", true}, {3, 7, "3456789", false}, {10, 5, "", false}, {99, 0, "", false}} {
			got := do[transport.Data](r, transport.Read{Path: d.Join("f"), Offset: tt.offset, Limit: tt.limit})
			b, err := got.Content.ReadAll(100)
			if err != nil || string(b) != tt.want || got.More != tt.more || got.Content.Digest != transport.DigestOf(b) {
				r.Errorf("offset %d, limit %d: %q, more %v, %v", tt.offset, tt.limit, b, got.More, err)
			}
		}
		r.refused(transport.Read{Path: d.Join("f"), Offset: -1}, transport.Refused)
		r.refused(transport.Read{Path: d.Join("f"), Limit: -1}, transport.Refused)
	}},
	{"empty and binary", func(r *run) {
		d := r.dir()
		r.write(d.Join("empty"), "", "")
		r.holds(d.Join("empty"), "")
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		r.write(d.Join("bytes"), string(all), "")
		r.holds(d.Join("bytes"), string(all))
	}},
	{"default limit", func(r *run) {
		d := r.dir()
		c := stream(transport.ReadLimit + 1)
		do[transport.Written](r, transport.Write{Path: d.Join("f"), Content: c})
		got := do[transport.Data](r, transport.Read{Path: d.Join("f")})
		if got.Content.Size != transport.ReadLimit || !got.More {
			r.Errorf("%d bytes, more %v", got.Content.Size, got.More)
		}
	}},
	{"through a symlink", func(r *run) {
		d := r.dir()
		r.write(d.Join("f"), "x", "")
		do[transport.Done](r, transport.Link{Path: d.Join("l"), Target: "f"})
		r.holds(d.Join("l"), "x")
	}},
	{"kinds of errors", func(r *run) {
		d := r.dir()
		r.refused(transport.Read{Path: d.Join("nosuch")}, transport.NotFound)
		r.refused(transport.Read{Path: d}, transport.Refused)
		r.refused(transport.Read{Path: "/dev/zero"}, transport.Refused)
		if out := r.exec("mkfifo", string(d.Join("pipe"))); out.Code != 0 {
			r.Fatal(out)
		}
		r.refused(transport.Read{Path: d.Join("pipe")}, transport.Refused)
		do[transport.Done](r, transport.Link{Path: d.Join("loop"), Target: "loop"})
		if e := r.refused(transport.Read{Path: d.Join("loop")}, transport.Refused); e.Path == "" || !strings.Contains(e.Message, "loop") {
			r.Errorf("the error does not name the file: %+v", e)
		}
	}},
	{"file of proc", func(r *run) {
		if r.stat("/proc/version").Type == transport.Absent {
			r.Skip("no /proc here")
		}
		if r.content("/proc/version") == "" {
			r.Error("/proc/version is empty")
		}
	}},
}

// tree makes a small tree and returns what List must say of it, sorted by path.
func (r *run) tree(d transport.Path) []string {
	for _, p := range []transport.Path{d.Join("a"), d.Join("a", "sub"), d.Join("empty")} {
		do[transport.Done](r, transport.Mkdir{Path: p, Mode: "0750"})
	}
	r.write(d.Join("a", "f"), "in a", "0600")
	r.write(d.Join("a", "sub", "deep"), "deep", "0644")
	r.write(d.Join("a.conf"), "", "0644")
	do[transport.Done](r, transport.Link{Path: d.Join("up"), Target: ".."})
	do[transport.Done](r, transport.Link{Path: d.Join("gone"), Target: "no/where"})
	return []string{
		"a dir 0750 0", "a.conf file 0644 0 " + string(transport.DigestOf(nil)), "a/f file 0600 4 " + string(transport.DigestOf([]byte("in a"))),
		"a/sub dir 0750 0", "a/sub/deep file 0644 4 " + string(transport.DigestOf([]byte("deep"))), "empty dir 0750 0",
		"gone link  0 -> no/where", "up link  0 -> ..",
	}
}

func describe(l transport.Listing) []string {
	var out []string
	for _, e := range l.Entries {
		s := fmt.Sprintf("%s %s %s %d", e.Path, e.Type, e.Mode, e.Size)
		if e.Digest != "" {
			s += " " + string(e.Digest)
		}
		if e.Target != "" {
			s += " -> " + string(e.Target)
		}
		out = append(out, s)
	}
	return out
}

var listTests = []test{
	{"tree", func(r *run) {
		d := r.dir()
		want := r.tree(d)
		got := do[transport.Listing](r, transport.List{Path: d, Recursive: true, Digest: true})
		if g := describe(got); !slices.Equal(g, want) {
			r.Errorf("got\n%s\nwant\n%s", strings.Join(g, "\n"), strings.Join(want, "\n"))
		}
		for _, e := range got.Entries {
			if e.Owner == "" || e.Group == "" {
				r.Errorf("%s has no owner: %+v", e.Path, e)
			}
		}
		flat := do[transport.Listing](r, transport.List{Path: d})
		r.only(d, "a", "a.conf", "empty", "gone", "up")
		if flat.Entries[1].Digest != "" {
			r.Error("a digest that nobody asked for")
		}
		do[transport.Done](r, transport.Link{Path: d.Join("to-a"), Target: "a"})
		r.only(d.Join("to-a"), "f", "sub")
	}},
	{"empty", func(r *run) { r.only(r.dir()) }},
	{"kinds of errors", func(r *run) {
		d := r.dir()
		r.write(d.Join("f"), "", "")
		r.refused(transport.List{Path: d.Join("nosuch")}, transport.NotFound)
		r.refused(transport.List{Path: d.Join("f")}, transport.Refused)
	}},
	{"many entries", func(r *run) {
		n := 10_000
		if r.Slow {
			n = 200
		} else if testing.Short() {
			n = 1_000
		}
		d := r.dir()
		var wg sync.WaitGroup
		errs := make(chan error, 8)
		for w := range 8 {
			wg.Go(func() {
				for i := w; i < n; i += 8 {
					if _, err := r.host.Do(r.Context(), transport.Link{Path: d.Join(fmt.Sprintf("l%05d", i)), Target: "t"}); err != nil {
						errs <- err
						return
					}
				}
			})
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			r.Fatal(err)
		}
		l := do[transport.Listing](r, transport.List{Path: d})
		if len(l.Entries) != n || l.Entries[n-1].Path != transport.Text(fmt.Sprintf("l%05d", n-1)) || l.Entries[n/2].Target != "t" {
			r.Fatalf("%d entries", len(l.Entries))
		}
		do[transport.Done](r, transport.Remove{Path: d, Recursive: true})
	}},
}

var nameTests = []test{
	{"files", func(r *run) {
		d := r.dir()
		for _, n := range r.odd() {
			p := d.Join(n)
			r.write(p, "1 "+n, "0600")
			do[transport.Written](r, transport.Write{Path: p, Content: transport.String("2 " + n)})
			r.mode(p, transport.Regular, "0600")
			do[transport.Done](r, transport.SetAttr{Path: p, Mode: "0640"})
			r.mode(p, transport.Regular, "0640")
			r.holds(p, "2 "+n)
		}
		names := slices.Clone(r.odd())
		slices.Sort(names)
		r.only(d, names...)
		for _, n := range r.odd() {
			do[transport.Done](r, transport.Remove{Path: d.Join(n)})
		}
		r.only(d)
	}},
	{"folders and symlinks", func(r *run) {
		d := r.dir()
		var want []string
		for _, n := range r.odd() {
			p := d.Join(n)
			do[transport.Done](r, transport.Mkdir{Path: p, Mode: "0700"})
			do[transport.Done](r, transport.Link{Path: p.Join("l"), Target: transport.Text(n)})
			if n != r.odd()[0] {
				do[transport.Done](r, transport.Link{Path: p.Join("l"), Target: transport.Text(n)})
			}
			if got := r.stat(p.Join("l")); got.Target != transport.Text(n) {
				r.Errorf("symlink to %q: %+v", n, got)
			}
			want = append(want, n, n+"/l")
		}
		slices.Sort(want)
		var got []string
		for _, e := range do[transport.Listing](r, transport.List{Path: d, Recursive: true}).Entries {
			got = append(got, string(e.Path))
		}
		if !slices.Equal(got, want) {
			r.Errorf("got %q\nwant %q", got, want)
		}
		do[transport.Done](r, transport.SetAttr{Path: d, Mode: "0711", Recursive: true})
		r.mode(d.Join("-rf"), transport.Dir, "0711")
		for _, n := range r.odd() {
			do[transport.Done](r, transport.Remove{Path: d.Join(n), Recursive: true})
		}
		r.only(d)
	}},
	{"commands", func(r *run) {
		d := r.dir()
		for _, n := range r.odd() {
			r.write(d.Join(n), "is "+n, "")
			if out := r.exec("cat", "--", string(d.Join(n))); out.Stdout != transport.Text("is "+n) || out.Code != 0 {
				r.Errorf("cat %q: %+v", n, out)
			}
		}
	}},
	{"long path", func(r *run) {
		p := r.dir()
		for len(p) < 3000 {
			p = p.Join(strings.Repeat("d", 200))
		}
		do[transport.Done](r, transport.Mkdir{Path: p, Parents: true})
		r.write(p.Join("f"), "far", "")
		r.holds(p.Join("f"), "far")
	}},
}

// readAll reads a file in pieces, through an independent path of the seam, and digests it.
func (r *run) readAll(p transport.Path) (d transport.Digest, size int64) {
	pr, pw := io.Pipe()
	done := make(chan transport.Digest)
	go func() { done <- digest(pr) }()
	for {
		piece := do[transport.Data](r, transport.Read{Path: p, Offset: size})
		b, err := piece.Content.ReadAll(transport.ReadLimit)
		if err != nil {
			r.Fatal(err)
		}
		_, _ = pw.Write(b)
		size += int64(len(b))
		if !piece.More {
			break
		}
	}
	pw.Close()
	return <-done, size
}
