package ssh

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]target{
		"host": {host: "host"}, "user@host": {user: "user", host: "host"}, "user@host:2222": {"user", "host", 2222}, "[::1]:22": {host: "::1", port: 22},
		"::1": {host: "::1"}, "[fe80::1]": {host: "fe80::1"}, "ssh://user@host:22": {"user", "host", 22}, "ssh://host/": {host: "host"},
		`DOMAIN\user@host`: {user: `DOMAIN\user`, host: "host"}, "a@b@host": {user: "a@b", host: "host"}, "first last+x.Y@host": {user: "first last+x.Y", host: "host"},
		"ssh://a%40b@host": {user: "a@b", host: "host"},
	} {
		if got, err := parseTarget(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-oProxyCommand=id", "user@-oProxyCommand=id", "@host", "host:", "host:x", "host:0", "host:70000", "[::1", "[::1]x", "ho st", "h\x00", "a$(id)", "ssh://"} {
		if got, err := parseTarget(text); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}

func TestResolve(t *testing.T) {
	home := isolate(t)
	os.MkdirAll(filepath.Join(home, ".ssh", "conf.d"), 0o700)
	os.WriteFile(filepath.Join(home, ".ssh", "conf.d", "a.conf"), []byte("Host included\n  User inc\n"), 0o600)
	file := filepath.Join(home, "config")
	os.WriteFile(file, []byte(`# comment
Include conf.d/*.conf
Host web* !web9
  HostName = %h.example.org
  User "deploy er"
  Port 2200
  IdentityFile ~/.ssh/%r-%h
  IdentityFile /second # behind
  IdentitiesOnly yes
  ConnectTimeout 7
  ServerAliveInterval 1m
  StrictHostKeyChecking accept-new
  UserKnownHostsFile ~/kh1 "/kh 2"
  ProxyJump jump1,user2@jump2:2022
Host jump1
  HostName 10.0.0.1
  User j1
  ProxyJump none
Host *
  User fallback
  ProxyJump jump1
`), 0o600)
	o := Options{Config: file}
	e, err := Resolve("web1", o)
	if err != nil {
		t.Fatal(err)
	}
	if e.Host != "web1.example.org" || e.User != "deploy er" || e.Port != 2200 || !e.IdentitiesOnly || e.ConnectTimeout != 7*time.Second ||
		e.KeepAlive != time.Minute || e.HostKeys != AcceptNewHostKey || !slices.Equal(e.KnownHosts, []string{home + "/kh1", "/kh 2"}) ||
		!slices.Equal(e.Identities, []string{home + "/.ssh/deploy er-web1.example.org", "/second"}) {
		t.Errorf("%+v", e)
	}
	if len(e.Jumps) != 2 || e.Jumps[0].Host != "10.0.0.1" || e.Jumps[0].User != "j1" || e.Jumps[1].User != "user2" || e.Jumps[1].Port != 2022 {
		t.Errorf("jumps %+v", e.Jumps)
	}
	if e, err = Resolve("included", o); err != nil || e.User != "inc" || len(e.Jumps) != 1 {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err = Resolve("web9", o); err != nil || e.User != "fallback" || e.Port != 22 {
		t.Errorf("%+v, %v", e, err)
	}
	o = Options{Config: file, User: "u", Port: 1, Jump: "none", Identities: []string{"~/k"}, KnownHosts: "~/kh", HostKeys: StrictHostKey, ConnectTimeout: time.Second}
	if e, err = Resolve("web1", o); err != nil || e.User != "u" || e.Port != 1 || len(e.Jumps) != 0 || e.Identities[0] != home+"/k" || e.KnownHosts[0] != home+"/kh" ||
		e.HostKeys != StrictHostKey || e.ConnectTimeout != time.Second {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := Resolve("x", Options{Config: filepath.Join(home, "nosuch")}); err == nil {
		t.Error("a missing file that was asked for is no error")
	}
}

func TestResolveMatch(t *testing.T) {
	home := isolate(t)
	file := filepath.Join(home, "config")
	os.WriteFile(file, []byte("Match host web1 user odd\n  Port 2022\nMatch host web1\n  User matched\n"), 0o600)
	if _, err := exec.LookPath("ssh"); err == nil {
		e, err := Resolve("web1", Options{Config: file})
		if err != nil || e.User != "matched" || e.Port != 22 || !e.DefaultKeys {
			t.Errorf("%+v, %v", e, err)
		}
		if e, err = Resolve("odd@web1", Options{Config: file}); err != nil || e.Port != 2022 {
			t.Errorf("%+v, %v", e, err)
		}
	}
	t.Setenv("PATH", home)
	if _, err := Resolve("web1", Options{Config: file}); err == nil || !strings.Contains(err.Error(), "Match") || !strings.Contains(err.Error(), file+":1") {
		t.Errorf("without ssh: %v", err)
	}
}

func TestF50UserNameInProxyCommand(t *testing.T) {
	home := isolate(t)
	file := filepath.Join(home, "config")
	os.WriteFile(file, []byte("Host x\n ProxyCommand nc %h %p %r\n"), 0o600)
	if e, err := Resolve("me@x", Options{Config: file}); err != nil || e.ProxyCommand != "nc x 22 me" {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := Resolve("$(id)@x", Options{Config: file}); err == nil {
		t.Error("a user name becomes a command")
	}
}

func FuzzShellWord(f *testing.F) {
	all := make([]byte, 255)
	for i := range all {
		all[i] = byte(i + 1)
	}
	for _, s := range []string{"", "a", "'", "\n", "-n", "$(id)", `\`, "!", string(all), "x\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.IndexByte(s, 0) >= 0 || len(s) > 10_000 {
			t.Skip()
		}
		want := s + "|" + s + "|"
		script := "printf '%s|' " + shellWord(s) + " " + shellWords([]string{s})
		for _, c := range []string{script, loginCommand(script)} {
			out, err := exec.Command("/bin/sh", "-c", c).Output()
			if err != nil || string(out) != want {
				t.Fatalf("%q through %q: %q, %v", s, c, out, err)
			}
		}
	})
}

// TestKnownHostsOfAnInventory: ssh_config < inventory < the target < options, for hosts on the way too.
func TestKnownHostsOfAnInventory(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte("Host web1\n  HostName below\n  User below\n  Port 1\n  ProxyJump jump\nHost *\n  ConnectTimeout 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	known := map[string]Known{"web1": {Address: "192.0.2.1", User: "inv", Port: 2}, "jump": {Address: "192.0.2.2", User: "hop"}, "bad": {Address: "-oX=y"}}
	o := Options{Config: config, Known: func(name string) Known { return known[name] }}
	for _, c := range []struct {
		target, user string
		port         int
		want         string
	}{
		{"web1", "", 0, "inv@192.0.2.1:2"},
		{"me@web1:3", "", 0, "me@192.0.2.1:3"},
		{"web1", "flag", 4, "flag@192.0.2.1:4"},
	} {
		o.User, o.Port = c.user, c.port
		e, err := Resolve(c.target, o)
		if got := e.User + "@" + e.Addr(); err != nil || got != c.want || e.Name != "web1" || e.ConnectTimeout != 7*time.Second {
			t.Errorf("%s: %s (%s), %v, want %s", c.target, got, e.Name, err, c.want)
		}
		if len(e.Jumps) != 1 || e.Jumps[0].User != "hop" || e.Jumps[0].Host != "192.0.2.2" {
			t.Errorf("%s: on the way %+v", c.target, e.Jumps)
		}
	}
	if _, err := Resolve("bad", o); err == nil || !strings.Contains(err.Error(), "its address in the inventory: a host cannot begin with a dash") {
		t.Errorf("%v", err)
	}
}
