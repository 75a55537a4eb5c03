package builtins

import (
	"context"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
	"fabgo/transport/tables"
)

// conversation is a fake host whose apt says what a test wants.
type conversation struct {
	*fake.Fake
	simulated transport.Output   // what apt-get -s answers
	said      []transport.Output // what apt-get answers, one after the other; then it installs
	locks     []string           // what the look for a lock answers, one after the other
	installs  string
}

func newConversation(t *testing.T) (*stage, *conversation) {
	t.Helper()
	c := &conversation{Fake: fake.New(fake.Options{})}
	c.simulated.Stdout = "Inst app (1.0 Debian:12/stable [amd64])\nConf app (1.0 Debian:12/stable [amd64])\n"
	c.installs = "app"
	c.OnCommand(func(argv []string) bool { return argv[0] == "/bin/sh" }, func(_ context.Context, _ *fake.Fake, op transport.Exec) (transport.Output, error) {
		switch script := string(op.Argv[2]); {
		case script == lockScript:
			return transport.Output{Stdout: transport.Text(next(&c.locks))}, nil
		case strings.Contains(script, "exit $?"):
			out := c.simulated
			out.Stdout += transport.Text("exit ") + transport.Text(map[bool]string{true: "0", false: "100"}[out.Code == 0]) + "\n"
			out.Code = 0
			return out, nil
		}
		return transport.Output{}, nil
	})
	c.OnExec("apt-get", func(_ context.Context, f *fake.Fake, op transport.Exec) (transport.Output, error) {
		if op.Env["DEBIAN_FRONTEND"] != "noninteractive" || op.Env["APT_LISTCHANGES_FRONTEND"] != "none" || op.Stdin != nil {
			t.Errorf("apt could ask questions: %v", op.Env)
		}
		if out := next(&c.said); out.Code != 0 || out.Stderr != "" || out.Stdout != "" {
			if out.Code == 0 {
				f.PutPackage(tables.Package{Name: c.installs, Version: "1.0"})
			}
			return out, nil
		}
		f.PutPackage(tables.Package{Name: c.installs, Version: "1.0"})
		return transport.Output{}, nil
	})
	c.OnExec("dpkg", func(context.Context, *fake.Fake, transport.Exec) (transport.Output, error) {
		return transport.Output{Code: 1, Stderr: "dpkg: error processing package old (--configure):\n"}, nil
	})
	c.OnExec("journalctl", func(_ context.Context, _ *fake.Fake, op transport.Exec) (transport.Output, error) {
		_, unit, _ := strings.Cut(string(op.Argv[len(op.Argv)-1]), "=")
		return transport.Output{Stdout: transport.Text("2026-11-24 web1 app[7]: the port is taken by " + unit + "\n")}, nil
	})
	c.OnExec("date", func(context.Context, *fake.Fake, transport.Exec) (transport.Output, error) {
		return transport.Output{Stdout: "1767225700\n"}, nil
	})
	return newStage(t, c), c
}

func next[T any](queue *[]T) (v T) {
	if len(*queue) > 0 {
		v, *queue = (*queue)[0], (*queue)[1:]
	}
	return v
}

