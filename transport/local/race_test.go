//go:build linux

package local

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"fabgo/transport"
)

// attackEnv makes the test binary the attacker: it names the folder to attack in.
const attackEnv = "FABGO_TEST_ATTACK"

func TestMain(m *testing.M) {
	if dir, ok := strings.CutPrefix(os.Getenv(attackEnv), "swap:"); ok {
		swap(dir)
		return
	} else if dir != "" {
		attack(dir)
		return
	}
	os.Exit(m.Run())
}

// attack exchanges the folder d and the symlink l in dir as fast as it goes, mends what root removed, and says when it is at work and,
// once its input ends, how often it exchanged them.
func attack(dir string) {
	d, l := filepath.Join(dir, "d"), filepath.Join(dir, "l")
	victim, err := os.Readlink(l)
	if err != nil {
		panic(err)
	}
	end := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(end)
	}()
	flips := 0
	for {
		select {
		case <-end:
			fmt.Println(flips)
			return
		default:
		}
		if err := unix.Renameat2(unix.AT_FDCWD, d, unix.AT_FDCWD, l, unix.RENAME_EXCHANGE); err == nil {
			if flips++; flips == 1 {
				fmt.Println("at work")
			}
			continue
		}
		_ = unix.Mkdir(d, 0o755)
		if unix.Symlink(victim, l) == nil {
			continue
		}
		// The folder or the symlink is gone, and nobody knows under which name: begin again.
		for _, p := range []string{d, l} {
			_ = unix.Unlink(p)
			if unix.Rmdir(p) == nil || unix.Access(p, unix.F_OK) != nil {
				continue
			}
			_ = os.RemoveAll(p)
		}
		_ = unix.Mkdir(d, 0o777)
		_ = unix.Symlink(victim, l)
	}
}

// TestSymlinkRace lets the process of another account exchange a folder and a symlink while root works on and below them, both ways to
// walk: nothing may happen at the symlink's end (F45).
func TestSymlinkRace(t *testing.T) {
	needRoot(t)
	rounds := 100_000
	if testing.Short() {
		rounds = 10_000
	}
	for name, byComponent := range map[string]bool{"openat2": false, "by component": true} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.byComponent = byComponent
			race(t, h, rounds/2)
		})
	}
}

func race(t *testing.T, h *Host, rounds int) {
	root := t.TempDir()
	must(t, os.Chmod(filepath.Dir(root), 0o755))
	must(t, os.Chmod(root, 0o755))
	if err := unix.Mount("none", root, "tmpfs", 0, "size=16m,mode=0755"); err == nil { // so that the disk does not slow the race down
		t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	}
	victim, theirs := filepath.Join(root, "victim"), filepath.Join(root, "theirs")
	must(t, os.MkdirAll(filepath.Join(victim, "sub"), 0o755))
	for _, name := range []string{"f", "w", "sub/g"} {
		must(t, os.WriteFile(filepath.Join(victim, name), []byte("precious"), 0o644))
	}
	must(t, os.MkdirAll(filepath.Join(theirs, "d"), 0o755))
	must(t, os.Symlink(victim, filepath.Join(theirs, "l")))
	for _, p := range []string{theirs, filepath.Join(theirs, "d"), filepath.Join(theirs, "l")} {
		must(t, os.Lchown(p, stranger, stranger))
	}
	before := state(t, victim)

	stop := attacker(t, root, theirs)
	tree := transport.Path(theirs)
	d := tree.Join("d")
	ops := []transport.Op{
		transport.Mkdir{Path: d.Join("sub")},
		transport.Write{Path: d.Join("f"), Content: transport.String("overwritten"), Mode: "0666", Owner: "4321"},
		transport.SetAttr{Path: d.Join("f"), Mode: "0777", Owner: "4321"},
		transport.Unpack{
			Path: tree, Pack: transport.String("overwritten"), Owner: "4321", Files: transport.Manifest([]transport.SourceEntry{
				{Path: "d/f", Type: transport.Regular, Mode: "0666", Size: 11, Digest: transport.String("overwritten").Digest},
			}),
		},
		transport.Write{Path: d.Join("w"), Content: transport.String("through a link"), Follow: true, Backup: d.Join("w~")},
		transport.SetAttr{Path: d.Join("w"), Group: "4321"},
		transport.Link{Path: d.Join("s"), Target: "x"},
		transport.SetAttr{Path: tree, Mode: "0777", FileMode: "0777", Owner: "65534", Recursive: true},
		transport.SetAttr{Path: d, Mode: "0777", Owner: "65534"},
		transport.Mkdir{Path: d.Join("new", "below"), Parents: true, Mode: "0777"},
		transport.Link{Path: d.Join("hard"), Target: transport.Text(d.Join("w")), Hard: true},
		transport.Remove{Path: d.Join("f")},
		transport.Remove{Path: d.Join("s")},
		transport.Remove{Path: d.Join("hard")},
		transport.Remove{Path: d.Join("sub"), Recursive: true},
		transport.Remove{Path: d.Join("new"), Recursive: true},
		transport.Remove{Path: d, Recursive: true}, // the attacker needs a while to mend that, so it comes seldom
	}
	const seldom = 40
	done := make([]int, len(ops))
	refused := 0
	for i := range rounds {
		k := i % len(ops)
		if k == len(ops)-1 && i/len(ops)%seldom != 0 {
			k = i / len(ops) % (len(ops) - 1)
		}
		switch _, err := h.Do(t.Context(), ops[k]); transport.KindOf(err) {
		case "":
			done[k]++
		case transport.Refused:
			refused++
		}
	}
	t.Logf("%d rounds, %s exchanges; succeeded %v, refused %d", rounds, stop(), done, refused)
	for i, n := range done {
		if n == 0 {
			t.Errorf("never succeeded, so it was not raced: %s", transport.EncodeOp(ops[i]))
		}
	}
	if refused == 0 {
		t.Error("nothing was ever refused: the race was not run")
	}
	if after := state(t, victim); after != before {
		t.Errorf("the stranger reached the victim:\n%s\nwas\n%s", after, before)
	}
}

