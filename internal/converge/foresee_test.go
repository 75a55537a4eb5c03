package converge

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
	"fabgo/transport/local"
)

// TestPlanForesees plays random bundles: a plan on one host and a run on another that is the same must agree on every step, and what
// the plan's host shows in the end must be what is there after the run.
func TestPlanForesees(t *testing.T) {
	worlds := map[string]func(t *testing.T) (transport.Host, string){
		"fake": func(t *testing.T) (transport.Host, string) {
			f := fake.New(fake.Options{})
			f.MakeDir("/w", "0755")
			return f, "/w"
		},
	}
	if os.Geteuid() == 0 {
		worlds["local"] = func(t *testing.T) (transport.Host, string) {
			h, err := local.New(local.Options{})
			if err != nil {
				t.Fatal(err)
			}
			d := t.TempDir() + "/w" // "../a" is within the test's folder then
			if err := os.Mkdir(d, 0o755); err != nil {
				t.Fatal(err)
			}
			return h, d
		}
	}
	for name, world := range worlds {
		t.Run(name, func(t *testing.T) {
			rounds := 1000
			if name == "local" {
				rounds = 60
			}
			for seed := range rounds {
				foresee(t, name, uint64(seed), world)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// foresee plays one random bundle.
func foresee(t *testing.T, name string, seed uint64, world func(*testing.T) (transport.Host, string)) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	random := func() files {
		f := randomFile(rnd)
		switch file := f.want[0].File; {
		case file == nil:
		case name == "local" && file.Type != transport.Regular:
			file.Owner = ""                 // a real host refuses to walk through folders and symlinks that others own
			if file.Target == "/dev/null" { // nothing may lead out of the test's own folder
				file.Target = "ROOT/nowhere"
			}
		case name == "fake" && file.Target == "a/../e":
			file.Target = "e" // the fake words a way up out of a file otherwise
		case name == "fake" && file.Mode == "2755":
			file.Mode = "0755" // and knows no folders that hand on their group
		}
		return f
	}
	var before, steps []files
	for range rnd.IntN(12) {
		before = append(before, random())
	}
	for range 1 + rnd.IntN(12) {
		steps = append(steps, random())
	}
	prepare := func() (transport.Host, string) {
		h, root := world(t)
		s, _ := newSession(t, h, journal.Running)
		for _, f := range before {
			s.Converge(step, below(root, f)) // some of them fail
		}
		return h, root
	}
	planned, proot := prepare()
	run, rroot := prepare()
	untouched := view(t, planned, proot, proot)
	ps, _ := newSession(t, planned, journal.Planning)
	rs, _ := newSession(t, run, journal.Running)
	var story []string
	for _, f := range before {
		story = append(story, "  before: "+describe(f))
	}
	for _, f := range steps {
		story = append(story, "  step: "+describe(f))
		pc, perr := ps.Converge(step, below(proot, f))
		rc, rerr := rs.Converge(step, below(rroot, f))
		if (perr == nil) != (rerr == nil) {
			t.Errorf("seed %d: the plan says %v, the run says %v\n%s", seed, perr, rerr, strings.Join(story, "\n"))
			return
		}
		if perr != nil {
			if pe, re := errorOf(perr, proot), errorOf(rerr, rroot); pe != re {
				t.Errorf("seed %d: the plan fails with %q, the run with %q\n%s", seed, pe, re, strings.Join(story, "\n"))
			}
			if rc.Changed { // it broke half way
				return
			}
			continue
		}
		if p, r := deltas(pc, proot), deltas(rc, rroot); p != r {
			t.Errorf("seed %d: the plan says %s, the run does %s\n%s", seed, p, r, strings.Join(story, "\n"))
			return
		}
	}
	if p, r := view(t, ps.host, proot, proot), view(t, run, rroot, rroot); p != r {
		t.Errorf("seed %d:\n%s\nthe plan foresees\n%s\nthe run leaves\n%s", seed, strings.Join(story, "\n"), p, r)
	}
	if now := view(t, planned, proot, proot); now != untouched {
		t.Errorf("seed %d: the plan changed the host", seed)
	}
}

func errorOf(err error, root string) string {
	var te *transport.Error
	if errors.As(err, &te) {
		if te.Kind == transport.NotFound { // of a folder that is a file, hosts say either
			return string(transport.Refused)
		}
		return string(te.Kind)
	}
	return strings.ReplaceAll(err.Error(), root, "")
}

func deltas(c Change, root string) string {
	return strings.ReplaceAll(fmt.Sprintf("%s %v %v", c.Status, c.Changed, c.Diff), root, "")
}

var universe = []string{"/a", "/a/b", "/a/b/c", "/a/d", "/e", "/e/f", "/l", "/l/b", "/l/g", "/m", "/m/h"}

// randomFile is a wanted file with a path below an unnamed root; targets that begin with ROOT mean that root.
func randomFile(rnd *rand.Rand) files {
	pick := func(ss ...string) string { return ss[rnd.IntN(len(ss))] }
	path := pick(universe...)
	o := Object{Key: FileKey(transport.Path(path))}
	switch rnd.IntN(6) {
	case 0:
		return files{want: []Object{absent(path)}, opts: FileOptions{Recursive: true}}
	case 1, 2:
		o = regular(path, pick("", "one\n", "two\nlines\n", "no end"))
		if rnd.IntN(5) == 0 {
			o.File.Content = nil
		}
	case 3, 4:
		o = dir(path)
	case 5:
		o = link(path, pick("ROOT/a", "a", "b", "../a", "m", "l", "ROOT/nowhere", "/dev/null", "a/../e", "ROOT/e/f"))
	}
	f := o.File
	if f.Type != transport.Symlink {
		f.Mode = transport.Mode(pick("", "", "0600", "0750", "2755"))
		f.Follow = rnd.IntN(3) == 0
	}
	f.Owner = transport.Text(pick("", "", "", "daemon", "1", "54321"))
	f.Group = transport.Text(pick("", "", "", "bin", "2", "54321"))
	f.Replace = rnd.IntN(4) == 0
	return files{want: []Object{o}}
}

func below(root string, f files) files {
	o := f.want[0]
	o.Key.Name = root + o.Key.Name
	if o.File != nil {
		file := *o.File
		file.Target = transport.Text(strings.ReplaceAll(string(file.Target), "ROOT", root))
		o.File = &file
	}
	return files{want: []Object{o}, opts: f.opts}
}

func describe(f files) string {
	o := f.want[0]
	if o.Absent {
		return "absent " + o.Key.Name
	}
	content := ""
	if o.File.Content != nil {
		b, _ := o.File.Content.ReadAll(100)
		content = fmt.Sprintf(" %q", b)
	}
	return fmt.Sprintf("%s %s mode=%s owner=%s group=%s target=%s follow=%v replace=%v%s", o.File.Type, o.Key.Name, o.File.Mode, o.File.Owner,
		o.File.Group, o.File.Target, o.File.Follow, o.File.Replace, content)
}

// view is all that a host tells of the files below root.
func view(t *testing.T, h transport.Host, root, hide string) string {
	t.Helper()
	var b strings.Builder
	say := func(format string, args ...any) {
		line := strings.ReplaceAll(fmt.Sprintf(format, args...), hide, "ROOT")
		b.WriteString(strings.ReplaceAll(line, " notfound", " refused") + "\n") // below a file there is nothing, whatever the word
	}
	plain := func(fi transport.FileInfo) transport.FileInfo {
		fi.ModTime = 0
		if fi.Type == transport.Symlink {
			fi.Mode, fi.Size = "", 0
		}
		return fi
	}
	for _, recursive := range []bool{true, false} {
		l, err := transport.Do[transport.Listing](t.Context(), h, transport.List{Path: transport.Path(root), Recursive: recursive, Digest: recursive})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range l.Entries {
			say("list %s %+v", e.Path, plain(e.FileInfo))
		}
	}
	some := transport.String("one\n")
	for _, p := range universe {
		path := transport.Path(root + p)
		for _, follow := range []bool{false, true} {
			fi, err := transport.Do[transport.FileInfo](t.Context(), h, transport.Stat{Path: path, Follow: follow, Digest: follow, Against: &some})
			if err != nil { // of a path that leads nowhere, hosts say either
				fi.Type = transport.Absent
			}
			say("stat %s %v: %+v", p, follow, plain(fi))
		}
		d, err := transport.Do[transport.Data](t.Context(), h, transport.Read{Path: path})
		say("read %s: %s %d %v %s", p, d.Content.Digest, d.Content.Size, d.More, transport.KindOf(err))
		d, err = transport.Do[transport.Data](t.Context(), h, transport.Read{Path: path, Offset: 2, Limit: 3})
		say("read part of %s: %s %d %v %s", p, d.Content.Digest, d.Content.Size, d.More, transport.KindOf(err))
		l, err := transport.Do[transport.Listing](t.Context(), h, transport.List{Path: path})
		say("list %s: %d %s", p, len(l.Entries), transport.KindOf(err))
	}
	return b.String()
}
