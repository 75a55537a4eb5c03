package builtins

import (
	"fmt"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/internal/machines"
	"fabgo/transport/ssh"
)

// newMachine is a stage whose host is a real Debian machine with systemd.
func newMachine(t *testing.T) *stage {
	t.Helper()
	s, _ := bootMachine(t)
	return s
}

// bootMachine also gives the machine, for what has to be done without fabgo.
func bootMachine(t *testing.T) (*stage, *machines.Machine) {
	t.Helper()
	m := machines.Boot(t, 1)[0]
	h, err := ssh.Dial(t.Context(), m.Addr, ssh.Options{User: m.User, Identities: []string{m.KeyFile}, KnownHosts: m.KnownHostsFile, Config: "none"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	s := newStage(t, h)
	s.wait = true
	return s, m
}

// on is the stage for a subtest.
func (s *stage) on(t *testing.T) *stage {
	sub := *s
	sub.t, sub.dir = t, t.TempDir()
	return &sub
}

func (s *stage) unit(name, service, install string) string {
	return fmt.Sprintf("systemd.unit(%q, content = %q)\n", name, "[Unit]\nDescription=Test\n[Service]\n"+service+"\n"+install)
}

const wanted = "[Install]\nWantedBy=multi-user.target\n"

// TestMachineServices: what is said to run does, and a service that does not come up says why (F76).
func TestMachineServices(t *testing.T) {
	s := newMachine(t)
	up := s.unit("up", "ExecStart=/bin/sleep 1000\nExecReload=/bin/true", wanted)
	s.run(up + s.unit("bare", "ExecStart=/bin/sleep 1000", "")).ok()
	for _, c := range []struct{ name, source string }{
		{"running", `service.running("up", settle = 0)`},
		{"enabled", `service.enabled("up.service")`},
		{"disabled", `service.disabled("up")`},
		{"stopped", `service.stopped("up")`},
		{"masked vendor unit", `service.masked("systemd-tmpfiles-clean.timer")`},
		{"unmasked vendor unit", `service.unmasked("systemd-tmpfiles-clean.timer")`},
		{"a unit and all of it", s.unit("whole", "ExecStart=/bin/sleep 1000", wanted) + "service.running(\"whole\", settle = 0)\nservice.enabled(\"whole\")\nservice.enabled(\"whole\")"},
		{"a changed unit", s.unit("whole", "ExecStart=/bin/sleep 2000", wanted)},
		{"a drop-in", `systemd.unit("whole", drop_in = "more", content = "[Service]\nEnvironment=A=b\n")`},
		{"no drop-in", `systemd.absent("whole", drop_in = "more")`},
		{"no unit", `systemd.absent("whole")`},
	} {
		t.Run(c.name, func(t *testing.T) { s.on(t).law(c.source, nil) })
	}
	t.Run("nothing to do", func(t *testing.T) {
		p := s.on(t).run("service.stopped(\"nosuchthing\")\nservice.disabled(\"nosuchthing\")\nservice.unmasked(\"nosuchthing\")\nservice.reload(\"up\")").ok()
		if got := p.status(); strings.Contains(got, "changed") || !strings.Contains(got, "service.reload unit:up.service skipped") {
			t.Errorf("%s", got)
		}
	})
	t.Run("restart and reload", func(t *testing.T) {
		s := s.on(t)
		pid := func() string {
			return s.run(`note(query(["systemctl", "show", "-p", "MainPID", "--value", "up"]).stdout)`).ok().notes()
		}
		s.run(`service.running("up", settle = 0)`).ok()
		before := pid()
		if s.run(`service.reload("up", settle = 0)`).ok(); pid() != before {
			t.Error("a reload is no restart")
		}
		nothing := "c = file.put(\"/etc/hostname\", content = query([\"cat\", \"/etc/hostname\"]).stdout)\n"
		if s.run(nothing + `service.restart("up", on = c, settle = 0)`).ok(); pid() != before {
			t.Error("restarted, though nothing changed")
		}
		if s.run(`service.restart("up", settle = 0)`).ok(); pid() == before {
			t.Error("not restarted")
		}
		s.run(`service.running("bare", settle = 0)`).ok()
		s.run(`service.reload("bare")`).fails(journal.Broken, "or_restart = True")
		s.plan(`service.reload("bare")`).fails(journal.Broken, "or_restart = True")
		s.run(`service.reload("bare", or_restart = True, settle = 0)`).ok()
	})
	t.Run("a handler after a failure", func(t *testing.T) {
		s := s.on(t)
		s.carry = true
		s.run(s.unit("counted", "ExecStart=/bin/sleep 1000\nExecStartPre=/bin/sh -c 'echo start >>/run/loads'\nExecReload=/bin/sh -c 'echo reload >>/run/loads'", "")).ok()
		for _, c := range []struct{ source, loads string }{
			{"service.running('counted', settle = 0)\nc = file.put('/etc/counted', content = 'one')\nfail('boom')", "start"},
			{"c = file.put('/etc/counted', content = 'one')\nservice.reload('counted', on = c, settle = 0)\nfail('boom')", "start reload"},
			{"c = file.put('/etc/counted', content = 'one')\nservice.reload('counted', on = c, settle = 0)", "start reload"},
			{"c = file.put('/etc/counted', content = 'two')", "start reload"},
			{"c = file.put('/etc/counted', content = 'two')\nservice.running('counted', on = c, settle = 0)", "start reload start"},
			{"c = file.put('/etc/counted', content = 'three')\nservice.running('counted', on = c, settle = 0)", "start reload start start"},
			{"c = file.put('/etc/counted', content = 'three')\nservice.running('counted', on = c, settle = 0)\nservice.reload('counted', on = c, settle = 0)", "start reload start start"},
		} {
			want := journal.Finished
			if strings.Contains(c.source, "boom") {
				want = journal.Broken
			}
			if p := s.run(c.source); p.verdict != want {
				t.Fatalf("%s\nended %s: %+v", c.source, p.verdict, p.finish.Error)
			}
			look := s.on(t)
			look.carry = false // its end would settle what it does not ask for
			if got := strings.Join(strings.Fields(look.run(`note(query(["cat", "/run/loads"]).stdout)`).notes()), " "); got != c.loads {
				t.Fatalf("%s\nthe service was loaded: %s, want %s", c.source, got, c.loads)
			}
		}
	})
	for _, c := range []struct{ name, service, source, want string }{
		{"dies soon", "ExecStart=/bin/sh -c 'sleep 1; echo these are my last words >&2; exit 3'", `service.running("dies-soon")`, "these are my last words"},
		{"no program", "Type=simple\nExecStart=/no/such/program", `service.running("no-program")`, "/no/such/program"},
		{"fails at once", "Type=oneshot\nExecStart=/bin/false", `service.running("fails-at-once")`, "code=exited, status=1"},
		{"ends well", "ExecStart=/bin/true", `service.running("ends-well")`, "RemainAfterExit=yes"},
		{"starts too often", "ExecStart=/bin/false\nRestart=always\nRestartSec=0", `service.running("starts-too-often", settle = 3)`, "repeated too quickly"}, // the result is start-limit-hit or exit-code, the journal says it in any case
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.on(t)
			name := strings.ReplaceAll(c.name, " ", "-")
			s.run(s.unit(name, c.service, wanted)).ok()
			p := s.run(c.source).fails(journal.Broken, c.want)
			if !strings.Contains(p.finish.Error.Stderr, name) {
				t.Errorf("the error shows no journal: %+v", p.finish.Error)
			}
		})
	}
	t.Run("oneshot that remains", func(t *testing.T) {
		s := s.on(t)
		s.law(s.unit("once", "Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true", wanted)+`service.running("once", settle = 0)`, nil)
	})
	for _, c := range []struct{ source, want string }{
		{`service.running("nosuchthing")`, "there is no unit nosuchthing.service"},
		{`service.enabled("nosuchthing")`, "there is no unit"},
		{`service.restart("nosuchthing")`, "there is no unit"},
		{`service.enabled("bare")`, "no [Install] section"},
		{`systemd.unit("broken", content = "[Service]\nExecStart=not-absolute-and\n[Nonsense")`, "systemd"},
		{`systemd.timer("t", command = ["/bin/true"], calendar = "someday")`, "systemd does not understand"},
	} {
		s.on(t).run(c.source).fails(journal.Broken, c.want)
	}
	t.Run("masked", func(t *testing.T) {
		s := s.on(t)
		s.run(`service.masked("apt-daily.timer")`).ok()
		for _, source := range []string{`service.running("apt-daily.timer")`, `service.enabled("apt-daily.timer")`, `service.restart("apt-daily.timer")`} {
			s.run(source).fails(journal.Broken, `service.unmasked("apt-daily.timer")`)
			s.plan(source).fails(journal.Broken, `service.unmasked("apt-daily.timer")`)
		}
		s.plan("service.masked(\"apt-daily-upgrade.timer\")\nservice.running(\"apt-daily-upgrade.timer\")").fails(journal.Broken, "is masked")
	})
	t.Run("a unit that only the plan has", func(t *testing.T) {
		s := s.on(t)
		p := s.plan("file.put(\"/etc/systemd/system/byfile.service\", content = \"[Service]\\nExecStart=/bin/sleep 9\\n\")\nservice.running(\"byfile\")").ok()
		if strings.Count(p.status(), "changed") != 2 {
			t.Errorf("%s", p.status())
		}
		s.plan("file.put(\"/etc/systemd/system/byfile.service\", content = \"[Service]\\nExecStart=/bin/sleep 9\\n\")\nservice.enabled(\"byfile\")").fails(journal.Broken, "no [Install] section")
	})
	t.Run("timers", func(t *testing.T) {
		s := s.on(t)
		s.law(`systemd.timer("nightly", command = ["/bin/true"], calendar = "02:30", random_delay = "10m")`, nil)
		s.law(`systemd.timer("nightly", command = ["/bin/true"], calendar = "03:30")`, nil)
		s.law(`systemd.timer("often", command = "true; true", every = "15m", on_boot = 60)`, nil)
		s.law(`systemd.absent("nightly.timer")`, nil)
		odd := `["/usr/bin/printf", "%s\n", "a b", "\"q'", "$HOME ${HOME} $$", "%n %%", "back\\slash", ";", "é", "tab\there", "-x", ""]`
		s.run(`systemd.timer("odd", command = ` + odd + `, calendar = "2099-01-01", env = {"A": "x y%n\"$Z"}, cwd = "/usr", user = "daemon", description = "100% odd")
run(["systemctl", "start", "odd.service"])`).ok()
		got := s.run(`note(query(["journalctl", "-u", "odd", "-o", "cat", "-t", "printf", "--no-pager", "-a"]).stdout)`).ok().notes()
		if want := "a b\n\"q'\n$HOME ${HOME} $$\n%n %%\nback\\slash\n;\né\ntab\there\n-x\n"; !strings.HasPrefix(got, want) {
			t.Errorf("the command got\n%q, want\n%q", got, want)
		}
		s.run(`systemd.timer("shelled", command = "echo \"$A:$(id -un):$PWD:100%\"", calendar = "2099-01-01", env = {"A": "x y%n\"$Z"}, cwd = "/usr", user = "daemon")
run(["systemctl", "start", "shelled.service"])`).ok()
		if got := s.run(`note(query(["journalctl", "-u", "shelled", "-o", "cat", "-t", "sh", "--no-pager"]).stdout)`).ok().notes(); got != "x y%n\"$Z:daemon:/usr:100%\n" {
			t.Errorf("the shell got %q", got)
		}
	})
}