// attacker starts this binary as the process of another account; what says which attack. stop ends it and answers its last word.
func attacker(t *testing.T, folder, what string) (stop func() string) {
	t.Helper()
	binary := filepath.Join(folder, "attacker")
	b, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	must(t, os.WriteFile(binary, b, 0o755))
	cmd := exec.Command(binary)
	cmd.Env = []string{attackEnv + "=" + what}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	said := bufio.NewScanner(stdout)
	if !said.Scan() || said.Text() != "at work" {
		t.Fatalf("the attacker said %q", said.Text())
	}
	return func() string {
		must(t, stdin.Close())
		said.Scan()
		must(t, cmd.Wait())
		return said.Text()
	}
}

// swap exchanges whatever appears in dir with the thing of root's that stands there: a new folder with the folder secret, a new symlink
// under a temporary name with the file key.
func swap(dir string) {
	end := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(end)
	}()
	fmt.Println("at work")
	swaps := 0
	d, err := os.Open(dir)
	if err != nil {
		panic(err)
	}
	for {
		select {
		case <-end:
			fmt.Println(swaps)
			return
		default:
		}
		if unix.Renameat2(int(d.Fd()), "new", int(d.Fd()), "secret", unix.RENAME_EXCHANGE) == nil {
			swaps++
			continue
		}
		_, _ = d.Seek(0, io.SeekStart)
		names, _ := d.Readdirnames(-1)
		for _, name := range names {
			if strings.HasPrefix(name, ".link.fabgo-") && unix.Renameat2(int(d.Fd()), name, int(d.Fd()), "key", unix.RENAME_EXCHANGE) == nil {
				swaps++
			}
		}
	}
}

// TestSwapRace: what root makes for a stranger in the stranger's folder, the stranger exchanges for something of root's before it is
// handed over. That must stay root's.
func TestSwapRace(t *testing.T) {
	needRoot(t)
	h, root := newHost(t), t.TempDir()
	must(t, os.Chmod(filepath.Dir(root), 0o755))
	must(t, os.Chmod(root, 0o755))
	home := filepath.Join(root, "home")
	secret, key := filepath.Join(home, "secret"), filepath.Join(home, "key")
	must(t, os.MkdirAll(secret, 0o700))
	must(t, os.WriteFile(filepath.Join(secret, "f"), []byte("root's"), 0o600))
	must(t, os.Chown(home, stranger, stranger))
	must(t, os.Chmod(home, 0o755))
	folder, err := os.Open(secret)
	must(t, err)
	defer folder.Close()
	file, err := os.Create(key)
	must(t, err)
	defer func() { file.Close() }()
	state := func(f *os.File) (st unix.Stat_t) {
		t.Helper()
		must(t, unix.Fstat(int(f.Fd()), &st))
		if st.Uid != 0 {
			t.Fatalf("%s, which is root's, was given away", f.Name())
		}
		return st
	}
	stop := attacker(t, root, "swap:"+home)
	given := 0
	for range 1_000 {
		for _, op := range []transport.Op{
			transport.Mkdir{Path: transport.Path(home).Join("new"), Owner: "65534", Mode: "0755"},
			transport.Link{Path: transport.Path(home).Join("link"), Target: "x", Owner: "65534"},
		} {
			if _, err := h.Do(t.Context(), op); err == nil {
				given++
			}
		}
		// The stage is set anew: what is left of root's goes back to its name, all else goes away. A file of root's that the stranger put
		// under a name of ours may be gone, as the stranger could have removed it anyway.
		ours := map[uint64]string{state(folder).Ino: secret, state(file).Ino: key}
		for range 3 {
			entries, err := os.ReadDir(home)
			must(t, err)
			for _, e := range entries {
				p := filepath.Join(home, e.Name())
				var st unix.Stat_t
				if unix.Lstat(p, &st) != nil || ours[st.Ino] == p {
					continue
				}
				if name := ours[st.Ino]; name != "" {
					_ = unix.Renameat2(unix.AT_FDCWD, p, unix.AT_FDCWD, name, unix.RENAME_NOREPLACE)
				} else if unix.Unlink(p) != nil {
					_ = unix.Rmdir(p)
				}
			}
		}
		if state(file).Nlink == 0 {
			file.Close()
			file, err = os.Create(key)
			must(t, err)
		}
	}
	t.Logf("%d were handed over, %s swaps", given, stop())
	if given == 0 {
		t.Error("nothing was ever handed over: the race was not run")
	}
	if state(folder).Nlink == 0 {
		t.Error("the folder is gone")
	}
}

// state is all there is to say about a tree. The times of change show what was done and undone.
func state(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.Walk(dir, func(p string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		content := ""
		if info.Mode().IsRegular() {
			c, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			content = string(c)
		}
		fmt.Fprintf(&b, "%s inode %d mode %o owner %d:%d links %d changed %d %q\n", p, st.Ino, st.Mode, st.Uid, st.Gid, st.Nlink, st.Ctim.Nano(), content)
		return nil
	}))
	return b.String()
}
