//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/internal/machines"
	"fabgo/transport"
)

// settled is a world whose ssh_config knows a machine as m: as root, and as its other accounts by user@m.
func settled(t *testing.T, m *machines.Machine) *world {
	t.Helper()
	w := newWorld(t)
	w.far = true
	host, port, _ := strings.Cut(m.Addr, ":")
	w.must(add(filepath.Join(w.home, ".ssh", "config"), fmt.Sprintf("Host m\n  HostName %s\n  Port %s\n  User root\n  IdentityFile %s\n  IdentitiesOnly yes\n  UserKnownHostsFile %s\n",
		host, port, m.KeyFile, m.KnownHostsFile)))
	return w
}

// waiting is a bundle that waits in its second step.
const waiting = `
def main():
    file.put("/root/before", content = "x")
    run("touch /root/started; while ! [ -e /root/go ]; do sleep 0.05; done")
    file.put("/root/after", content = "x")
`

// waits starts a run on a machine and returns when it is in its second step.
func (w *world) waits(m *machines.Machine, args ...string) *process {
	w.t.Helper()
	w.file("waiting.star", waiting)
	m.SSH(w.t, "rm -f /root/before /root/started /root/go /root/after")
	p := w.start(append([]string{"run", "-H", "m", "--evaluate=target", "waiting.star"}, args...)...)
	w.until("the run begins", func() bool {
		select {
		case <-p.done:
			w.t.Fatalf("it ended:\n%s%s", p.stdout, p.stderr)
		default:
		}
		_, err := os.Stat(filepath.Join(m.Root, "root/started"))
		return err == nil
	})
	return p
}

// goes lets the second step end.
func (w *world) goes(m *machines.Machine) {
	w.t.Helper()
	w.must(os.WriteFile(filepath.Join(m.Root, "root/go"), nil, 0o644))
}

func (w *world) there(m *machines.Machine, names ...string) {
	w.t.Helper()
	for _, n := range names {
		if _, err := os.Lstat(filepath.Join(m.Root, n)); err != nil {
			w.t.Errorf("%s is not there", n)
		}
	}
}

// free checks that the lock of a machine is free.
func (w *world) free(m *machines.Machine) {
	w.t.Helper()
	m.SSH(w.t, "flock -n /var/lib/fabgo/lock true")
}

// same checks that the controller has the whole journal that the machine has.
func (w *world) same(m *machines.Machine) {
	w.t.Helper()
	mine, theirs := w.mine("m"), w.journal(filepath.Join(m.Root, "var/lib/fabgo"), "m")
	nothing := strings.NewReplacer()
	if d := differ(essence(w.t, mine, nothing), essence(w.t, theirs, nothing)); d != "" {
		w.t.Errorf("the controller's journal is not the machine's: %s", d)
	}
	if len(mine) == 0 {
		w.t.Fatal("the journal is empty")
	}
	if _, ok := mine[len(mine)-1].Body.(journal.Finish); !ok {
		w.t.Error("the journal has no end")
	}
}

