package builtins

import (
	"encoding/base64"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
	"fabgo/transport/tables"
)

// Keys of the right form, of nobody.
const (
	edKey  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
	edKey2 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDAxMjM0NTY3ODk6Ozw9Pj9AQUJDREVGR0hJSktMTU5P"
	ecKey  = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAAADAQID"
)

// newFakeWithApp has a user app with a home folder.
func newFakeWithApp(t *testing.T) (*stage, *fake.Fake) {
	t.Helper()
	s, f := newFake(t)
	f.PutUser(tables.User{Name: "app", UID: "1000", GID: "33", Home: "/home/app", Shell: "/bin/sh"}, "!")
	f.MakeDir("/home/app", "0755")
	return s, f
}

func TestAuthorizedKeyLaws(t *testing.T) {
	s, f := newFakeWithApp(t)
	const file = "/home/app/.ssh/authorized_keys"
	for _, c := range []struct{ name, source, want string }{
		{"new", `ssh.authorized_key("app", key = "` + edKey + ` me@there")`, edKey + " me@there\n"},
		{"comment", `ssh.authorized_key("app", key = "` + edKey + ` me@home")`, edKey + " me@home\n"},
		{"options", `ssh.authorized_key("app", key = "` + edKey + `", options = ["restrict", "command=\"echo \\\"a, b\\\"\""])`, `restrict,command="echo \"a, b\"" ` + edKey + " me@home\n"},
		{"options before the key", `ssh.authorized_key("app", key = "no-pty,from=\"10.0.0.*,!10.0.0.1\" ` + edKey + `")`, `no-pty,from="10.0.0.*,!10.0.0.1" ` + edKey + " me@home\n"},
		{"several", `ssh.authorized_key("app", key = "# mine\n\n` + ecKey + ` ec\n` + edKey2 + `\n")`, `no-pty,from="10.0.0.*,!10.0.0.1" ` + edKey + " me@home\n" + ecKey + " ec\n" + edKey2 + "\n"},
		{"no options", `ssh.authorized_key("app", key = "` + edKey + `", options = [])`, edKey + " me@home\n" + ecKey + " ec\n" + edKey2 + "\n"},
		{"absent", `ssh.authorized_key_absent("app", key = "` + ecKey + ` whatever")`, edKey + " me@home\n" + edKey2 + "\n"},
		{"exclusive", `ssh.authorized_key("app", key = ["` + edKey2 + `", "` + ecKey + `"], exclusive = True)`, edKey2 + "\n" + ecKey + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.on(t).law(c.source, f.Snapshot)
			holds(t, f, file, c.want)
		})
	}
	for p, mode := range map[transport.Path]transport.Mode{file: "0600", "/home/app/.ssh": "0700"} {
		fi, err := transport.Do[transport.FileInfo](t.Context(), f, transport.Stat{Path: p})
		if err != nil || fi.Owner != "app" || fi.Group != "www-data" || fi.Mode != mode {
			t.Errorf("%s is %+v, %v", p, fi, err)
		}
	}
	t.Run("what it finds", func(t *testing.T) {
		f.WriteFile(file, "# old\n\nssh-dss AAAA old\nfrom=\"x\" "+edKey+" one\n"+edKey+" two\nnonsense\n", "0644")
		s.on(t).law(`ssh.authorized_key("app", key = "`+edKey+`", options = [], exclusive = True)`, f.Snapshot)
		holds(t, f, file, "# old\n\n"+edKey+" one\n")
	})
	t.Run("another file", func(t *testing.T) {
		f.MakeDir("/etc/ssh/keys", "0755")
		s.on(t).law(`ssh.authorized_key("app", key = "`+edKey+`", path = "/etc/ssh/keys/app")`, f.Snapshot)
		holds(t, f, "/etc/ssh/keys/app", edKey+"\n")
		if fi, _ := transport.Do[transport.FileInfo](t.Context(), f, transport.Stat{Path: "/etc/ssh/keys"}); fi.Owner != "root" {
			t.Errorf("the folder was given away: %+v", fi)
		}
		s.on(t).law(`ssh.authorized_key("app", key = "`+edKey+`", path = "/etc/ssh/app/keys", manage_dir = True)`, f.Snapshot)
		s.on(t).law(`ssh.authorized_key_absent("app", key = "`+edKey+`", path = "/etc/ssh/keys/app")`, f.Snapshot)
		holds(t, f, "/etc/ssh/keys/app", "")
	})
	t.Run("planned user", func(t *testing.T) {
		p := s.on(t).plan("user.present(\"later\")\nssh.authorized_key(\"later\", key = \"" + edKey + "\")").ok()
		if !strings.Contains(p.status(), "authorized_key:later changed") {
			t.Errorf("%s", p.status())
		}
	})
	if got := s.run(`ssh.authorized_key_absent("nobody-there", key = "` + edKey + `")`).ok().status(); strings.Contains(got, "changed") {
		t.Errorf("%s", got)
	}
}

