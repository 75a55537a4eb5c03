package bundles_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fabgo/internal/machines"
)

// TestMachineFab applies the libraries of @fab to a bare Debian machine: once, which makes what they say, and again, which changes nothing.
func TestMachineFab(t *testing.T) {
	ms := machines.Boot(t, 1)
	f := build(t)
	f.config(ms)
	m := ms[0]
	bundle := "testdata/fab.star"
	f.play("run", bundle, "-H", "web1", "--sudo")
	if again := named(f.play("run", bundle, "-H", "web1", "--sudo"), changed); len(again) > 0 {
		t.Errorf("the second run changed\n%s", strings.Join(again, "\n"))
	}
	if again := named(f.play("plan", bundle, "-H", "web1", "--sudo"), changed); len(again) > 0 {
		t.Errorf("the plan after the run would change\n%s", strings.Join(again, "\n"))
	}
	for _, c := range []struct{ command, want string }{
		{"visudo -cq && sudo -l -U fabapp | grep -c '/usr/bin/systemctl restart app'", "1"},
		{"sshd -T | grep -E '^(maxauthtries|permittunnel) '", "maxauthtries 4\npermittunnel no"},
		{"logrotate -d /etc/logrotate.d/fabapp 2>&1 | grep -c 'rotating pattern'", "1"},
		{"postconf -h mynetworks; postalias -q root /etc/aliases", "127.0.0.0/8\nops@example.org"},
		{"/srv/fabapp/venv/bin/python -c 'print(6*7)'; stat -c %U /srv/fabapp/venv", "42\nfabapp"},
		{"redis-cli -p 6390 config get maxmemory | tail -1", "33554432"},
		{"supervisorctl status sleeper | awk '{print $2}'; ps -o user= -C sleep", "RUNNING\nfabapp"},
		{"printf '%s\\n' '127.0.0.1:*:*:*:it'\"'\"'s \\\\ 100%' >/root/.pgpass; chmod 600 /root/.pgpass; psql -h 127.0.0.1 -U 'fab-app' -d 'fab-app \"stage\"' -Atc 'select current_user, value from setting'", "fab-app|it's; \\ drop"},
		{"runuser -u postgres -- psql -d copy -Atc 'select value from public.setting'", "it's; \\ drop"},
	} {
		if got := strings.TrimSpace(m.SSH(t, c.command)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.command, got, c.want)
		}
	}
	// what somebody changed by hand is mended, attributes and passwords too
	m.SSH(t, `runuser -u postgres -- psql -qc 'alter role "fab-app" createdb password $$other$$'; chmod 600 /etc/logrotate.d/fabapp; postconf -e mynetworks=10.0.0.0/8`)
	want := []string{"file.put file:/etc/logrotate.d/fabapp", "run postfix mynetworks = 127.0.0.0/8", "service.reload unit:postfix.service", "run role fab-app", "run password of role fab-app"}
	var got []string
	for _, e := range f.play("run", bundle, "-H", "web1", "--sudo") {
		switch {
		case e.Changed && e.Label != "":
			got = append(got, e.Builtin+" "+e.Label)
		case e.Changed:
			got = append(got, e.Builtin+" "+e.Resource)
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the run that mends changed\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// no password in the server's log
	if got := m.SSH(t, `grep -rlF "it's \\ 100%" /var/log || true`); strings.TrimSpace(got) != "" {
		t.Errorf("the password is in %s", got)
	}
	// settings that sshd refuses are not put in place
	broken := filepath.Join(t.TempDir(), "broken.star")
	if err := os.WriteFile(broken, []byte(`load("@fab//ssh.star", "ssh")
got = attempt(lambda: ssh.settings("20-broken", {"PermitRootLogin": "perhaps"}))
if got.ok or file.exists("/etc/ssh/sshd_config.d/20-broken.conf"):
    fail("broken settings were accepted")
`), 0o600); err != nil {
		t.Fatal(err)
	}
	f.play("run", broken, "-H", "web1", "--sudo")
}
