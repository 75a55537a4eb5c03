package builtins

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
)

// kernelMounts are the mounts of a fake: mount and umount change them, and its mountinfo shows them.
type kernelMounts struct {
	f    *fake.Fake
	rows []string // folder, source, type, options
}

func mountable(f *fake.Fake) *kernelMounts {
	k := &kernelMounts{f: f}
	k.show()
	f.OnExec("mount", func(_ context.Context, _ *fake.Fake, op transport.Exec) (transport.Output, error) {
		argv := op.Argv
		if options, ok := strings.CutPrefix(string(argv[2]), "remount,"); ok {
			i := slices.IndexFunc(k.rows, func(r string) bool { return strings.HasPrefix(r, string(argv[4])+" ") })
			w := strings.Fields(k.rows[i])
			k.rows[i] = strings.Join([]string{w[0], w[1], w[2], options}, " ")
			k.show()
			return transport.Output{}, nil
		}
		if argv[5] == "/dev/broken" {
			return transport.Output{Code: 32, Stderr: "mount: /mnt: wrong fs type, bad superblock on /dev/broken\n"}, nil
		}
		fstype, source := string(argv[2]), string(argv[5])
		if fstype == "nfs" {
			fstype = "nfs4"
		}
		if strings.HasPrefix(source, "UUID=") {
			source = "/dev/sdb1"
		}
		k.rows = append(k.rows, strings.Join([]string{string(argv[6]), source, fstype, string(argv[4])}, " "))
		k.show()
		return transport.Output{}, nil
	})
	f.OnExec("umount", func(_ context.Context, _ *fake.Fake, op transport.Exec) (transport.Output, error) {
		if op.Argv[1] == "/busy" {
			return transport.Output{Code: 32, Stderr: "umount: /busy: target is busy.\n"}, nil
		}
		for i, r := range slices.Backward(k.rows) {
			if strings.HasPrefix(r, string(op.Argv[1])+" ") {
				k.rows = slices.Delete(k.rows, i, i+1)
				break
			}
		}
		k.show()
		return transport.Output{}, nil
	})
	return k
}

func (k *kernelMounts) show() {
	text := "1 0 8:1 / / rw,relatime - ext4 /dev/vda1 rw\n"
	for _, r := range k.rows {
		w := strings.Fields(r)
		var vfs []string
		for _, o := range strings.Split(w[3], ",") {
			if strings.HasPrefix(o, "no") || o == "ro" {
				vfs = append(vfs, o)
			}
		}
		if !slices.Contains(vfs, "ro") {
			vfs = append(vfs, "rw")
		}
		text += fmt.Sprintf("2 1 0:2 / %s %s,relatime - %s %s rw\n", w[0], strings.Join(vfs, ","), w[2], w[1])
	}
	k.f.WriteFile("/proc/self/mountinfo", text, "0444")
}

func (k *kernelMounts) want(t *testing.T, rows ...string) {
	t.Helper()
	if !slices.Equal(k.rows, rows) {
		t.Errorf("mounted is %q, want %q", k.rows, rows)
	}
}

