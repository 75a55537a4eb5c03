package bundles_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fabgo/internal/machines"
)

// fabgo is the real command with a home of its own.
type fabgo struct {
	t    *testing.T
	bin  string
	home string
}

func build(t *testing.T) *fabgo {
	t.Helper()
	f := &fabgo{t: t, bin: filepath.Join(t.TempDir(), "fabgo"), home: t.TempDir()}
	machines.Build(t, f.bin)
	return f
}

// config writes an ssh_config that knows the machines as web1, web2, ... with an ordinary user.
func (f *fabgo) config(ms []*machines.Machine) {
	f.t.Helper()
	var b strings.Builder
	for i, m := range ms {
		host, port, _ := strings.Cut(m.Addr, ":")
		fmt.Fprintf(&b, "Host web%d\n  HostName %s\n  Port %s\n  User deploy\n  IdentityFile %s\n  IdentitiesOnly yes\n  UserKnownHostsFile %s\n", i+1, host, port, m.KeyFile, m.KnownHostsFile)
	}
	if err := os.MkdirAll(filepath.Join(f.home, ".ssh"), 0o700); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.home, ".ssh", "config"), []byte(b.String()), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// end is what a step's last record says.
type end struct {
	Type, Host, Builtin, Resource, Label, Status string
	Changed, Quiet                               bool
	Error                                        *struct{ Message, Stderr string }
}

func (e end) name() string { return e.Host + ": " + e.Builtin + " " + e.Resource }

// play runs the command with --json and returns the ends of its steps.
func (f *fabgo) play(args ...string) []end {
	f.t.Helper()
	cmd := exec.Command(f.bin, append(args, "--json", "--ssh-config", filepath.Join(f.home, ".ssh", "config"))...)
	cmd.Env = append(os.Environ(), "HOME="+f.home, "XDG_STATE_HOME="+filepath.Join(f.home, "state"), "SSH_AUTH_SOCK=")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		f.t.Fatalf("fabgo %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), said.String())
	}
	var ends []end
	for sc := bufio.NewScanner(&out); sc.Scan(); {
		var e end
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			f.t.Fatalf("%v: %s", err, sc.Text())
		}
		if e.Type == "end" && !e.Quiet {
			ends = append(ends, e)
		}
	}
	return ends
}

func named(ends []end, which func(end) bool) []string {
	var out []string
	for _, e := range ends {
		if which(e) {
			out = append(out, e.name())
		}
	}
	return out
}

func changed(e end) bool { return e.Changed }

func get(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v: %s", url, res.Status, err, b)
	}
	return string(b)
}

// TestMachineWeb1 makes real servers of bare Debian machines with the example bundle, as an ordinary user with sudo.
func TestMachineWeb1(t *testing.T) {
	ms := machines.Boot(t, 1)
	f := build(t)
	f.config(ms)
	m := ms[0]
	bundle := "examples/web1.star"
	// the port of its own: machines share this machine's network, and the default site of an nginx elsewhere has port 80
	vars := []string{"-e", "listen=" + m.Host() + ":8087", "-e", "port=7001", "--sudo"}
	command := func(verb string) []string { return append([]string{verb, bundle}, vars...) }

	before := m.SSH(t, "find", "/etc", "/usr/local", "/var/lib", "/srv", "/home", "-xdev", "-newermt", "2000-01-01", "-type", "f", "-printf", "%p %T@ %s %m %u\n")
	plan := f.play(command("plan")...)
	after := m.SSH(t, "find", "/etc", "/usr/local", "/var/lib", "/srv", "/home", "-xdev", "-newermt", "2000-01-01", "-type", "f", "-printf", "%p %T@ %s %m %u\n")
	if before != after {
		t.Errorf("the plan touched files:\n%s\n%s", before, after)
	}
	run := f.play(command("run")...)
	if got, want := named(run, changed), named(plan, changed); !slices.Equal(got, want) {
		t.Errorf("the plan did not name exactly what the run changed.\nplan:\n%s\nrun:\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
	for i, e := range plan {
		if e.Status == "changed" && run[i].Status != "changed" {
			t.Errorf("the plan was sure of %s, which the run found %s", e.name(), run[i].Status)
		}
	}

	if got := get(t, "http://"+m.Host()+":8087/"); got != "hello from a test machine\n" {
		t.Errorf("the site answers %q", got)
	}
	for _, c := range []struct{ command, want string }{
		{"systemctl is-active nginx hello hello-report.timer", "active\nactive\nactive"},
		{"systemctl is-enabled nginx hello hello-report.timer", "enabled\nenabled\nenabled"},
		{"stat -c '%a %U %G' /etc/hello.conf /usr/local/bin/hello /var/lib/hello", "640 root hello\n755 root root\n750 hello hello"},
		{"ps -o user= -C hello", "hello"},
		{"systemctl start hello-report.service; wc -l < /var/lib/hello/report", "1"},
		{"readlink /etc/nginx/sites-enabled/hello", "/etc/nginx/sites-available/hello"},
	} {
		if got := strings.TrimSpace(m.SSH(t, c.command)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.command, got, c.want)
		}
	}

	if again := named(f.play(command("run")...), changed); len(again) > 0 {
		t.Errorf("the second run changed %s", strings.Join(again, ", "))
	}
	if again := named(f.play(command("plan")...), changed); len(again) > 0 {
		t.Errorf("the plan after the run would change %s", strings.Join(again, ", "))
	}

	// a new value changes what hangs on it and nothing else, and the site shows it
	live := append(command("run"), "-e", "machine_is_live=true")
	got := named(f.play(live...), changed)
	want := []string{
		"web1: file.template file:/etc/motd", "web1: file.template file:/etc/hello.conf", "web1: service.restart unit:hello.service",
		"web1: file.template file:/etc/nginx/sites-available/hello", "web1: service.restart unit:nginx.service",
	}
	if !slices.Equal(got, want) {
		t.Errorf("with another variable the run changed\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := get(t, "http://"+m.Host()+":8087/"); got != "hello from the live machine\n" {
		t.Errorf("the site answers %q", got)
	}
}
