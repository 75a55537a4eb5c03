package hosttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"fabgo/transport"
)

// againstTests compare a tree with a manifest.
var againstTests = []test{
	{"what is as it says is left out", func(r *run) {
		d := r.dir()
		r.tree(d)
		whole := do[transport.Listing](r, transport.List{Path: d, Recursive: true, Digest: true})
		m := manifestOf(whole)
		got := do[transport.Listing](r, transport.List{Path: d, Recursive: true, Against: against(m)})
		if len(got.Entries) >= len(whole.Entries)/2 || len(got.Alike) == 0 {
			r.Errorf("of %d entries that are as the manifest says, %d are named", len(whole.Entries), len(got.Entries))
		}
		if back := got.With(m); !reflect.DeepEqual(timeless(back), timeless(whole)) {
			r.Errorf("put together again:\n%+v\nwant\n%+v", back, whole)
		}
	}},
	{"what differs is named", func(r *run) {
		d := r.dir()
		want := []transport.SourceEntry{fileEntry("gone", "x"), dirEntry("folder"), linkEntry("l", "to"), linkEntry("same-l", "to")}
		for i := range 9 {
			name := fmt.Sprintf("f%d", i)
			r.write(d.Join(name), name, "0640")
			want = append(want, fileEntry(name, name))
		}
		r.write(d.Join("other"), "is longer", "0640")
		r.write(d.Join("size"), "abcd", "0640")
		r.write(d.Join("folder"), "is a file", "0640")
		r.write(d.Join("moded"), "m", "0600")
		r.write(d.Join("extra"), "not in it", "0640")
		do[transport.Done](r, transport.Mkdir{Path: d.Join("typed")})
		do[transport.Done](r, transport.Link{Path: d.Join("l"), Target: "elsewhere"})
		do[transport.Done](r, transport.Link{Path: d.Join("same-l"), Target: "to"})
		want = append(want, fileEntry("other", "abc"), fileEntry("size", "abce"), fileEntry("typed", "t"), fileEntry("moded", "m"))
		m, err := transport.Manifest(want).Entries()
		if err != nil {
			r.Fatal(err)
		}
		got := do[transport.Listing](r, transport.List{Path: d, Recursive: true, Against: against(want)})
		var names []string
		for _, e := range got.Entries {
			name := string(e.Path) + " " + string(e.Type)
			if e.Type == transport.Regular && e.Digest != "" {
				name += " hashed"
			}
			names = append(names, name)
		}
		if w := []string{"extra file", "folder file", "gone absent", "l link", "moded file hashed", "other file hashed", "size file hashed", "typed dir"}; !reflect.DeepEqual(names, w) {
			r.Errorf("%q, want %q", names, w)
		}
		whole := timeless(do[transport.Listing](r, transport.List{Path: d, Recursive: true, Digest: true}))
		back := timeless(got.With(m))
		for i := range whole.Entries {
			if back.Entries[i].Digest == "" {
				whole.Entries[i].Digest = ""
			}
		}
		if !reflect.DeepEqual(back, whole) {
			r.Errorf("put together again:\n%+v\nwant\n%+v", back, whole)
		}
	}},
	{"nothing is there", func(r *run) {
		d := r.dir()
		var want []transport.SourceEntry
		for i := range 20 {
			want = append(want, fileEntry(fmt.Sprintf("f%02d", i), "x"))
		}
		if got := do[transport.Listing](r, transport.List{Path: d, Recursive: true, Against: against(want)}); len(got.Entries) != 0 || len(got.Alike) != 0 {
			r.Errorf("%+v", got)
		}
		r.refused(transport.List{Path: d.Join("nosuch"), Recursive: true, Against: against(want)}, transport.NotFound)
		for _, bad := range []string{"f - 1 - x\n", "no manifest", "d - 0 - ../x\n"} {
			c := transport.String(bad)
			r.refused(transport.List{Path: d, Against: &c}, transport.Refused)
		}
	}},
	{"odd names", func(r *run) {
		d := r.dir()
		var want []transport.SourceEntry
		for _, n := range r.odd() {
			r.write(d.Join(n), n, "0600")
			want = append(want, fileEntry(n, n))
		}
		if got := do[transport.Listing](r, transport.List{Path: d, Recursive: true, Against: against(want)}); len(got.Entries) != 0 || len(got.Alike) != 1 || got.Alike[0].Mode != "0600" {
			r.Errorf("%+v", got)
		}
	}},
}