// TestServiceWithoutSystemd: a sandbox and a container have none (F76).
func TestServiceWithoutSystemd(t *testing.T) {
	s := newSandbox(t)
	for _, source := range []string{`service.running("ssh")`, `service.restart("ssh")`, `systemd.unit("x", content = "[Service]\n")`, `service.stopped("ssh")`} {
		s.run(source).fails(journal.Broken, "not run by systemd")
		s.plan(source).fails(journal.Broken, "not run by systemd")
	}
}

func TestServiceRefusals(t *testing.T) {
	s := newLocal(t)
	for _, c := range []struct{ source, want string }{
		{`service.running("")`, "is no name of a unit"},
		{`service.running("-x")`, "is no name of a unit"},
		{`service.running("a b")`, "is no name of a unit"},
		{`service.running("a/b")`, "is no name of a unit"},
		{`service.running("x", settle = "soon")`, "settle"},
		{`systemd.unit("x")`, "give content or src"},
		{`systemd.unit("x", content = "", src = "y")`, "give content or src"},
		{`systemd.unit("x", content = "", drop_in = "../y")`, "is no name of a file"},
		{`systemd.timer("x", command = ["/bin/true"])`, "say when"},
		{`systemd.timer("x.timer", command = ["/bin/true"], every = 60)`, "leave the suffix out"},
		{`systemd.timer("x", command = ["true"], every = 60)`, "absolute path"},
		{`systemd.timer("x", command = ["/bin/true"], every = 60, calendar = "daily")`, "one of them"},
		{`systemd.timer("x", command = ["/bin/true"], every = 60, description = "a\nb")`, "line break"},
		{`systemd.timer("x", command = ["/bin/true"], every = 60, cwd = "/a\nExecStartPre=/bin/evil")`, "line break"},
		{`systemd.timer("x", command = ["/bin/true"], every = 60, user = "a b")`, "user"},
		{`systemd.timer("x", command = ["/bin/true"], every = 60, env = {"A B": "x"})`, "env"},
	} {
		s.run(c.source).fails(journal.Invalid, c.want)
	}
}
