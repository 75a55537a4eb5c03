//go:build linux

package local

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fabgo/transport"
	"fabgo/transport/tables"
)

// TestStamp changes a file as fast as it goes, always to the same size and in the same place: no two states may have one stamp.
func TestStamp(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/dev/shm"} {
		f, err := os.CreateTemp(dir, "stamp")
		if err != nil {
			continue
		}
		defer os.Remove(f.Name())
		defer f.Close()
		var last tables.Stamp
		for i := range 20_000 {
			_, err := f.WriteAt(fmt.Appendf(nil, "%08d", i), 0)
			must(t, err)
			now, err := stamp(f.Name())
			must(t, err)
			if now != (tables.Stamp{}) && now == last {
				t.Fatalf("state %d of %s has the stamp of the one before", i, f.Name())
			}
			last = now
		}
		last = rest(t, f.Name())
		if again, err := stamp(f.Name()); err != nil || again != last {
			t.Errorf("a file at rest has the stamps %+v, then %+v, %v", last, again, err)
		}
		// Whoever sets the times back does not set back the time of change.
		_, err = f.WriteAt([]byte("set back"), 0)
		must(t, err)
		past := []unix.Timespec{unix.NsecToTimespec(last.Mtime), unix.NsecToTimespec(last.Mtime)}
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, f.Name(), past, 0))
		if now, err := stamp(f.Name()); err != nil || now == last {
			t.Errorf("changed and set back: %+v, %v", now, err)
		}
	}
	if _, err := stamp("/no/such/file"); err != unix.ENOENT {
		t.Error(err)
	}
}

// rest asks for the stamp of a file until it has one.
func rest(t *testing.T, name string) tables.Stamp {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		st, err := stamp(name)
		must(t, err)
		if st != (tables.Stamp{}) {
			return st
		}
	}
	t.Fatalf("%s has no stamp", name)
	return tables.Stamp{}
}

// below is the source of a machine whose files are below root, and which has no commands.
type below struct {
	source
	root string
}

func (b below) at(p transport.Path) transport.Path { return transport.Path(b.root).Join(string(p)) }

func (b below) ReadFile(ctx context.Context, p transport.Path) ([]byte, error) {
	return b.source.ReadFile(ctx, b.at(p))
}

func (b below) Stamp(ctx context.Context, p transport.Path) (tables.Stamp, error) {
	return b.source.Stamp(ctx, b.at(p))
}

func (b below) Names(ctx context.Context, p transport.Path) ([]string, error) {
	return b.source.Names(ctx, b.at(p))
}

func (b below) Exec(context.Context, transport.Exec) (transport.Output, error) {
	return transport.Output{}, &transport.Error{Kind: transport.IO, Message: "a command was run"}
}

// TestBehindItsBack changes the files of the tables without the host's knowledge, each time right after a question: every answer is of
// the files as they are.
func TestBehindItsBack(t *testing.T) {
	h, root := newHost(t), t.TempDir()
	r := tables.NewReader(below{source{h}, root})
	for _, d := range []string{"etc", "var/lib/dpkg/updates"} {
		must(t, os.MkdirAll(filepath.Join(root, d), 0o755))
	}
	ask := func(table transport.Table, key, field string) string {
		t.Helper()
		rows, err := r.Lookup(t.Context(), transport.Lookup{Table: table, Keys: transport.Texts(key)})
		must(t, err)
		if len(rows.Rows) == 0 {
			return ""
		}
		return string(rows.Rows[0].Fields[field])
	}
	ways := map[string]func(name, content string) error{
		"in place": func(name, content string) error { return os.WriteFile(name, []byte(content), 0o644) },
		"renamed": func(name, content string) error {
			if err := os.WriteFile(name+".new", []byte(content), 0o644); err != nil {
				return err
			}
			return os.Rename(name+".new", name)
		},
	}
	for way, put := range ways {
		for i := range 300 {
			id := fmt.Sprint(1000 + i)
			for _, f := range []struct{ file, content string }{
				{"etc/passwd", "u:x:" + id + ":" + id + "::/home/" + id + ":/bin/sh\n"}, {"etc/group", "g:x:" + id + ":\nm:x:5:u\n"}, {"etc/shadow", "u:!:" + id + ":::::" + id + ":\n"},
				{"var/lib/dpkg/status", "Package: p\nStatus: install ok installed\nVersion: " + id + "\nArchitecture: all\n"},
			} {
				must(t, put(filepath.Join(root, f.file), f.content))
			}
			got := []string{ask(transport.Users, "u", "uid"), ask(transport.Users, id, "home"), ask(transport.Users, "u", "expires"), ask(transport.Groups, "g", "gid"), ask(transport.Packages, "p", "version")}
			if want := []string{id, "/home/" + id, id, id, id}; !slices.Equal(got, want) {
				t.Fatalf("%s, after change %d: %q, want %q", way, i, got, want)
			}
		}
	}
	// Once the files are at rest they are kept; a change that is set back in time is seen all the same.
	files := []string{"etc/passwd", "etc/group", "etc/shadow", "var/lib/dpkg/status"}
	for _, name := range files {
		rest(t, filepath.Join(root, name))
	}
	before := []string{ask(transport.Users, "u", "uid"), ask(transport.Groups, "g", "gid"), ask(transport.Users, "u", "expires"), ask(transport.Packages, "p", "version")}
	for i, name := range files {
		name = filepath.Join(root, name)
		old, err := stamp(name)
		must(t, err)
		b, err := os.ReadFile(name)
		must(t, err)
		must(t, os.WriteFile(name, bytes.ReplaceAll(b, []byte("1299"), []byte("9999")), 0o644))
		must(t, os.Chtimes(name, time.Time{}, time.Unix(0, old.Mtime)))
		after := []string{ask(transport.Users, "u", "uid"), ask(transport.Groups, "g", "gid"), ask(transport.Users, "u", "expires"), ask(transport.Packages, "p", "version")}
		if after[i] != "9999" || before[i] != "1299" {
			t.Errorf("%s: %q became %q", name, before, after)
		}
		must(t, os.WriteFile(name, b, 0o644))
	}
	update := filepath.Join(root, "var/lib/dpkg/updates/0000")
	for i := range 100 {
		version := fmt.Sprint(i)
		must(t, os.WriteFile(filepath.Join(root, "var/lib/dpkg/updates/tmp.i"), []byte("Package: p\nStatus: install ok unpacked\nVersion: "+version+"\nArchitecture: all\n"), 0o644))
		must(t, os.Rename(filepath.Join(root, "var/lib/dpkg/updates/tmp.i"), update))
		if got := ask(transport.Packages, "p", "version"); got != version {
			t.Fatalf("dpkg is at version %s, we see %s", version, got)
		}
		must(t, os.Remove(update))
		if got := ask(transport.Packages, "p", "version"); got != "1299" {
			t.Fatalf("dpkg has merged its updates, we see %s", got)
		}
	}
}