func against(entries []transport.SourceEntry) *transport.Content {
	c := transport.Manifest(entries)
	return &c
}

func manifestOf(l transport.Listing) (m []transport.SourceEntry) {
	for _, e := range l.Entries {
		if e.Type != transport.Special {
			m = append(m, transport.SourceEntry{Path: e.Path, Type: e.Type, Digest: e.Digest, Size: e.Size, Target: e.Target})
		}
	}
	return m
}

// timeless is a listing without what With does not know.
func timeless(l transport.Listing) transport.Listing {
	out := transport.Listing{}
	for _, e := range l.Entries {
		e.ModTime = 0
		out.Entries = append(out.Entries, e)
	}
	return out
}

func fileEntry(name, content string) transport.SourceEntry {
	return transport.SourceEntry{Path: transport.Text(name), Type: transport.Regular, Digest: transport.DigestOf([]byte(content)), Size: int64(len(content))}
}

func dirEntry(name string) transport.SourceEntry {
	return transport.SourceEntry{Path: transport.Text(name), Type: transport.Dir}
}

func linkEntry(name, target string) transport.SourceEntry {
	return transport.SourceEntry{Path: transport.Text(name), Type: transport.Symlink, Target: transport.Text(target)}
}

// packed is an Unpack of files: name, content, name, content.
func packed(p transport.Path, files ...string) transport.Unpack {
	var entries []transport.SourceEntry
	held := map[transport.Text]string{}
	for i := 0; i < len(files); i += 2 {
		entries = append(entries, fileEntry(files[i], files[i+1]))
		held[transport.Text(files[i])] = files[i+1]
	}
	m := transport.Manifest(entries)
	sorted, _ := m.Entries() // what is refused here is refused by the host too
	var pack strings.Builder
	for _, e := range sorted {
		pack.WriteString(held[e.Path])
	}
	return transport.Unpack{Path: p, Files: m, Pack: transport.String(pack.String())}
}

// remoded is an Unpack with a mode for all of its files.
func remoded(o transport.Unpack, m transport.Mode) transport.Unpack {
	entries, _ := o.Files.Entries()
	for i := range entries {
		entries[i].Mode = m
	}
	o.Files = transport.Manifest(entries)
	return o
}

