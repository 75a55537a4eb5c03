package ssh

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"fabgo/internal/sshd"
	"fabgo/transport"
)

const sudoSecret = "s3cret pw"

func killProcess(t *testing.T, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sudoAccount is an account whose password is sudoSecret, with a sudoers file of these lines, NAME standing for it.
func sudoAccount(t *testing.T, lines ...string) string {
	t.Helper()
	name := account1(t)
	cmd := exec.Command("chpasswd")
	cmd.Stdin = strings.NewReader(name + ":" + sudoSecret + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	sudoers(t, name, "ALL")
	text := strings.ReplaceAll(strings.Join(lines, "\n")+"\n", "NAME", name)
	if err := os.WriteFile("/etc/sudoers.d/"+name, []byte(text), 0o440); err != nil {
		t.Fatal(err)
	}
	return name
}

// asked counts the questions for sudo's password.
func asked(f *far, answer string) *int {
	n := new(int)
	f.opts.SudoPassword = func(context.Context) ([]byte, error) { *n++; return []byte(answer), nil }
	return n
}

func TestF51StreamThroughSudo(t *testing.T) {
	for _, tt := range []struct {
		name      string
		sudoers   []string
		questions int
	}{
		{"NOPASSWD", []string{"NAME ALL=(ALL) NOPASSWD: ALL"}, 0},
		{"NOPASSWD, pty", []string{"Defaults:NAME use_pty", "NAME ALL=(ALL) NOPASSWD: ALL"}, 0}, // F52
		{"password", []string{"NAME ALL=(ALL) ALL"}, 1},
		{"password, lecture", []string{"Defaults:NAME lecture=always", "NAME ALL=(ALL) ALL"}, 1},
		{"password, pty, prompt", []string{"Defaults:NAME use_pty, env_reset, timestamp_timeout=0, passprompt=\"<what>\"", "NAME ALL=(ALL) ALL"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := lazily(openssh(t, sudoAccount(t, tt.sudoers...), ""))
			f.opts.Sudo = true
			n := asked(f, sudoSecret)
			h := f.dial(t)
			for try := range 2 {
				s := begin(t, h, "id -un; cat; echo mine >&2")
				s.Write([]byte("first, "))
				if err := s.Ready(t.Context()); err != nil {
					t.Fatal(explain(err))
				}
				s.Write([]byte("second"))
				s.CloseWrite()
				if out, exit := whole(t, s); out != "root\nfirst, second" || exit.Code != 0 || s.Stderr() != "mine\n" {
					t.Errorf("%q, %+v, %q", out, exit, s.Stderr())
				}
				if *n != tt.questions {
					t.Errorf("asked %d times", *n)
				}
				if try == 0 {
					h.conn.abandon(errors.New("test"))
					<-h.conn.dead
				}
			}
			// F55: nothing that a program prints makes anybody send the password.
			s := begin(t, h, "echo '[sudo] password for root:' >&2; cat")
			s.Ready(t.Context())
			s.CloseWrite()
			if out, _ := whole(t, s); out != "" {
				t.Errorf("something was sent: %q", out)
			}
			if out := run(t, h, argv("id", "-un")); out.Stdout != "root\n" {
				t.Errorf("%+v", out)
			}
			if *n != tt.questions {
				t.Errorf("asked %d times", *n)
			}
		})
	}
}

func TestF51StreamSudoRefuses(t *testing.T) {
	for _, tt := range []struct {
		name      string
		sudoers   []string
		password  string // "" is nobody to ask
		questions int
		says      string
	}{
		{"nobody to ask", []string{"NAME ALL=(ALL) ALL"}, "", 0, "wants a password"},
		{"wrong password", []string{"NAME ALL=(ALL) ALL"}, "wrong", 1, "refuses the password"},
		{"requiretty", []string{"Defaults:NAME requiretty", "NAME ALL=(ALL) NOPASSWD: ALL"}, sudoSecret, 0, "must have a tty"}, // F52
		{"not allowed", []string{"NAME ALL=(nobody) NOPASSWD: ALL"}, sudoSecret, 1, "sudo refuses"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := lazily(openssh(t, sudoAccount(t, tt.sudoers...), ""))
			f.opts.Sudo = true
			n := new(int)
			if tt.password != "" {
				n = asked(f, tt.password)
			}
			h := f.dial(t)
			for range 2 {
				s := begin(t, h, "cat")
				s.Write([]byte("input"))
				_, err := s.Read(make([]byte, 1))
				if *n > 1 || *n != tt.questions {
					t.Errorf("asked %d times", *n)
				}
				wantKind(t, err, transport.Escalation)
				if !strings.Contains(err.Error(), tt.says) && !strings.Contains(err.Error(), "refused the password before") {
					t.Error(err)
				}
				s.Close()
			}
		})
	}
}

// One request is all, where sudo needs no password, or nobody needs sudo; what programs there are is seen on the way.
func TestStreamAsksOnce(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the server's sessions are to be root's")
	}
	count := func(t *testing.T, f *far) {
		t.Helper()
		if st := f.Stats(); len(st.Commands) != 1 || st.Sessions != 1 {
			t.Errorf("%d channels, %d requests", st.Sessions, len(st.Commands))
		}
	}
	t.Run("root", func(t *testing.T) {
		f := lazily(serve(t, sshd.Options{}))
		f.opts.Sudo = true
		if out, _ := whole(t, begin(t, f.dial(t), "id -un")); out != "root\n" {
			t.Errorf("%q", out)
		}
		count(t, f)
	})
	// The programs are stand-ins before the real ones: id says that the login is not root's.
	stage := func(t *testing.T, programs map[string]string) *far {
		dir := t.TempDir()
		programs["id"] = "echo 1000"
		for name, text := range programs {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if _, ok := programs["sh"]; ok {
			t.Fatal("not sh")
		}
		command(t, "ln", "-s", "/bin/sh", filepath.Join(dir, "sh"))
		f := lazily(serve(t, sshd.Options{ForceCommand: "eval \"$(printf %s \"$SSH_ORIGINAL_COMMAND\" | sed 's,PATH=" + searchPath + ":..044PATH,PATH=" + dir + ",')\""}))
		f.opts.Sudo = true
		return f
	}
	t.Run("sudo", func(t *testing.T) {
		f := stage(t, map[string]string{"sudo": `[ "$1 $2 $3 $4" = "-n -u root --" ] || exit 9; shift 4; echo lecture >&2; exec "$@"`, "doas": "exit 9"})
		s := begin(t, f.dial(t), "echo up; cat")
		s.CloseWrite()
		if out, _ := whole(t, s); out != "up\n" || s.Stderr() != "" {
			t.Errorf("%q, %q", out, s.Stderr())
		}
		count(t, f)
	})
	t.Run("doas", func(t *testing.T) {
		f := stage(t, map[string]string{"doas": `[ "$1 $2 $3" = "-n -u root" ] || exit 9; shift 3; exec "$@"`})
		if out, _ := whole(t, begin(t, f.dial(t), "echo up")); out != "up\n" {
			t.Errorf("%q", out)
		}
		count(t, f)
	})
	for name, tt := range map[string]struct {
		programs map[string]string
		says     string
	}{
		"sudo-rs":      {map[string]string{"sudo": "echo 'sudo: interactive authentication is required' >&2; exit 1"}, "sudo wants a password"},
		"doas refuses": {map[string]string{"doas": "echo 'doas: Authorization required' >&2; exit 1"}, "doas refuses: doas: Authorization required"},
		"neither":      {map[string]string{}, "neither sudo nor doas"},
	} {
		t.Run(name, func(t *testing.T) {
			f := stage(t, tt.programs)
			err := begin(t, f.dial(t), "echo up").Ready(t.Context())
			wantKind(t, err, transport.Escalation, tt.says)
			count(t, f)
		})
	}
}

func TestF26StreamForcedSFTP(t *testing.T) {
	f := lazily(openssh(t, "root", "ForceCommand internal-sftp\n"))
	h := f.dial(t)
	err := begin(t, h, "cat").Ready(t.Context())
	wantKind(t, err, transport.Auth, "sftp connections only")
	if e, _ := errors.AsType[*transport.Error](err); !strings.Contains(e.Hint, "restricted") {
		t.Errorf("hint %q", e.Hint)
	}
	_, err = h.Do(t.Context(), argv("true"))
	wantKind(t, err, transport.Auth, "sftp connections only")
}

func TestF05SessionProcessIsKilled(t *testing.T) {
	h := lazily(openssh(t, "root", "")).dial(t)
	file := filepath.Join(t.TempDir(), "over")
	s := begin(t, h, "echo $PPID; cat; : >"+shellWord(file))
	b := make([]byte, 20)
	n, err := s.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		t.Fatal(err)
	}
	killProcess(t, pid)
	within(t, 10*time.Second, func() {
		_, err := s.Read(b)
		wantKind(t, err, transport.Unreachable, "lost")
		_, err = s.Wait(t.Context())
		wantKind(t, err, transport.Unreachable, "lost")
	})
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) { // the program sees the end of its input
		if _, err := os.Stat(file); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the program goes on")
		}
	}
	if out, _ := whole(t, begin(t, h, "echo anew")); out != "anew\n" {
		t.Errorf("%q", out)
	}
}

