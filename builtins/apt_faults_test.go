package builtins

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fabgo/internal/journal"
	"fabgo/transport"
)

// TestPackageLock: another package manager is at work (fault F71).
func TestPackageLock(t *testing.T) {
	s, a := newAptStage(t)
	packages(a)
	s.run(a.repo()).ok()
	s.run(`run(["perl", "-e", """
use Fcntl; my $p = fork; if ($p) { sleep 1 until -e "/run/held"; exit 0 }
$0 = "unattended"; close STDIN; close STDOUT; close STDERR; setpgrp;
open(my $f, ">>", "/var/lib/dpkg/lock-frontend"); my $l = pack("s s x4 q q l x4", F_WRLCK, 0, 0, 0, 0);
fcntl($f, F_SETLK, $l); open(my $h, ">", "/run/held"); sleep 1 until -e "/run/release";
"""])`).ok()
	s.run(`pkg.install("lib-a", lock_timeout = 4)`).fails(journal.Broken, "the packages are locked by unattended (process ")
	s.sleeping = func() { // somebody waits: the lock may go
		if _, err := s.host.Do(t.Context(), transport.Write{Path: "/run/release", Content: transport.String("")}); err != nil {
			t.Error(err)
		}
	}
	p := s.run(`pkg.install("lib-a", lock_timeout = "10h")`).ok()
	p.says("pkg.install: the packages are locked by unattended (process ", "waiting for it to end")
	if n := strings.Count(p.notes(), "waiting"); n != 1 {
		t.Errorf("it says %d times that it waits", n)
	}
}