func TestAptSays(t *testing.T) {
	const install = `pkg.install("app", update = False)`
	fail := func(stderr string) transport.Output {
		return transport.Output{Code: 100, Stderr: transport.Text(stderr)}
	}
	held := fail("E: Could not get lock /var/lib/apt/lists/lock. It is held by process 42 (packagekitd)\nE: Unable to lock directory /var/lib/apt/lists/\n")
	for _, c := range []struct {
		name  string
		said  []transport.Output
		locks []string
		ok    string // a note
		want  string // else a part of the error
	}{
		{name: "it waits for a lock", locks: []string{"/var/lib/dpkg/lock 7 unattended-upgr\n", "/var/lib/dpkg/lock 7 unattended-upgr\n"}, ok: "locked by unattended-upgr (process 7)"},
		{name: "it waits for a lock that only apt sees", said: []transport.Output{held, held}, ok: "locked by packagekitd (process 42)"},
		{name: "apt waited itself", said: []transport.Output{fail("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 42 (apt)\n")}, want: "locked by apt (process 42); waited 5m0s"},
		{name: "a lock without a holder", locks: strings.Split(strings.Repeat("/var/lib/dpkg/lock 0\n|", 200), "|"), want: "locked by another program"},
		{name: "not root", said: []transport.Output{fail("E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?\n")}, want: "packages need root"},
		{name: "interrupted and not to be repaired", said: []transport.Output{fail("E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.\n")}, want: "dpkg: error processing package old"},
		{name: "a service that does not start", said: []transport.Output{{Code: 100, Stdout: "Setting up app (1.0) ...\nJob for app-web.service failed because the control process exited with error code.\ndpkg: error processing package app (--configure):\n installed app package post-installation script subprocess returned error exit status 1\n", Stderr: "E: Sub-process /usr/bin/dpkg returned an error code (1)\n"}}, want: "the port is taken by app-web.service"},
		{name: "services may not start", said: []transport.Output{{Stdout: "Setting up app\ninvoke-rc.d: policy-rc.d denied execution of start.\n"}}, ok: "policy-rc.d on this host forbids packages to: start"},
		{name: "no space", said: []transport.Output{fail("E: You don't have enough free space in /var/cache/apt/archives/.\n")}, want: "apt-get clean"},
		{name: "a proxy", said: []transport.Output{fail("E: Failed to fetch http://x/y  407  Proxy Authentication Required\n")}, want: "/etc/apt/apt.conf.d"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, host := newConversation(t)
			host.said, host.locks = c.said, c.locks
			p := s.run(install)
			if c.want != "" {
				p.fails(journal.Broken, c.want)
				return
			}
			p.ok().says(c.ok, "package:app changed")
		})
	}
}

func TestAptUpdateTries(t *testing.T) {
	s, host := newConversation(t)
	mismatch := transport.Output{Code: 100, Stderr: "E: Failed to fetch http://x/Packages  Hash Sum mismatch\n"}
	host.said = []transport.Output{mismatch, mismatch}
	s.run(`apt.update()`).fails(journal.Broken, "did not converge") // the fake keeps no stamp
	host.said = []transport.Output{mismatch, mismatch, mismatch}
	s.run(`apt.update()`).fails(journal.Broken, "a proxy keeps old files")
	host.said = []transport.Output{{Stderr: "W: Failed to fetch http://x/InRelease  Could not resolve 'x'\nW: Some index files failed to download.\n"}}
	s.run(`apt.update()`).fails(journal.Broken, "the host cannot reach its mirror")
}

func TestPackagesOfOtherFamilies(t *testing.T) {
	f := fake.New(fake.Options{NoDpkg: true})
	f.WriteFile("/etc/os-release", "ID=fedora\n", "0644")
	s := newStage(t, f)
	for _, source := range []string{`pkg.install("app")`, `pkg.absent("app")`, `pkg.latest("app")`} {
		s.plan(source).fails(journal.Broken, `"redhat"`)
		s.run(source).fails(journal.Broken, `rpm`)
	}
}