func TestAuthorizedKeyFailures(t *testing.T) {
	s, f := newFakeWithApp(t)
	s.run(`ssh.authorized_key("nobody-there", key = "`+edKey+`")`).fails(journal.Broken, "user.present makes one")
	s.run(`ssh.authorized_key("nobody", key = "`+edKey+`")`).fails(journal.Broken, "its home folder is")
	s.run(`run(["true"])`).ok()
	f.MakeDir("/home/app/.ssh", "0700")
	if _, err := f.Do(t.Context(), transport.Link{Path: "/home/app/.ssh/authorized_keys", Target: "/etc/shadow"}); err != nil {
		t.Fatal(err)
	}
	s.run(`ssh.authorized_key("app", key = "`+edKey+`")`).fails(journal.Broken, "it is a symlink to /etc/shadow")
}

func TestSSHRefusals(t *testing.T) {
	s, _ := newFakeWithApp(t)
	wrong := base64.StdEncoding.EncodeToString([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x03abc"))
	for _, c := range []struct{ source, want string }{
		{`ssh.authorized_key("a b", key = "` + edKey + `")`, "is no name of a user"},
		{`ssh.authorized_key("app", key = "")`, "it holds no key"},
		{`ssh.authorized_key("app", key = "hello")`, "is no public key"},
		{`ssh.authorized_key("app", key = "ssh-ed25519")`, "nothing follows"},
		{`ssh.authorized_key("app", key = "ssh-dss AAAAB3NzaC1kc3M=")`, "DSA key"},
		{`ssh.authorized_key("app", key = "ssh-ed25519 AAAA====")`, "no base64"},
		{`ssh.authorized_key("app", key = "ssh-rsa ` + edKey[12:] + `")`, "of another type"},
		{`ssh.authorized_key("app", key = "` + edKey[:60] + `")`, "cut off"},
		{`ssh.authorized_key("app", key = "ssh-ed25519 ` + wrong + `")`, "cut off"},
		{`ssh.authorized_key("app", key = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc")`, "private key"},
		{`ssh.authorized_key("app", key = ["` + edKey + `", "` + edKey + ` again"])`, "given twice"},
		{`ssh.authorized_key("app", key = "` + edKey + `", options = ["nopty"])`, `"nopty" is none that sshd knows`},
		{`ssh.authorized_key("app", key = "` + edKey + `", options = ["command=ls"])`, "in double quotes"},
		{`ssh.authorized_key("app", key = "` + edKey + `", options = ["command=\"a\" b\""])`, "in double quotes"},
		{`ssh.authorized_key("app", key = "` + edKey + `", options = ["command=\"a\nb\""])`, "line break"},
		{`ssh.authorized_key("app", key = "no-ptty ` + edKey + `")`, "is none that sshd knows"},
		{`ssh.authorized_key("app", key = "from=\"x ` + edKey + `")`, "not closed"},
		{`ssh.authorized_key_absent("app", key = "x")`, "is no public key"},
		{`ssh.known_host("", key = "` + edKey + `")`, "is no name or address"},
		{`ssh.known_host("a,b", key = "` + edKey + `")`, "is no name or address"},
		{`ssh.known_host("a:22", port = 0, key = "` + edKey + `")`, "is no port"},
		{`ssh.known_host("a", key = "` + edKey + `", user = "app", path = "/x")`, "one of them"},
		{`ssh.known_host("a", key = "` + edKey + `", user = "a b")`, "is no name of a user"},
		{`ssh.known_host("a", key = "b ` + edKey + `")`, `is of the host "b", not of "a"`},
		{`ssh.known_host("a", key = "")`, "it holds no key"},
		{`ssh.known_host("a", key = "a b c")`, "is no public key"},
		{`ssh.known_host("*.x", key = "` + edKey + `")`, "a pattern is for marker"},
		{`ssh.known_host("a", key = "` + edKey + `", marker = "ca")`, "cert-authority"},
		{`ssh.known_host("a", key = "` + edKey + `", marker = "revoked", hash = True)`, "cannot be hashed"},
		{`ssh.known_host_absent("a b")`, "is no name or address"},
	} {
		s.run(c.source).fails(journal.Invalid, c.want)
	}
}

func TestKnownHostLaws(t *testing.T) {
	s, f := newFakeWithApp(t)
	const file = "/home/app/.ssh/known_hosts"
	for _, c := range []struct {
		name, source string
		path         transport.Path
		want         string
	}{
		{"new", `ssh.known_host("Git.example.org", key = "git.example.org ` + edKey + ` comment")`, systemKnownHosts, "git.example.org " + edKey + "\n"},
		{"another type", `ssh.known_host("git.example.org", key = "` + ecKey + `")`, systemKnownHosts, "git.example.org " + edKey + "\ngit.example.org " + ecKey + "\n"},
		{"a new key", `ssh.known_host("git.example.org", key = "` + edKey2 + `")`, systemKnownHosts, "git.example.org " + ecKey + "\ngit.example.org " + edKey2 + "\n"},
		{"exclusive", `ssh.known_host("git.example.org", key = "` + edKey2 + `", exclusive = True)`, systemKnownHosts, "git.example.org " + edKey2 + "\n"},
		{"a port", `ssh.known_host("10.0.0.1", port = 2222, key = "` + edKey + `")`, systemKnownHosts, "git.example.org " + edKey2 + "\n[10.0.0.1]:2222 " + edKey + "\n"},
		{"an authority", `ssh.known_host("*.example.org", marker = "cert-authority", key = "` + edKey + `")`, systemKnownHosts, "git.example.org " + edKey2 + "\n[10.0.0.1]:2222 " + edKey + "\n@cert-authority *.example.org " + edKey + "\n"},
		{"absent", `ssh.known_host_absent("10.0.0.1", port = 2222)`, systemKnownHosts, "git.example.org " + edKey2 + "\n@cert-authority *.example.org " + edKey + "\n"},
		{"of a user", `ssh.known_host("a", key = "` + edKey + `", user = "app")`, file, "a " + edKey + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.on(t).law(c.source, f.Snapshot)
			holds(t, f, c.path, c.want)
		})
	}
	t.Run("hashed", func(t *testing.T) {
		s := s.on(t)
		f.WriteFile(file, "# kept\na,b "+edKey+"\nnot a line\n", "0600")
		s.law(`ssh.known_host("a", key = "`+edKey+`", user = "app", hash = True)`, f.Snapshot)
		got, _ := f.ReadFile(file)
		if strings.Contains(got, "\na "+edKey) || !strings.HasPrefix(got, "# kept\na,b "+edKey+"\nnot a line\n|1|") {
			t.Errorf("got %s", got)
		}
		s.law(`ssh.known_host("a", key = "`+edKey+`", user = "app")`, f.Snapshot)
		holds(t, f, file, "# kept\na,b "+edKey+"\nnot a line\na "+edKey+"\n")
		// a line that ssh-keygen -H made of "web1"
		f.WriteFile(file, "|1|AAECAwQFBgcICQoLDA0ODxAREhM=|"+base64.StdEncoding.EncodeToString(hashName([]byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13"), "web1"))+" "+edKey+"\n", "0600")
		s.law(`ssh.known_host_absent("web1", user = "app")`, f.Snapshot)
		holds(t, f, file, "")
	})
	s.run(`ssh.known_host("a", key = "`+edKey+`", user = "nobody-there")`).fails(journal.Broken, "user.present makes one")
	s.run(`ssh.known_host_absent("a", user = "nobody-there")`).ok()
}