func TestMountLaws(t *testing.T) {
	s, f := newFake(t)
	k := mountable(f)
	f.MakeDir("/dev/disk/by-uuid", "0755")
	if _, err := f.Do(t.Context(), transport.Link{Path: "/dev/disk/by-uuid/1234-ABCD", Target: "../../sdb1"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, source, fstab, live string }{
		{"tmpfs", `mount.present("/mnt/a b/c", src = "tmpfs", fstype = "tmpfs", mounted = False)`, "tmpfs\t/mnt/a\\040b/c\ttmpfs\tdefaults\t0\t0\n", ""},
		{"not there", `mount.absent("/mnt/a b/c")`, "", ""},
		{"mounted", `mount.present("/mnt/t", src = "tmpfs", fstype = "tmpfs", options = "size=1M,noexec")`, "tmpfs\t/mnt/t\ttmpfs\tsize=1M,noexec\t0\t0\n", "/mnt/t tmpfs tmpfs size=1M,noexec"},
		{"other flags", `mount.present("/mnt/t", src = "tmpfs", fstype = "tmpfs", options = ["size=1M", "nosuid"])`, "tmpfs\t/mnt/t\ttmpfs\tsize=1M,nosuid\t0\t0\n", "/mnt/t tmpfs tmpfs exec,size=1M,nosuid"},
		{"options that the kernel does not show", `mount.present("/mnt/t", src = "tmpfs", fstype = "tmpfs", options = ["size=2M", "nosuid"])`, "tmpfs\t/mnt/t\ttmpfs\tsize=2M,nosuid\t0\t0\n", "/mnt/t tmpfs tmpfs size=2M,nosuid"},
		{"something else", `mount.present("/mnt/t", src = "UUID=1234-ABCD", fstype = "ext4", passno = 2, dump = 1)`, "UUID=1234-ABCD\t/mnt/t\text4\tdefaults\t1\t2\n", "/mnt/t /dev/sdb1 ext4 defaults"},
		{"unmounted for now", `mount.absent("/mnt/t", keep_fstab = True)`, "UUID=1234-ABCD\t/mnt/t\text4\tdefaults\t1\t2\n", ""},
		{"now alone", `mount.present("/mnt/t", src = "server:/x/", fstype = "nfs", options = "ro", persist = False)`, "UUID=1234-ABCD\t/mnt/t\text4\tdefaults\t1\t2\n", "/mnt/t server:/x/ nfs4 ro"},
		{"gone", `mount.absent("/mnt/t")`, "", ""},
		{"bind", `mount.present("/srv/in/here", src = "/srv/there", fstype = "none", options = "bind,ro")`, "/srv/there\t/srv/in/here\tnone\tbind,ro\t0\t0\n", "/srv/in/here /srv/there none bind,ro"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.on(t).law(c.source, f.Snapshot)
			holds(t, f, fstabFile, c.fstab)
			if c.live == "" {
				k.want(t)
			} else {
				k.want(t, c.live)
			}
		})
	}
	k.rows = []string{"/mnt/x tmpfs tmpfs rw", "/mnt/x tmpfs tmpfs rw"}
	k.show()
	s.law(`mount.absent("/mnt/x")`, nil)
	k.want(t)

	f.WriteFile(fstabFile, "# kept\nUUID=1 / ext4 errors=remount-ro 0 1\nLABEL=x   /mnt/k  ext4\n/dev/y /mnt/k ext4 ro 0 0", "0644")
	s.law(`mount.present("/mnt/k", src = "LABEL=x", fstype = "ext4", mounted = False)`, f.Snapshot)
	holds(t, f, fstabFile, "# kept\nUUID=1 / ext4 errors=remount-ro 0 1\nLABEL=x   /mnt/k  ext4\n")
}

// TestMountRemountsLater: a remount that fails is done by the next run, although the kernel does not show the option.
func TestMountRemountsLater(t *testing.T) {
	s, f := newFake(t)
	k := mountable(f)
	s.run(`mount.present("/mnt/t", src = "tmpfs", fstype = "tmpfs", options = "size=1M")`).ok()
	f.FailNext(transport.IO, func(op transport.Op) bool {
		e, ok := op.(transport.Exec)
		return ok && e.Argv[0] == "mount"
	})
	source := `mount.present("/mnt/t", src = "tmpfs", fstype = "tmpfs", options = "size=2M")`
	if p := s.run(source); p.verdict == journal.Finished {
		t.Fatal("it should have failed")
	}
	s.law(source, f.Snapshot)
	k.want(t, "/mnt/t tmpfs tmpfs size=2M")
}

// TestMountPlan: what lies on a file system that only the run mounts is not known, neither what is there nor what is not.
func TestMountPlan(t *testing.T) {
	s, f := newFake(t)
	k := mountable(f)
	f.WriteFile("/srv/old", "under it", "0644")
	mounts := "mount.present(\"/srv\", src = \"/dev/sdb1\", fstype = \"ext4\")\n"
	p := s.plan(mounts + mounts + "file.put(\"/srv/app/x\", content = \"x\")\nfile.put(\"/srv/old\", content = \"under it\")\nfile.put(\"/srvx\", content = \"\")").ok()
	want := "mount.present mount:/srv changed\nmount.present mount:/srv ok\nfile.put file:/srv/app/x unknown\nfile.put file:/srv/old unknown\nfile.put file:/srvx changed"
	if p.status() != want {
		t.Errorf("got\n%s\nwant\n%s", p.status(), want)
	}
	k.rows = []string{"/srv /dev/sdb1 ext4 rw"}
	k.show()
	p = s.plan("mount.absent(\"/srv\")\nfile.put(\"/srv/old\", content = \"under it\")\nmount.absent(\"/srv\")").ok()
	if want := "mount.absent mount:/srv changed\nfile.put file:/srv/old unknown\nmount.absent mount:/srv ok"; p.status() != want {
		t.Errorf("got\n%s\nwant\n%s", p.status(), want)
	}
	p = s.plan("mount.present(\"/srv\", src = \"/dev/sdb1\", fstype = \"ext4\", options = \"ro\")\nfile.put(\"/srv/old\", content = \"under it\")").ok()
	if want := "mount.present mount:/srv changed\nfile.put file:/srv/old ok"; p.status() != want {
		t.Errorf("got\n%s\nwant\n%s", p.status(), want)
	}
}