func TestPackageRefusals(t *testing.T) {
	s := newStage(t, fake.New(fake.Options{}))
	for _, c := range []struct{ source, want string }{
		{`pkg.install()`, "name at least one package"},
		{`pkg.install([])`, "name at least one package"},
		{`pkg.install("-x")`, "is no name of a package"},
		{`pkg.install("a b")`, "is no name of a package"},
		{`pkg.install("nginx-")`, "pkg.absent removes packages"},
		{`pkg.install("nginx/stable")`, "release ="},
		{`pkg.install("nginx=")`, "is no version"},
		{`pkg.install("nginx=1; rm")`, "is no version"},
		{`pkg.install("a=1", "a=2")`, "asked for twice"},
		{`pkg.latest("a=1")`, "a version has no meaning here"},
		{`pkg.install("a", conffiles = "ask")`, `want "keep"`},
		{`pkg.install("a", update = "soon")`, "update: got string"},
		{`pkg.install("a", release = "-x")`, "is not one word"},
		{`apt.key("x")`, "content, src or url"},
		{`apt.key("../x", content = "")`, "apt takes only letters"},
		{`apt.key("x", url = "https://x/y")`, "a key from the network needs it"},
		{`apt.key("x", url = "https://x/y", fingerprint = "1B1BE0B4")`, "shorter ids can be forged"},
		{`apt.key("x", url = "ftp://x/y", fingerprint = "6F71F525282841EEDAF851B42F59B5F99B1BE0B4")`, "is no address"},
		{`apt.repo("x", uris = [], suites = "a")`, "at least one address"},
		{`apt.repo("x", uris = "ppa:a/b", suites = "a", components = "main")`, "write a PPA out"},
		{`apt.repo("x", uris = "https://u:p@x/", suites = "a", components = "main")`, "auth.conf.d"},
		{`apt.repo("x", uris = "https://x/", suites = "a")`, "needs them"},
		{`apt.repo("x", uris = "https://x/", suites = "a/", components = "main")`, "has none"},
		{`apt.repo("x", uris = "https://x/", suites = "./", types = "rpm")`, "deb-src"},
		{`apt.repo("x", uris = "https://x/", suites = "./", options = {"Trusted": "yes"})`, "check of signatures"},
		{`apt.repo("x", uris = "https://x/", suites = "./", options = {"Enabled": "no"})`, "an argument of its own"},
		{`apt.repo("x", uris = "https://x/\nTrusted: yes", suites = "./")`, "not one word"},
		{`apt.pin("x", package = "a", pin = "a=stable", priority = 1)`, "release a=stable"},
		{`apt.pin("x", package = "a", pin = "release a=stable", priority = 0)`, "other than 0"},
		{`apt.hold("a=1")`, "no meaning"},
		{`apt.deb("/x.rpm")`, "does not end in .deb"},
		{`apt.debconf("a", "b", "c", type = "int")`, "want one of"},
		{`apt.debconf("a", "b", "c", type = "boolean")`, "want True or False"},
		{`apt.debconf("a", "b", "c\nd")`, "one line"},
		{`apt.debconf("a", "b c", "d")`, "no name of a question"},
		{`apt.debconf("a", "b", {})`, "value: want"},
	} {
		s.plan(c.source).fails(journal.Invalid, c.want)
	}
}

func TestSimulationIsRead(t *testing.T) {
	var s simulation
	s.parse(transport.Output{Stdout: `Remv old [1.0]
Inst libc6 [2.36-9] (2.36-10 Debian:12.5/stable, Debian-Security:12/stable-security [amd64]) []
Inst libc6:i386 (2.36-10 Debian:12.5/stable [i386])
Remv libc6 [2.36-9]
Purg gone [1.0]
Inst odd
Conf libc6 (2.36-10 Debian [amd64])
`, Stderr: "E: Unable to locate package nobody\nE: Package 'virtual' has no installation candidate\n"})
	if len(s.install) != 2 || s.install[0] != (simPackage{"libc6", "amd64", "2.36-9", "2.36-10"}) || s.install[1].name != "libc6:i386" {
		t.Errorf("installs %+v", s.install)
	}
	if len(s.remove) != 2 || s.remove[0].name != "old" || s.remove[1].name != "gone" {
		t.Errorf("removes %+v", s.remove)
	}
	if strings.Join(s.unknown, " ") != "nobody virtual" {
		t.Errorf("unknown are %q", s.unknown)
	}
	if s.find("libc6:amd64") == nil || s.find("libc6:i386") == nil || s.find("libc") != nil {
		t.Error("find does not find")
	}
}

func FuzzFingerprints(f *testing.F) {
	f.Add([]byte(armorHead + "\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----"))
	f.Add([]byte{0x99, 0, 6, 4, 0, 0, 0, 0, 1})
	f.Add([]byte{0xc6, 0xff, 0xff, 0xff, 0xff, 0xff, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		bin, _, err := checkKey(b, nil)
		if err != nil {
			return
		}
		again, err := fingerprints(bin)
		if err != nil || len(again) == 0 {
			t.Errorf("read once, not twice: %v", err)
		}
	})
}
