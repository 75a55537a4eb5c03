//go:build linux

package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fabgo/transport"
)

const stranger = 65534

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to another user")
	}
}

func newHost(t *testing.T) *Host {
	t.Helper()
	h, err := New(Options{Grace: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestTrust says which symlinks on the way are followed.
func TestTrust(t *testing.T) {
	needRoot(t)
	h, root := newHost(t), t.TempDir()
	must(t, os.Mkdir(filepath.Join(root, "target"), 0o755))
	for _, tt := range []struct {
		name      string
		dirOwner  int
		dirMode   uint32
		linkOwner int
		follow    bool
	}{
		{"ours", 0, 0o755, 0, true},
		{"ours, sticky folder for all", 0, 0o1777, 0, true},
		{"a stranger's, sticky folder for all", 0, 0o1777, stranger, false},
		{"a stranger's, folder is ours", 0, 0o755, stranger, false},
		{"ours, the folder is a stranger's", stranger, 0o755, 0, false},
		{"ours, all may write in the folder", 0, 0o777, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			must(t, os.Mkdir(dir, 0o755))
			must(t, os.Symlink(filepath.Join(root, "target"), filepath.Join(dir, "l")))
			must(t, os.Lchown(filepath.Join(dir, "l"), tt.linkOwner, 0))
			must(t, os.Symlink(filepath.Join(root, "target", "file"), filepath.Join(dir, "last")))
			must(t, os.Lchown(filepath.Join(dir, "last"), tt.linkOwner, 0))
			must(t, os.Chown(dir, tt.dirOwner, 0))
			must(t, unix.Chmod(dir, tt.dirMode))
			p := transport.Path(dir)
			x := transport.String("x")
			below := transport.Manifest([]transport.SourceEntry{{Path: "l/f", Type: transport.Regular, Size: 1, Digest: x.Digest}})
			for _, op := range []transport.Op{
				transport.Unpack{Path: p, Files: below, Pack: x},
				transport.Write{Path: p.Join("l", "f"), Content: transport.String("x")}, transport.Write{Path: p.Join("last"), Content: transport.String("x"), Follow: true},
				transport.SetAttr{Path: p.Join("l", "f"), Mode: "0600"}, transport.Link{Path: p.Join("l", "s"), Target: "t"},
				transport.Mkdir{Path: p.Join("l", "m")}, transport.Remove{Path: p.Join("l", "m")}, transport.Remove{Path: p.Join("l", "s")},
			} {
				_, err := h.Do(t.Context(), op)
				if tt.follow && err != nil || !tt.follow && transport.KindOf(err) != transport.Refused {
					t.Errorf("%s: %v", transport.EncodeOp(op), err)
				}
			}
		})
	}
}

// TestStrangersFolders are entered: it is symlinks that lead astray.
func TestStrangersFolders(t *testing.T) {
	needRoot(t)
	h, root := newHost(t), transport.Path(t.TempDir())
	must(t, os.MkdirAll(string(root.Join("home", ".ssh")), 0o700))
	must(t, os.Chown(string(root.Join("home")), stranger, stranger))
	must(t, os.Chown(string(root.Join("home", ".ssh")), stranger, stranger))
	_, err := h.Do(t.Context(), transport.Write{Path: root.Join("home", ".ssh", "authorized_keys"), Content: transport.String("key")})
	must(t, err)
}

// TestDescend compares the walk by components with the kernel's, which is used where it is there.
func TestDescend(t *testing.T) {
	h, root := newHost(t), t.TempDir()
	root, err := filepath.EvalSymlinks(root)
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(root, "a", "b", "c"), 0o755))
	must(t, os.Symlink("a/b", filepath.Join(root, "rel")))
	must(t, os.Symlink("../../a/./b//c/..", filepath.Join(root, "a", "b", "dots")))
	must(t, os.Symlink(filepath.Join(root, "a"), filepath.Join(root, "abs")))
	must(t, os.Symlink("/../../../../../..", filepath.Join(root, "top")))
	must(t, os.Symlink("loop", filepath.Join(root, "loop")))
	for _, dir := range []string{"", "a", "a/b/c", "rel", "rel/c", "a/b/dots", "a/b/dots/c", "abs/b", "top", "top/proc", "rel/dots/dots/c"} {
		f, err := h.descend("walk to", "/x", filepath.Join(root, dir), 0)
		if err != nil {
			t.Errorf("%s: %v", dir, err)
			continue
		}
		var got, want unix.Stat_t
		must(t, fstatNode(f.fd, &got))
		must(t, unix.Stat(root+"/"+dir, &want))
		clean, err := filepath.EvalSymlinks(root + "/" + dir)
		if err != nil || got.Ino != want.Ino || got.Dev != want.Dev || f.path != clean {
			t.Errorf("%s: %q, inode %d; want %q, %d; %v", dir, f.path, got.Ino, clean, want.Ino, err)
		}
		f.close()
	}
	for dir, kind := range map[string]transport.Kind{"loop": transport.Refused, "loop/x": transport.Refused, "nosuch/x": transport.NotFound} {
		if _, err := h.descend("walk to", "/x", filepath.Join(root, dir), 0); transport.KindOf(err) != kind {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// TestBindMount: a folder of the same file system, mounted inside a tree, keeps the tree from being removed.
func TestBindMount(t *testing.T) {
	needRoot(t)
	h, dir := newHost(t), t.TempDir()
	source, tree := filepath.Join(dir, "source"), filepath.Join(dir, "tree")
	must(t, os.MkdirAll(filepath.Join(tree, "x", "mnt"), 0o755))
	must(t, os.MkdirAll(source, 0o755))
	must(t, os.WriteFile(filepath.Join(source, "f"), nil, 0o644))
	must(t, os.WriteFile(filepath.Join(tree, "a"), nil, 0o644))
	if err := unix.Mount(source, filepath.Join(tree, "x", "mnt"), "", unix.MS_BIND, ""); err != nil {
		t.Skipf("cannot mount here: %v", err)
	}
	defer unix.Unmount(filepath.Join(tree, "x", "mnt"), unix.MNT_DETACH) //nolint:errcheck // the folder is gone with the test
	for _, p := range []string{tree, filepath.Join(tree, "x"), filepath.Join(tree, "x", "mnt")} {
		if _, err := h.Do(t.Context(), transport.Remove{Path: transport.Path(p), Recursive: true}); transport.KindOf(err) != transport.Refused {
			t.Errorf("%s: %v", p, err)
		}
	}
	for _, p := range []string{filepath.Join(source, "f"), filepath.Join(tree, "a")} {
		if _, err := os.Stat(p); err != nil {
			t.Error(err)
		}
	}
}

// TestPlantedLink: where users may link to any file, root does not hand over what such a link leads to.
func TestPlantedLink(t *testing.T) {
	needRoot(t)
	h, dir := newHost(t), transport.Path(t.TempDir())
	h.anyoneLinks = true
	home := dir.Join("home")
	must(t, os.Mkdir(string(home), 0o755))
	for _, name := range []string{"shadow", "theirs", "ours"} {
		must(t, os.WriteFile(string(dir.Join(name)), nil, 0o600))
		must(t, os.Link(string(dir.Join(name)), string(home.Join(name))))
	}
	must(t, os.Chown(string(dir.Join("theirs")), stranger, stranger))
	must(t, os.Chown(string(home), stranger, stranger))
	for op, kind := range map[transport.SetAttr]transport.Kind{
		{Path: home.Join("shadow"), Owner: "65534"}: transport.Refused, {Path: home, Recursive: true, FileMode: "0666"}: transport.Refused,
		{Path: home.Join("theirs"), Mode: "0644"}: "", {Path: dir.Join("ours"), Mode: "0644"}: "",
	} {
		if _, err := h.Do(t.Context(), op); transport.KindOf(err) != kind {
			t.Errorf("%+v: %v", op, err)
		}
	}
	var st unix.Stat_t
	must(t, unix.Stat(string(dir.Join("shadow")), &st))
	if st.Uid != 0 || st.Mode&0o7777 != 0o600 {
		t.Errorf("the file belongs to %d and has mode %o", st.Uid, st.Mode)
	}
	h.anyoneLinks = false
	if _, err := h.Do(t.Context(), transport.SetAttr{Path: home.Join("shadow"), Owner: "65534"}); hardLinksProtected() && err != nil {
		t.Error(err)
	}
}

// TestMessages: errors name what was tried, on which file, and hold no bytes that would garble a terminal.
func TestMessages(t *testing.T) {
	h, dir := newHost(t), transport.Path(t.TempDir())
	for _, op := range []transport.Op{
		transport.Read{Path: dir.Join("no\x1b[31m\nsuch")}, transport.Write{Path: dir.Join("no\x1b\nsuch", "f"), Content: transport.String("")},
		transport.Remove{Path: dir.Join("\xffno\u202esuch")}, transport.SetAttr{Path: dir.Join("\u009bnosuch"), Mode: "0644"},
	} {
		_, err := h.Do(t.Context(), op)
		if transport.KindOf(err) != transport.NotFound || !strings.Contains(err.Error(), "such") {
			t.Errorf("%v", err)
		}
		for _, r := range err.Error() {
			if r < ' ' || r == 0x7f || r >= 0x80 {
				t.Errorf("%q holds %q", err.Error(), r)
			}
		}
	}
}