// TestRepositoryFaults: mirrors that cannot be trusted or reached (fault F73).
func TestRepositoryFaults(t *testing.T) {
	s, a := newAptStage(t)
	packages(a)
	_, other, print := pgpKey(t)
	s.write("other.asc", other)
	s.run(`apt.key("other", src = "other.asc")`).ok()
	repo := func(uri, key string) string {
		return `apt.repo("test", uris = "` + uri + `", suites = "./", signed_by = "` + key + `")`
	}
	s.run(a.repo()).ok()
	s.run(repo(a.url, "other")).fails(journal.Broken, "NO_PUBKEY")
	s.run(repo(a.url, "other")).fails(journal.Broken, "fabgo never turns the check off")
	s.run(repo(a.url+"/nothing", "test")).fails(journal.Broken, "does not have a Release file")
	s.run(repo("http://127.0.0.1:1", "test")).fails(journal.Broken, "the host cannot reach its mirror")
	s.run(repo(a.url, "test")).ok().says("apt:repo test changed")

	s.plan(`apt.key("test", src = "key.asc", fingerprint = "`+print+`")`).fails(journal.Invalid, "the key has the fingerprint "+a.fingerprint+", not "+print)
	s.plan(`apt.key("test", content = "hello")`).fails(journal.Invalid, "it is no OpenPGP keyring")

	a.validUntil = time.Now().Add(-48 * time.Hour)
	a.publish()
	s.run(`run(["touch", "-d", "yesterday", "/var/lib/apt/periodic/fabgo-update-stamp"])`)
	s.run(`apt.update()`).fails(journal.Broken, "clock of the host is ahead")
	a.validUntil = time.Time{}
	a.publish()
	if err := os.WriteFile(filepath.Join(a.dir, "Packages"), []byte("Package: evil\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.run(`run("rm -rf /var/lib/apt/lists/*")`).ok()
	s.run(`apt.update(max_age = 0)`).fails(journal.Broken, "the mirror is being updated")
	a.publish()
	s.run(`apt.update(max_age = 0)`).ok().says("apt:index changed")
	s.run(`run("rm -rf /var/lib/apt/lists/* && touch -r /var/lib/apt/periodic/fabgo-update-stamp /var/lib/apt/lists")`).ok()
	s.law(`apt.update()`, nil) // deleted within the second in which it was fetched
}

// TestPackageGone: the index names a package that the mirror no longer has.
func TestPackageGone(t *testing.T) {
	s, a := newAptStage(t)
	file := a.build(deb{name: "tool-a", version: "1.0"})
	a.publish()
	s.run(a.repo()).ok()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	a.build(deb{name: "tool-a", version: "1.1"})
	s.run(`pkg.install("tool-a", update = False)`).fails(journal.Broken, "404  Not Found")
	a.publish()
	s.run(`pkg.install("tool-a")`).ok().says("the mirror has moved on")
	s.run(`pkg.latest("tool-a")`).ok().says("package:tool-a ok")
}

// TestPackagePrompts: nothing waits for an answer (fault F74).
func TestPackagePrompts(t *testing.T) {
	s, a := newAptStage(t)
	conf := func(version, content string) {
		a.build(deb{name: "conf-a", version: version, files: map[string]string{"etc/conf-a.conf": content}, conffiles: []string{"/etc/conf-a.conf"},
			scripts: map[string]string{"postinst": "echo \"$DEBIAN_FRONTEND $NEEDRESTART_SUSPEND\" >/run/frontend; read answer; exit 0\n"}})
		a.publish()
	}
	conf("1.0", "one\n")
	s.run(a.repo() + `pkg.install("conf-a")`).ok()
	for i, c := range []struct{ version, policy, want string }{{"1.1", "keep", "mine\n"}, {"1.2", "replace", "1.2\n"}} {
		conf(c.version, c.version+"\n")
		p := s.run(`file.put("/etc/conf-a.conf", content = "mine\n")
apt.update(max_age = 0)
run(["touch", "-d", "yesterday", "/var/lib/apt/periodic/fabgo-update-stamp"])
pkg.latest("conf-a", update = "1h", conffiles = "` + c.policy + `")
note(query(["cat", "/etc/conf-a.conf"]).stdout + query(["cat", "/run/frontend"]).stdout)`).ok()
		if got := p.notes(); got != c.want+"noninteractive 1\n" {
			t.Errorf("%d: got %q", i, got)
		}
	}
}

// TestPackageScriptFails: a script of a package fails (fault F75); the next run goes on where it stopped.
func TestPackageScriptFails(t *testing.T) {
	s, a := newAptStage(t)
	a.build(deb{name: "fail-a", version: "1.0", scripts: map[string]string{"postinst": "test -e /run/mended || { echo 'Job for fail-a.service failed because of a test.' >&2; exit 1; }\n"}})
	a.build(deb{name: "other-a", version: "1.0"})
	a.publish()
	s.run(a.repo()).ok()
	s.run(`pkg.install("fail-a")`).fails(journal.Broken, "Job for fail-a.service failed because of a test.")
	s.run(`pkg.install("fail-a")`).fails(journal.Broken, "once that is mended, the next run goes on")
	s.plan(`pkg.install("fail-a")`).ok().says("status: half-configured -> installed")
	s.law(`run(["touch", "/run/mended"], creates = "/run/mended")
pkg.install("fail-a")`, nil)
}

// TestPackageInterrupted: dpkg was interrupted; what it left is finished first.
func TestPackageInterrupted(t *testing.T) {
	s, a := newAptStage(t)
	packages(a)
	s.run(a.repo() + `run("dpkg -s bash | sed '/^$/q' >/var/lib/dpkg/updates/0000")`).ok()
	s.run(`pkg.install("lib-a")`).ok().says("dpkg was interrupted earlier", "package:lib-a changed")
}

func TestPackageFile(t *testing.T) {
	s, a := newAptStage(t)
	a.build(deb{name: "lib-a", version: "1.0"})
	a.publish()
	b, err := os.ReadFile(a.build(deb{name: "tool-a", version: "2.0", fields: "Depends: lib-a\n"}))
	if err != nil {
		t.Fatal(err)
	}
	s.write("tool.deb", string(b))
	s.run(a.repo() + `
file.put("/root/tool.deb", src = "tool.deb")
file.put("/root/bad.deb", content = "bad")`).ok()
	s.law(`apt.deb("/root/tool.deb")`, nil).says("package:tool-a : absent -> installed 2.0", "package:lib-a : absent -> installed 1.0")
	s.run(`apt.deb("/root/bad.deb")`).fails(journal.Broken, "is it a Debian package?")
	s.plan(`file.put("/root/new.deb", src = "tool.deb")
apt.deb("/root/new.deb")`).ok().says("apt.deb package:new.deb unknown")
}

func TestKeyDownload(t *testing.T) {
	s, a := newAptStage(t)
	_, other, print := pgpKey(t)
	for name, content := range map[string]string{"key.asc": a.key, "other.asc": other} {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.run(`apt.key("test", url = "`+a.url+`/other.asc", fingerprint = "`+a.fingerprint+`")`).fails(journal.Broken, "the key has the fingerprint "+print)
	s.run(`note(str(file.exists("/etc/apt/keyrings/test.gpg")))`).ok().says("False")
	s.run(`apt.key("test", url = "`+a.url+`/none.asc", fingerprint = "`+a.fingerprint+`")`).fails(journal.Broken, "404")
	s.law(`apt.key("test", url = "`+a.url+`/key.asc", fingerprint = "`+strings.ToLower(a.fingerprint)+`")`, nil)
	s.law(`apt.key("test", url = "`+a.url+`/other.asc", fingerprint = "`+print+`")`, nil)
}