func TestMountFailures(t *testing.T) {
	s, f := newFake(t)
	k := mountable(f)
	s.run(`mount.present("/mnt/t", src = "/dev/broken", fstype = "ext4")`).fails(journal.Broken, "bad superblock")
	holds(t, f, fstabFile, "")
	s.run(`mount.present("/var/run", src = "tmpfs", fstype = "tmpfs")`).fails(journal.Broken, "it is a symlink to /run")
	k.rows = []string{"/busy tmpfs tmpfs rw"}
	k.show()
	s.run(`mount.absent("/busy")`).fails(journal.Broken, "target is busy")
	s.run(`mount.present("/busy", src = "/dev/sdb1", fstype = "ext4")`).fails(journal.Broken, "target is busy")
	holds(t, f, fstabFile, "")
	for _, c := range []struct{ source, want string }{
		{`mount.present("mnt", src = "tmpfs", fstype = "tmpfs")`, "is not absolute"},
		{`mount.present("/a\nb", src = "tmpfs", fstype = "tmpfs")`, "line break"},
		{`mount.present("/mnt", src = "", fstype = "tmpfs")`, "nothing that can be mounted"},
		{`mount.present("/mnt", src = "-a", fstype = "tmpfs")`, "nothing that can be mounted"},
		{`mount.present("/mnt", src = "x", fstype = "")`, "is no type of a file system"},
		{`mount.present("/mnt", src = "x", fstype = "ext4 x")`, "is no type of a file system"},
		{`mount.present("/mnt", src = "x", fstype = "swap")`, "swap.file makes it"},
		{`mount.present("/mnt", src = "x", fstype = "ext4", options = "a b")`, "is no option of mount"},
		{`mount.present("/mnt", src = "x", fstype = "ext4", options = ["ro", ""])`, "is no option of mount"},
		{`mount.present("/mnt", src = "x", fstype = "ext4", dump = 2)`, "want 0 or 1"},
		{`mount.present("/mnt", src = "x", fstype = "ext4", passno = -1)`, "passno"},
		{`mount.present("/mnt", src = "x", fstype = "ext4", mounted = False, persist = False)`, "nothing to do"},
		{`mount.absent("/")`, "the root is not unmounted"},
		{`mount.absent("/a\nb")`, "line break"},
	} {
		s.run(c.source).fails(journal.Invalid, c.want)
	}
}

func TestMountFlags(t *testing.T) {
	for options, want := range map[string]string{
		"": "", "defaults": "", "ro": "ro", "ro,rw": "", "user": "nodev,noexec,nosuid", "user,exec": "nodev,nosuid", "noatime,relatime": "", "ro,defaults": "",
		"nosuid,size=1M,nofail,nodev": "nodev,nosuid", "owner,sync,async": "nodev,nosuid",
	} {
		if got := mountFlags(strings.Split(options, ",")); string(got) != want {
			t.Errorf("%s: got %q, want %q", options, got, want)
		}
	}
	for flag, want := range map[string]string{"ro": "rw", "noexec": "exec", "noatime": "relatime", "sync": "async", "dirsync": ""} {
		if got := mountOpposite(flag); got != want {
			t.Errorf("%s: got %q, want %q", flag, got, want)
		}
	}
	for label, want := range map[string]string{"data": "data", "a b": `a\x20b`, "x/y": `x\x2fy`} {
		if got := udevName(label); got != want {
			t.Errorf("%s: got %q, want %q", label, got, want)
		}
	}
}