// TestMachineBeside is what evaluation beside the host needs a whole machine for.
func TestMachineBeside(t *testing.T) {
	m := machines.Boot(t, 1)[0]
	w := settled(t, m)
	w.file("put.star", `file.put("/tmp/put", content = "x")`+"\n")
	w.file("look.star", `query(["true"])`+"\n")
	again := func(t *testing.T) *world { v := *w; v.t = t; return &v }

	t.Run("a plan leaves no trace", func(t *testing.T) {
		w := again(t)
		w.output("plan", "-H", "m", "--evaluate=target", "put.star") // the first login of all leaves some, such as caches of PAM
		before := everything(t, m)
		w.output("plan", "-H", "m", "--evaluate=target", "put.star")
		if d := differ(before, everything(t, m)); d != "" {
			t.Errorf("the plan changed the machine: %s", d)
		}
		if _, err := os.Stat(filepath.Join(m.Root, "var/lib/fabgo")); err == nil {
			t.Error("the plan made /var/lib/fabgo")
		}
	})
	t.Run("uploaded once", func(t *testing.T) {
		w := again(t)
		m.SSH(t, "rm -rf /run/fabgo; mkdir -p /var/lib/fabgo/bin; chmod 700 /var/lib/fabgo; cd /var/lib/fabgo/bin; for n in 1 2 3 4 5; do touch -d \"2020-01-0$n\" fabgo-old$n; done; touch -d 2020-01-01 .fabgo-left.1")
		w.output("run", "-H", "m", "--evaluate=target", "put.star")
		list := func() string { return m.SSH(t, "cd /var/lib/fabgo/bin && stat -c '%i %Y %U %a %n' fabgo-* && ls -A") }
		one := list()
		if n := strings.Count(one, "root 755 fabgo-"); n != 1 || strings.Contains(one, "old1") || strings.Contains(one, "old3") || !strings.Contains(one, "old5") || strings.Contains(one, "left") {
			t.Errorf("after the first run:\n%s", one)
		}
		w.output("run", "-H", "m", "--evaluate=target", "put.star")
		w.output("plan", "-H", "m", "--evaluate=target", "put.star")
		if two := list(); two != one {
			t.Errorf("after the second:\n%s\nnot\n%s", two, one)
		}
		if left := m.SSH(t, "ls -A /run/fabgo 2>/dev/null; true"); left != "" {
			t.Errorf("the plan brought its own: %s", left)
		}
		m.SSH(t, "rm -f /var/lib/fabgo/bin/fabgo-old*")
	})
	t.Run("accounts", func(t *testing.T) { // F51, F56: one connection, one sudo, and nothing of the password
		w := again(t)
		mark := func() (logins, sudos int) {
			j := m.SSH(t, "journalctl -q --no-pager")
			return strings.Count(j, "Accepted publickey"), strings.Count(j, "COMMAND=") - strings.Count(j, "a password is required")
		}
		w.output("run", "-H", "m", "--evaluate=target", "put.star")
		w.output("run", "-u", "pwuser", "-H", "m", "--evaluate=target", "look.star")
		for _, c := range []struct {
			args  []string
			who   string
			sudos int
		}{
			{[]string{"-u", "deploy", "--sudo"}, "root", 1},
			{[]string{"-u", "pwuser", "-K"}, "root", 2}, // the password is tried by itself first
			{[]string{"-u", "pwuser"}, "pwuser", 0},
		} {
			l, s := mark()
			w.file("who.star", `note(query(["id", "-un"]).stdout)`+"\n"+`run("echo '[sudo] password for pwuser: '; cat; for f in /proc/[0-9]*; do tr '\\0' ' ' <$f/cmdline; tr '\\0' ' ' <$f/environ; done 2>/dev/null | grep -c 's3cret p[w]' || true", label = "listen")`+"\n")
			y := w.pty()
			p := y.run(w, append([]string{"run", "-vv", "--evaluate=target", "-H", "m", "who.star"}, c.args...)...)
			if slices.Contains(c.args, "-K") {
				w.must(y.screen.says("assword", 1))
				y.types(w, machines.PasswordOfPwuser+"\n")
			}
			p.exits(0)
			if out := p.stdout.String(); !strings.Contains(out, c.who) {
				t.Errorf("%v: it was not %s:\n%s", c.args, c.who, out)
			}
			l2, s2 := mark()
			if l2-l != 2 || s2-s != c.sudos { // one login is ours, of the first mark's ssh
				t.Errorf("%v: %d logins, %d sudos:\n%s", c.args, l2-l-1, s2-s, m.SSH(t, "journalctl -q --no-pager | grep COMMAND= | cut -c1-300"))
			}
			for _, r := range w.mine("m") {
				if o, ok := r.Body.(journal.Outcome); ok && (strings.Contains(string(o.Result), "s3cret") || strings.Contains(string(o.Result), `"1\n"`)) {
					t.Errorf("%v: the password shows: %s", c.args, o.Result)
				}
			}
		}
		if got := m.SSH(t, "grep -rlI 's3cret pw' /var/log /var/lib/fabgo /home/pwuser /run/log 2>/dev/null; journalctl -q --no-pager | grep -c 's3cret pw'; true"); strings.TrimSpace(got) != "0" {
			t.Errorf("the password is in %s", got)
		}
		m.SSH(t, "test -d /home/pwuser/.local/state/fabgo/runs && test $(stat -c %U:%a /home/pwuser/.local/state/fabgo) = pwuser:700 && ls /home/pwuser/.cache/fabgo/fabgo-*")
	})
	t.Run("noise of profiles", func(t *testing.T) {
		w := again(t)
		m.SSH(t, `cp /home/deploy/.bashrc /home/deploy/.bashrc.old; printf 'echo welcome; printf "\\036fabgo-wire/9\\n"; head -c 50000 /dev/urandom; echo; echo to stderr >&2\n' | cat - /home/deploy/.bashrc.old >/home/deploy/.bashrc`)
		defer m.SSH(t, "mv /home/deploy/.bashrc.old /home/deploy/.bashrc")
		w.output("run", "-u", "deploy", "--sudo", "-H", "m", "--evaluate=target", "put.star")
		w.output("run", "-u", "deploy", "-H", "m", "--evaluate=target", "look.star")
	})
	t.Run("MaxSessions", func(t *testing.T) { // F17
		w := again(t)
		for _, n := range []int{1, 2} {
			m.SSH(t, fmt.Sprintf("printf 'MaxSessions %d\\n' > /etc/ssh/sshd_config.d/sessions.conf && systemctl restart ssh", n))
			w.output("run", "-H", "m", "--evaluate=target", "put.star")
			m.SSH(t, "rm -rf /var/lib/fabgo/bin")
			w.output("run", "-H", "m", "--evaluate=target", "put.star")
			w.output("run", "-u", "deploy", "--sudo", "-H", "m", "--evaluate=controller", "put.star")
		}
		m.SSH(t, "rm /etc/ssh/sshd_config.d/sessions.conf && systemctl restart ssh")
	})
	t.Run("sftp only", func(t *testing.T) { // F26
		w := again(t)
		m.SSH(t, "printf 'Match User deploy\\n  ForceCommand internal-sftp\\n' > /etc/ssh/sshd_config.d/only.conf && systemctl restart ssh")
		defer m.SSH(t, "rm /etc/ssh/sshd_config.d/only.conf && systemctl restart ssh")
		for _, where := range []string{"target", "auto", "controller"} {
			p := w.start("run", "-u", "deploy", "-H", "m", "--evaluate="+where, "put.star")
			<-p.done
			if code := p.cmd.ProcessState.ExitCode(); code == 0 || code == exitBug || !regexp.MustCompile(`(?i)sftp|restrict|forced`).MatchString(p.stdout.String()+p.stderr.String()) {
				t.Errorf("%s: exit code %d\n%s%s", where, code, p.stdout, p.stderr)
			}
		}
	})
	t.Run("noexec", func(t *testing.T) { // F34
		w := again(t)
		m.SSH(t, "rm -rf /run/fabgo /dev/shm/fabgo-0 && mkdir -p /var/lib/fabgo /usr/local/lib/fabgo /opt/fabgo && mount -t tmpfs -o noexec none /var/lib/fabgo")
		w.output("run", "-H", "m", "--evaluate=target", "put.star")
		m.SSH(t, "ls /usr/local/lib/fabgo/fabgo-*")
		m.SSH(t, "rm -rf /usr/local/lib/fabgo/* && mount -t tmpfs -o noexec none /usr/local/lib/fabgo && mount -t tmpfs -o noexec none /opt/fabgo && mount -o remount,noexec /run && mount -o remount,noexec /dev/shm")
		p := w.start("run", "-H", "m", "--evaluate=target", "put.star")
		<-p.done
		out := p.stdout.String() + p.stderr.String()
		for _, say := range []string{"/var/lib/fabgo/bin: ", "/usr/local/lib/fabgo: ", "/opt/fabgo: ", "/run/fabgo/bin: ", "noexec", "--evaluate=controller"} {
			if !strings.Contains(out, say) {
				t.Errorf("it does not say %q:\n%s", say, out)
			}
		}
		if p.cmd.ProcessState.ExitCode() == 0 {
			t.Error("it succeeded")
		}
		p = w.start("run", "-H", "m", "put.star")
		p.exits(0)
		if n := strings.Count(p.stderr.String(), "\n"); n != 1 || !strings.Contains(p.stderr.String(), "noexec") {
			t.Errorf("auto says\n%s", p.stderr)
		}
		m.SSH(t, "umount /var/lib/fabgo /usr/local/lib/fabgo /opt/fabgo; mount -o remount,exec /run && mount -o remount,exec /dev/shm; rm -rf /usr/local/lib/fabgo /opt/fabgo")
	})
	t.Run("no room", func(t *testing.T) { // F42
		w := again(t)
		m.SSH(t, "mv /var/lib/fabgo /var/lib/fabgo.old 2>/dev/null; mkdir /var/lib/fabgo; mount -t tmpfs -o size=1m none /var/lib/fabgo && head -c 2M /dev/zero >/var/lib/fabgo/fill; true")
		w.output("plan", "-H", "m", "--evaluate=target", "put.star") // it needs no room there
		m.SSH(t, "rm -rf /run/fabgo /dev/shm/fabgo-0")
		p := w.start("run", "-H", "m", "--evaluate=target", "put.star") // the helper finds another place, the lock does not
		<-p.done
		if out := p.stdout.String() + p.stderr.String(); p.cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(out, "no space left") || !strings.Contains(out, "make room") {
			t.Errorf("exit code %d\n%s", p.cmd.ProcessState.ExitCode(), out)
		}
		if f := w.finish("m"); f.Error == nil || f.Error.Kind != transport.NoSpace {
			t.Errorf("the journal's end: %+v", f.Error)
		}
		m.SSH(t, "umount -l /var/lib/fabgo; rmdir /var/lib/fabgo; mv /var/lib/fabgo.old /var/lib/fabgo; rm -rf /usr/local/lib/fabgo /opt/fabgo; true")
	})
	t.Run("missing tools", func(t *testing.T) { // F31
		w := again(t)
		for _, tools := range []string{"sha256sum", "gzip"} {
			m.SSH(t, "rm -rf /var/lib/fabgo/bin /run/fabgo; for f in /usr/bin/"+tools+" /usr/bin/shasum /usr/bin/openssl; do [ -e $f ] && mv $f $f.away; done; true")
			p := w.start("run", "-H", "m", "put.star")
			<-p.done
			m.SSH(t, "for f in /usr/bin/*.away; do mv $f ${f%.away}; done")
			p.exits(0)
			if e := p.stderr.String(); !strings.Contains(e, "evaluated here") || !regexp.MustCompile("gzip|SHA-256").MatchString(e) {
				t.Errorf("without %s it says\n%s", tools, e)
			}
		}
	})
	t.Run("connections die", func(t *testing.T) { // F04, F05, F37
		w := again(t)
		w.output("run", "-H", "m", "--evaluate=target", "put.star")
		for name, how := range map[string]string{
			"restart of sshd":  "systemctl restart ssh",
			"kill -9 of sshd":  "pkill -9 -f 'sshd: root@notty' || true",
			"helper removed":   "rm -rf /var/lib/fabgo/bin; pkill -9 -f 'sshd: root@notty' || true",
			"sshd stops, late": "systemctl stop ssh; pkill -9 -f 'sshd: root@notty'; systemd-run --on-active=3 --timer-property=AccuracySec=100ms systemctl start ssh",
		} {
			t.Run(name, func(t *testing.T) {
				w := again(t)
				p := w.waits(m)
				defer w.goes(m)
				w.must(os.WriteFile(filepath.Join(m.Root, "root/how"), []byte(how+"; touch /root/done"), 0o755))
				m.SSH(t, "rm -f /root/done; systemd-run --collect --on-active=0.1 --timer-property=AccuracySec=100ms sh /root/how") // apart from the session that is to die
				w.until("it happens", func() bool { _, err := os.Stat(filepath.Join(m.Root, "root/done")); return err == nil })
				if name != "restart of sshd" {
					w.must(p.stderr.says("connecting again", 1))
				}
				w.goes(m)
				p.exits(0)
				w.there(m, "root/after")
				w.same(m)
				w.free(m)
			})
		}
	})
	t.Run("large file", func(t *testing.T) {
		w := again(t)
		w.bin = filepath.Join(w.dir, "fabgo") // the memory of this one counts, not that of the race detector
		machines.Build(t, w.bin)
		size := int64(1 << 30)
		if testing.Short() {
			size = 128 << 20
		}
		f, err := os.Create(filepath.Join(w.dir, "large"))
		w.must(err)
		w.must(f.Truncate(size))
		_, err = f.WriteAt([]byte("the end"), size-7)
		w.must(err)
		w.must(f.Close())
		w.file("large.star", `file.put("/root/large", src = "large")`+"\n"+waiting[strings.Index(waiting, "\n")+1:]+"main()\n")
		m.SSH(t, "rm -f /root/started /root/go")
		p := w.start("run", "-H", "m", "--evaluate=target", "large.star")
		w.until("the file is there", func() bool {
			select {
			case <-p.done:
				t.Fatalf("it ended:\n%s%s", p.stdout, p.stderr)
			default:
			}
			_, err := os.Stat(filepath.Join(m.Root, "root/started"))
			return err == nil
		})
		peaks := m.SSH(t, `for p in $(pgrep -f '[f]abgo-.* helper'); do echo "$(tr '\0' ' ' </proc/$p/cmdline | cut -d' ' -f3) $(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' /proc/$p/status)"; done`)
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
		w.must(err)
		peak := regexp.MustCompile(`VmHWM:\s*(\d+)`).FindStringSubmatch(string(b))[1]
		t.Logf("peaks in KiB: controller %s; on the machine:\n%s", peak, peaks)
		for _, n := range append(regexp.MustCompile(`(?m)\d+$`).FindAllString(peaks, -1), peak) {
			if kib, err := strconv.Atoi(n); err != nil || kib > limitKiB {
				t.Errorf("a process needed %s KiB", n)
			}
		}
		w.goes(m)
		p.exits(0)
		if got := m.SSH(t, "stat -c %s /root/large; tail -c 7 /root/large; rm /root/large"); got != fmt.Sprintf("%d\nthe end", size) {
			t.Errorf("the file is %q", got)
		}
	})
	t.Run("reboot", func(t *testing.T) { // F66
		w := again(t)
		p := w.waits(m, "--reconnect=3m")
		w.must(os.WriteFile(filepath.Join(m.Root, "root/how"), []byte("systemctl reboot"), 0o755))
		m.SSH(t, "systemd-run --collect --on-active=1 --timer-property=AccuracySec=100ms sh /root/how")
		<-p.done
		code := p.cmd.ProcessState.ExitCode()
		f := w.finish("m")
		t.Logf("exit code %d, %+v\n%s%s", code, f, p.stdout, p.stderr)
		if code == 0 || code == exitBug || f.Error == nil {
			t.Errorf("exit code %d, the journal's end %+v", code, f)
		}
		w.until("it is up again", func() bool {
			return w.ssh(m, "true") == nil
		})
		w.output("run", "-H", "m", "--evaluate=target", "put.star")
		w.free(m)
	})
}

// limitKiB is how much memory a process may take for a large file.
const limitKiB = 64 << 10

func (w *world) ssh(m *machines.Machine, line string) error {
	p := w.start("exec", "-H", "m", "--connect-timeout=5s", line)
	<-p.done
	if c := p.cmd.ProcessState.ExitCode(); c != 0 {
		return fmt.Errorf("exit code %d", c)
	}
	return nil
}

// everything is what is on the disk of a machine: attributes of all, contents of what is not the system's. What a login leaves in logs, and
// the places that a reboot empties, are left out.
func everything(t *testing.T, m *machines.Machine) string {
	t.Helper()
	return m.SSH(t, `find / -xdev \( -path /run -o -path /var/log -o -path /proc -o -path /sys -o -path /dev -o -path '/tmp/systemd-private*' \) -prune -o -printf '%p %y %m %U %G %s %i %T@ %C@ %l\n' | sort
find /etc /var /root /home /usr/local /opt /srv -xdev -path /var/log -prune -o -type f -print0 | sort -z | xargs -0 sha256sum`)
}