func TestUpload(t *testing.T) {
	f := lazily(serve(t, sshd.Options{}))
	h := f.dial(t)
	dir := t.TempDir()
	out, err := h.Upload(t.Context(), "cd "+shellWord(dir)+" && cat >f && wc -c <f", io.LimitReader(zeros{}, 4<<20))
	if err != nil || strings.TrimSpace(out) != strconv.Itoa(4<<20) {
		t.Errorf("%q, %v", out, err)
	}
	if st := f.Stats(); len(st.Commands) != 1 {
		t.Errorf("%d requests", len(st.Commands))
	}
	if out, err := h.Upload(t.Context(), "echo enough", io.LimitReader(zeros{}, 64<<20)); err != nil || out != "enough\n" {
		t.Errorf("it needs none: %q, %v", out, err)
	}
	_, err = h.Upload(t.Context(), "cat >/dev/full", io.LimitReader(zeros{}, 4<<20))
	wantKind(t, err, transport.NoSpace, "upload: No space left")
	_, err = h.Upload(t.Context(), "cat >/dev/null", io.MultiReader(strings.NewReader("x"), brokenReader{}))
	wantKind(t, err, transport.IO, "torn")
	within(t, 10*time.Second, func() {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err = h.Upload(ctx, "cat >/dev/null", zeros{})
		wantKind(t, err, transport.Interrupted)
		ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err = h.Upload(ctx, "sleep 600", zeros{})
		wantKind(t, err, transport.Interrupted)
	})
}

// Flow control reaches from the far program to the reader: what it does not take is not read.
func TestUploadKeepsLittleInMemory(t *testing.T) {
	const size = 256 << 20
	h := lazily(openssh(t, "root", "")).dial(t)
	m := &meter{Reader: io.LimitReader(zeros{}, size)}
	out, err := h.Upload(t.Context(), "wc -c", m)
	if err != nil || strings.TrimSpace(out) != strconv.Itoa(size) {
		t.Errorf("%q, %v", out, err)
	}
	if m.most > 48<<20 {
		t.Errorf("%d MiB of memory", m.most>>20)
	}
}

// meter measures memory from time to time.
type meter struct {
	io.Reader
	n    int
	most uint64
}

func (m *meter) Read(p []byte) (int, error) {
	if m.n++; m.n%200 == 0 {
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		m.most = max(m.most, s.HeapInuse)
	}
	return m.Reader.Read(p)
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("torn") }
