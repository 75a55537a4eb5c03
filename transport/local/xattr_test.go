//go:build linux

package local

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fabgo/transport"
)

// tool runs a command that sets or shows attributes; ok is false where it is not there or the file system does not have them.
func tool(t *testing.T, argv ...string) (said string, ok bool) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C")
	if !strings.Contains(argv[0], "/") {
		for d := range strings.SplitSeq("/usr/sbin:/usr/bin:/sbin:/bin", ":") {
			if _, err := os.Stat(filepath.Join(d, argv[0])); err == nil {
				cmd = exec.Command(filepath.Join(d, argv[0]), argv[1:]...)
			}
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("%q: %v: %s", argv, err, out)
	}
	return string(out), err == nil
}

// TestExtendedAttributes: what a replaced file carried, the new one and the backup carry (F47), as the system's own tools see it. Where
// SELinux is off, its label is an attribute like others; what a policy makes of it is not tested here.
func TestExtendedAttributes(t *testing.T) {
	needRoot(t)
	for _, follow := range []bool{false, true} {
		h, dir := newHost(t), t.TempDir()
		p := transport.Path(dir).Join("f")
		must(t, os.WriteFile(string(p), []byte("old"), 0o640))
		must(t, os.Symlink("f", string(p)+".link"))
		seen := map[string][]string{}
		for _, tt := range []struct{ set, show []string }{
			{[]string{"setfacl", "-m", "u:65534:rw,g:4321:r,m::rw", string(p)}, []string{"getfacl", "-pn", string(p)}},
			{[]string{"setfattr", "-n", "user.fabgo", "-v", "kept", string(p)}, []string{"getfattr", "-d", "-m", "user", "--absolute-names", string(p)}},
			{[]string{"setfattr", "-n", "trusted.fabgo", "-v", "0x00ff", string(p)}, []string{"getfattr", "-d", "-m", "trusted", "--absolute-names", string(p)}},
			{[]string{"setcap", "cap_net_bind_service,cap_chown+ep", string(p)}, []string{"getcap", string(p)}},
			{[]string{"setfattr", "-n", "security.selinux", "-v", "system_u:object_r:etc_t:s0", string(p)}, []string{"getfattr", "-n", "security.selinux", "--absolute-names", string(p)}},
		} {
			if _, ok := tool(t, tt.set...); !ok {
				continue
			}
			before, _ := tool(t, tt.show...)
			seen[before] = tt.show
		}
		if len(seen) == 0 {
			t.Skip("there are no tools, or this file system has no extended attributes")
		}
		op := transport.Write{Path: p, Content: transport.String("new"), Backup: p + "~"}
		if follow {
			op = transport.Write{Path: p + ".link", Content: transport.String("new"), Follow: true}
		}
		var before, after unix.Stat_t
		must(t, unix.Stat(string(p), &before))
		_, err := h.Do(t.Context(), op)
		must(t, err)
		must(t, unix.Stat(string(p), &after))
		if before.Ino == after.Ino || before.Mode != after.Mode {
			t.Errorf("inode %d and mode %o became %d and %o", before.Ino, before.Mode, after.Ino, after.Mode)
		}
		for before, show := range seen {
			if now, _ := tool(t, show...); now != before {
				t.Errorf("%q says\n%s\nand said\n%s", show, now, before)
			}
			if op.Backup != "" {
				kept, _ := tool(t, append(show[:len(show)-1:len(show)-1], string(p)+"~")...)
				if strings.ReplaceAll(kept, string(p)+"~", string(p)) != before {
					t.Errorf("of the backup, %q says\n%s\nand said\n%s", show, kept, before)
				}
			}
		}
	}
}

// TestACLWithMode: from the first moment the new file has the ACL that chmod makes of it.
func TestACLWithMode(t *testing.T) {
	needRoot(t)
	for _, entries := range []string{"u:65534:rwx,g:4321:r", "u::rw,g::r,o::r", "u:65534:---,m::rwx,o::rwx"} {
		for _, mode := range []uint32{0, 0o600, 0o640, 0o777, 0o2751} {
			name := filepath.Join(t.TempDir(), "f")
			must(t, os.WriteFile(name, nil, 0o666))
			if _, ok := tool(t, "setfacl", "-m", entries, name); !ok {
				t.Skip("no ACLs here")
			}
			get := func() []byte { return xattrs(func(b []byte) (int, error) { return unix.Lgetxattr(name, aclAttr, b) }) }
			got := aclWithMode(get(), mode)
			must(t, unix.Chmod(name, mode))
			if want := get(); string(got) != string(want) {
				t.Errorf("%s, mode %o: %x, and chmod makes %x", entries, mode, got, want)
			}
		}
	}
	for _, damaged := range []string{"", "\x02", "\x02\x00\x00\x00\x01"} {
		if got := aclWithMode([]byte(damaged), 0o600); string(got) != damaged {
			t.Errorf("%q became %q", damaged, got)
		}
	}
}

// TestACLAndMode: a mode that is asked for is what others may do at most, ACL or not; and a file without an ACL gets none from its folder
// by being replaced.
func TestACLAndMode(t *testing.T) {
	needRoot(t)
	h, dir := newHost(t), t.TempDir()
	p := transport.Path(dir).Join("f")
	must(t, os.WriteFile(string(p), []byte("old"), 0o640))
	if _, ok := tool(t, "setfacl", "-d", "-m", "u:65534:rwx", dir); !ok {
		t.Skip("no ACLs here")
	}
	_, err := h.Do(t.Context(), transport.Write{Path: p, Content: transport.String("new")})
	must(t, err)
	if said, _ := tool(t, "getfacl", "-cpn", string(p)); strings.Contains(said, "65534") {
		t.Errorf("the folder's ACL came to a file that had none:\n%s", said)
	}
	if _, ok := tool(t, "setfacl", "-m", "u:65534:rw", string(p)); !ok {
		t.Fatal("no ACL on the file")
	}
	_, err = h.Do(t.Context(), transport.Write{Path: p, Content: transport.String("newer"), Mode: "0600"})
	must(t, err)
	said, _ := tool(t, "getfacl", "-cpn", string(p))
	if !strings.Contains(said, "user:65534:rw-") || !strings.Contains(said, "mask::---") {
		t.Errorf("mode 0600 was asked for:\n%s", said)
	}
}