var unpackTests = []test{
	{"new and old files", func(r *run) {
		d := r.dir()
		do[transport.Done](r, transport.Mkdir{Path: d.Join("a", "b"), Parents: true})
		r.write(d.Join("a", "old"), "old", "0600")
		do[transport.Done](r, packed(d, "f", "1", "a/old", "new", "a/g", "22", "a/b/empty", ""))
		for name, content := range map[string]string{"f": "1", "a/old": "new", "a/g": "22", "a/b/empty": ""} {
			r.holds(d.Join(name), content)
		}
		r.mode(d.Join("a", "old"), transport.Regular, "0600")
		r.mode(d.Join("f"), transport.Regular, "0644")
		r.only(d, "a", "f")
		r.only(d.Join("a"), "b", "g", "old")
		for _, m := range []transport.Mode{"0755", "0400", "4711"} {
			do[transport.Done](r, remoded(packed(d, "f", "again "+string(m), "a/g", string(m)), m))
			r.mode(d.Join("f"), transport.Regular, m)
			r.mode(d.Join("a", "g"), transport.Regular, m)
		}
		do[transport.Done](r, packed(d))
		r.only(d, "a", "f")
	}},
	{"many, and again", func(r *run) {
		const n = 20
		d := r.dir()
		for _, round := range []string{"first ", "second "} {
			var files []string
			for i := range n {
				files = append(files, fmt.Sprintf("f%03d", i), fmt.Sprint(round, i))
			}
			do[transport.Done](r, packed(d, files...))
			for i := 0; i < n; i += n / 5 {
				r.holds(d.Join(files[2*i]), files[2*i+1])
			}
			if got := len(do[transport.Listing](r, transport.List{Path: d}).Entries); got != n {
				r.Errorf("%d files are there, want %d", got, n)
			}
		}
	}},
	{"odd names", func(r *run) {
		d := r.dir()
		var files []string
		for _, n := range r.odd() {
			files = append(files, n, "in "+n)
		}
		do[transport.Done](r, packed(d, files...))
		for i := 0; i < len(files); i += 2 {
			r.holds(d.Join(files[i]), files[i+1])
		}
	}},
	{"owners", func(r *run) {
		r.needs(r.AsRoot, "root")
		d := r.dir()
		o := remoded(packed(d, "f", "x", "g", "y"), "4750")
		o.Owner, o.Group = "4321", "1234"
		do[transport.Done](r, o)
		do[transport.Done](r, packed(d, "f", "z")) // what is not said stays
		for _, n := range []string{"f", "g"} {
			if got := r.stat(d.Join(n)); got.UID != 4321 || got.GID != 1234 || got.Mode != "4750" {
				r.Errorf("%s: %+v", n, got)
			}
		}
		o.Owner = "no-such-user"
		r.refused(o, transport.NotFound)
		o.Owner, o.Group = "", "no-such-group"
		r.refused(o, transport.NotFound)
		r.holds(d.Join("f"), "z")
	}},
	{"what stands in the way", func(r *run) {
		d := r.dir()
		r.write(d.Join("file"), "stays", "")
		r.write(d.Join("outside"), "stays", "")
		do[transport.Done](r, transport.Mkdir{Path: d.Join("dir")})
		do[transport.Done](r, transport.Link{Path: d.Join("link"), Target: "outside"})
		for _, n := range []string{"dir", "link", "file/below"} {
			r.refused(packed(d, n, "x"), transport.Refused)
		}
		r.refused(packed(d, "nosuch/f", "x"), transport.NotFound)
		r.refused(packed(d.Join("nosuch"), "f", "x"), transport.NotFound)
		r.refused(packed("relative", "f", "x"), transport.Refused)
		r.holds(d.Join("outside"), "stays")
		r.only(d, "dir", "file", "link", "outside")
	}},
	{"what is refused before anything is written", func(r *run) {
		d := r.dir()
		good := packed(d, "a", "1", "b", "2")
		for _, bad := range []func(o *transport.Unpack){
			func(o *transport.Unpack) { o.Files = transport.String("no manifest") },
			func(o *transport.Unpack) { o.Files = transport.Manifest([]transport.SourceEntry{dirEntry("a")}) },
			func(o *transport.Unpack) { o.Files = transport.Manifest([]transport.SourceEntry{linkEntry("a", "b")}) },
			func(o *transport.Unpack) {
				o.Files = transport.Manifest([]transport.SourceEntry{fileEntry("../a", "12")})
			},
			func(o *transport.Unpack) {
				o.Files = transport.Manifest([]transport.SourceEntry{fileEntry("/a", "12")})
			},
			func(o *transport.Unpack) {
				o.Files = transport.Manifest([]transport.SourceEntry{fileEntry("a", "1"), fileEntry("a", "2")})
			},
			func(o *transport.Unpack) { o.Pack = transport.String("123") },
			func(o *transport.Unpack) {
				o.Files = transport.Manifest([]transport.SourceEntry{{Path: "a", Type: transport.Regular, Digest: transport.DigestOf(nil), Size: transport.MaxPacked + 1}})
				o.Pack = transport.Source(o.Pack.Digest, transport.MaxPacked+1, o.Pack.Open)
			},
		} {
			o := good
			bad(&o)
			r.refused(o, transport.Refused)
		}
		r.only(d)
	}},
	{"a pack that is not what it should be", func(r *run) {
		d := r.dir()
		r.write(d.Join("b"), "old", "")
		o := packed(d, "b", "new")
		o.Pack = transport.String("bad")
		r.refused(o, transport.IO)
		o = packed(d, "b", "new")
		o.Pack = transport.Source(o.Pack.Digest, 3, func() (io.ReadCloser, error) { return nil, errors.New("cannot be read") })
		r.refused(o, transport.IO)
		o.Pack = transport.Source(o.Pack.Digest, 3, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("n")), nil })
		r.refused(o, transport.IO)
		r.holds(d.Join("b"), "old")
		r.only(d, "b")
	}},
	{"an end in the middle", func(r *run) {
		d := r.dir()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		o := packed(d, "a", "1", "b", "2")
		o.Pack = transport.Source(o.Pack.Digest, 2, func() (io.ReadCloser, error) {
			cancel()
			return io.NopCloser(strings.NewReader("12")), nil
		})
		if res, err := r.host.Do(ctx, o); err == nil {
			r.Errorf("answered with %v", res)
		} else if k := transport.KindOf(err); k != transport.Interrupted {
			r.Errorf("kind %q: %v", k, err)
		}
		r.only(d)
	}},
}
