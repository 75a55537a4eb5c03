package ssh

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pkg/sftp"

	"fabgo/internal/sshd"
	"fabgo/transport"
)

// busybox is a root folder with nothing in it but busybox and its applets, without those that are named, behind a server.
func busybox(t *testing.T, without ...string) *far {
	t.Helper()
	program, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("busybox is not installed")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can change its root folder")
	}
	root := t.TempDir()
	for _, d := range []string{"bin", "etc", "t", "tmp", "dev", "root", "proc"} {
		if err := os.Mkdir(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	command(t, "cp", program, filepath.Join(root, "bin", "busybox"))
	for name, text := range map[string]string{
		"etc/passwd":   "root:x:0:0::/root:/bin/sh\ndaemon:x:1:1::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
		"proc/mounted": "not, which is a difficulty of its own",
		"etc/group":    "root:x:0:\ndaemon:x:1:\nnogroup:x:65534:\n",
		"etc/shadow":   "root:*:20000:0:99999:7:::\ndaemon:*:20000:0:99999:7:::\nnobody:!:20000:0:99999:7:::\n",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	command(t, "mknod", "-m", "666", filepath.Join(root, "dev", "null"), "c", "1", "3")
	command(t, "mknod", "-m", "666", filepath.Join(root, "dev", "zero"), "c", "1", "5")
	command(t, "chroot", root, "/bin/busybox", "--install", "-s", "/bin")
	if len(without) > 0 { // busybox's own shell needs no files of its applets: another one does
		out, err := exec.Command("ldd", "/bin/dash").CombinedOutput()
		if err != nil {
			t.Skipf("no dash here to take along: %v: %s", err, out)
		}
		for _, word := range strings.Fields(string(out)) {
			if strings.HasPrefix(word, "/") {
				command(t, "cp", "--parents", "-L", word, root)
			}
		}
		command(t, "rm", filepath.Join(root, "bin", "sh"))
		command(t, "cp", "-L", "/bin/dash", filepath.Join(root, "bin", "sh"))
	}
	for _, name := range without {
		if err := os.Remove(filepath.Join(root, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	f := serve(t, sshd.Options{ForceCommand: "exec chroot " + shellWord(root) + ` /bin/sh -c "$SSH_ORIGINAL_COMMAND"`})
	f.dir = root
	return f
}

// mountProc makes /proc of busybox's root what it is on most machines.
func (f *far) mountProc(t *testing.T) {
	t.Helper()
	proc := filepath.Join(f.dir, "proc")
	command(t, "mount", "-t", "proc", "proc", proc)
	t.Cleanup(func() { command(t, "umount", "--lazy", proc) })
}

// A tool that is missing is done without, or named.
func TestF31MissingTools(t *testing.T) {
	c := transport.String("content")
	write := transport.Write{Path: "/t/f", Content: c, Mode: "0640"}
	t.Run("spare", func(t *testing.T) {
		h := busybox(t, "mktemp", "sha256sum", "find", "setsid", "sync", "xargs", "timeout").dial(t)
		if _, err := h.Do(t.Context(), write); err != nil && transport.KindOf(err) != transport.Unsupported {
			t.Errorf("%v", explain(err))
		}
		if info, err := transport.Do[transport.FileInfo](t.Context(), h, transport.Stat{Path: "/etc/group", Digest: true}); err != nil || info.Digest == "" {
			t.Errorf("%+v, %v", info, explain(err))
		}
	})
	for _, tool := range []string{"stat", "mkdir", "chmod", "cat", "mv", "ls"} {
		t.Run(tool, func(t *testing.T) {
			f := busybox(t, tool)
			h := f.dial(t)
			op := transport.Op(write)
			switch tool {
			case "mkdir":
				op = transport.Mkdir{Path: "/t/d"}
			case "ls":
				op = transport.Remove{Path: "/t/nosuch"}
			}
			_, err := h.Do(t.Context(), op)
			wantKind(t, err, transport.Unsupported, "program "+tool)
			if left, err := os.ReadDir(filepath.Join(f.dir, "t")); err != nil || len(left) != 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// Where the server gives no PATH, or a wrong one, programs are found all the same.
func TestF31EmptyPath(t *testing.T) {
	for _, path := range []string{"", "/nowhere"} {
		t.Run(path, func(t *testing.T) {
			h := serve(t, sshd.Options{ForceCommand: "PATH=" + path + `; export PATH; eval "$SSH_ORIGINAL_COMMAND"`}).dial(t)
			if out := run(t, h, argv("sh", "-c", "id -u; echo $PATH")); string(out.Stdout) != fmt.Sprintf("%d\n%s\n", os.Geteuid(), searchPath) {
				t.Errorf("%+v", out)
			}
			p := transport.Path(t.TempDir()).Join("f")
			if _, err := h.Do(t.Context(), transport.Write{Path: p, Content: transport.String("x"), Mode: "0600"}); err != nil {
				t.Fatal(explain(err))
			}
			if info, err := transport.Do[transport.FileInfo](t.Context(), h, transport.Stat{Path: p, Digest: true}); err != nil || info.Mode != "0600" || info.Digest == "" {
				t.Errorf("%+v, %v", info, explain(err))
			}
		})
	}
}

func TestF32Umask(t *testing.T) {
	for _, mask := range []string{"000", "077", "777"} {
		t.Run(mask, func(t *testing.T) {
			h := serve(t, sshd.Options{ForceCommand: "umask " + mask + `; eval "$SSH_ORIGINAL_COMMAND"`}).dial(t)
			d := transport.Path(t.TempDir())
			for _, op := range []transport.Op{
				transport.Mkdir{Path: d.Join("a", "b"), Parents: true}, transport.Mkdir{Path: d.Join("c"), Mode: "2770"},
				transport.Write{Path: d.Join("f"), Content: transport.String("x")}, transport.Write{Path: d.Join("g"), Content: transport.String("x"), Mode: "0666"},
			} {
				if _, err := h.Do(t.Context(), op); err != nil {
					t.Fatal(explain(err))
				}
			}
			for name, want := range map[string]transport.Mode{"a": "0755", "a/b": "0755", "c": "2770", "f": "0644", "g": "0666"} {
				if info, err := transport.Do[transport.FileInfo](t.Context(), h, transport.Stat{Path: d.Join(name)}); err != nil || info.Mode != want {
					t.Errorf("%s: %s, %v; want %s", name, info.Mode, err, want)
				}
			}
			if out := run(t, h, argv("sh", "-c", "umask")); strings.TrimSpace(string(out.Stdout)) != "0022" {
				t.Errorf("commands have the umask %q", out.Stdout)
			}
		})
	}
}

// bare is an SFTP server of version 3 without extensions that lets nobody change anything, and counts who tries.
type bare struct{ changes atomic.Int32 }

func (b *bare) Fileread(r *sftp.Request) (io.ReaderAt, error) { return os.Open(r.Filepath) }

func (b *bare) Filewrite(*sftp.Request) (io.WriterAt, error) {
	b.changes.Add(1)
	return nil, sftp.ErrSSHFxOpUnsupported
}

func (b *bare) Filecmd(*sftp.Request) error {
	b.changes.Add(1)
	return sftp.ErrSSHFxOpUnsupported
}

func (b *bare) Filelist(*sftp.Request) (sftp.ListerAt, error) { return nil, sftp.ErrSSHFxOpUnsupported }

func TestF27ChangesNeedNothingOfSFTP(t *testing.T) {
	b := &bare{}
	f := serve(t, sshd.Options{SFTP: func(rw io.ReadWriteCloser) error {
		return sftp.NewRequestServer(rw, sftp.Handlers{FileGet: b, FilePut: b, FileCmd: b, FileList: b}).Serve()
	}})
	h := f.dial(t)
	d := transport.Path(t.TempDir())
	for _, op := range []transport.Op{
		transport.Write{Path: d.Join("f"), Content: transport.String("old")}, transport.Write{Path: d.Join("f"), Content: transport.String("new")},
		transport.Mkdir{Path: d.Join("d")}, transport.Link{Path: d.Join("l"), Target: "f"}, transport.SetAttr{Path: d.Join("f"), Mode: "0600"},
		transport.Remove{Path: d.Join("d")},
	} {
		if _, err := h.Do(t.Context(), op); err != nil {
			t.Errorf("%s: %v", op.Kind(), explain(err))
		}
	}
	if got, err := os.ReadFile(string(d.Join("f"))); string(got) != "new" {
		t.Errorf("%q, %v", got, err)
	}
	if l, err := os.ReadDir(string(d)); err != nil || len(l) != 2 {
		t.Errorf("%v, %v", l, err)
	}
	if n := b.changes.Load(); n != 0 {
		t.Errorf("%d changes were tried over SFTP", n)
	}
}

func TestBecomeWithoutSetpriv(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root becomes others")
	}
	h := serve(t, sshd.Options{}).dial(t)
	for _, tool := range []string{"setpriv", "runuser", "sudo", ""} {
		if tool != "" {
			if _, err := exec.LookPath(tool); err != nil {
				continue
			}
		}
		h.link.tools = map[string]bool{tool: true, "setpriv-init-groups": true}
		out, err := transport.Do[transport.Output](t.Context(), h, transport.Exec{Argv: transport.Texts("id", "-un"), User: "nobody"})
		if tool == "" {
			wantKind(t, err, transport.Unsupported, "setpriv")
		} else if err != nil || out.Stdout != "nobody\n" {
			t.Errorf("%s: %+v, %v", tool, out, err)
		}
	}
}