// TestSysctlsAsSysctl compares all settings with those of sysctl(8).
func TestSysctlsAsSysctl(t *testing.T) {
	h := newHost(t)
	rows := func(src tables.Source) map[transport.Text]string {
		rows, err := tables.Lookup(t.Context(), src, transport.Lookup{Table: transport.Sysctls})
		if transport.KindOf(err) == transport.Unsupported {
			t.Skip(err)
		}
		must(t, err)
		out := map[transport.Text]string{}
		for _, r := range rows.Rows {
			out[r.Key] = string(r.Fields["value"])
		}
		return out
	}
	native, theirs := rows(source{h}), rows(struct{ tables.Source }{source{h}})
	again := rows(source{h})
	for k, v := range native {
		if w, ok := theirs[k]; !ok || w != v && v == again[k] && !moves(string(k)) {
			t.Errorf("%s is %q; sysctl says %q, %v", k, v, w, ok)
		}
	}
	for k := range theirs {
		if _, ok := native[k]; !ok {
			t.Errorf("%s is missing", k)
		}
	}
	if len(native) < 100 {
		t.Errorf("only %d settings", len(native))
	}
}

// moves reports whether a setting is a counter, which no two readings agree on.
func moves(key string) bool {
	return strings.HasPrefix(key, "fs.") || strings.HasPrefix(key, "kernel.random.") || strings.HasPrefix(key, "kernel.ns_last_pid")
}

// mute is this machine without commands.
type mute struct{ source }

func (mute) Exec(_ context.Context, op transport.Exec) (transport.Output, error) {
	return transport.Output{}, &transport.Error{Kind: transport.IO, Message: fmt.Sprintf("%q was run", op.Argv)}
}

// TestNothingIsExecuted: what files and systemd can tell takes no command, whether it is there or not.
func TestNothingIsExecuted(t *testing.T) {
	if b, err := os.ReadFile("/etc/nsswitch.conf"); err == nil {
		for _, database := range []string{"passwd", "group"} {
			for _, s := range tables.ParseNsswitch(b)[database] {
				if s != "files" && s != "systemd" {
					t.Skipf("%s asks %s too", database, s)
				}
			}
		}
	}
	h := newHost(t)
	defer h.Close()
	r := tables.NewReader(mute{source{h}})
	for _, op := range []transport.Lookup{
		{Table: transport.Users, Keys: transport.Texts("root", "no-such-user", "4242424")}, {Table: transport.Users}, {Table: transport.Groups, Keys: transport.Texts("root", "no-such-group")}, {Table: transport.Groups},
		{Table: transport.Packages, Keys: transport.Texts("dpkg", "no-such-package")}, {Table: transport.Packages}, {Table: transport.Units, Keys: transport.Texts("basic.target", "no-such.service")}, {Table: transport.Units},
		{Table: transport.Mounts, Keys: transport.Texts("/")}, {Table: transport.Mounts}, {Table: transport.Sysctls, Keys: transport.Texts("kernel.ostype")}, {Table: transport.Sysctls},
	} {
		if _, err := r.Lookup(t.Context(), op); err != nil && transport.KindOf(err) != transport.Unsupported {
			t.Errorf("%s: %v", transport.EncodeOp(op), err)
		}
	}
}
