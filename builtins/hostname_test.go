package builtins

import (
	"context"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
)

// namesItself lets `hostname NAME` do what it does.
func namesItself(f *fake.Fake) {
	f.OnExec("hostname", func(_ context.Context, f *fake.Fake, op transport.Exec) (transport.Output, error) {
		f.WriteFile("/proc/sys/kernel/hostname", string(op.Argv[1])+"\n", "0644")
		return transport.Output{}, nil
	})
}

func TestHostnameLaws(t *testing.T) {
	s, f := newFake(t)
	namesItself(f)
	for _, c := range []struct{ name, source, hosts string }{
		{"short", `hostname.set("web1")`, "127.0.0.1\tlocalhost\n127.0.1.1\tfake\n"},
		{"hosts", `hostname.set("web1.example.org", hosts = True)`, "127.0.0.1\tlocalhost\n127.0.1.1\tweb1.example.org web1\n"},
		{"an address", `hostname.set("web2.example.org", hosts = "10.0.0.5")`, "127.0.0.1\tlocalhost\n10.0.0.5\tweb2.example.org web2\n"},
		{"back", `hostname.set("web2", hosts = "2001:DB8::1")`, "127.0.0.1\tlocalhost\n2001:db8::1\tweb2\n10.0.0.5\tweb2.example.org web2\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.on(t).law(c.source, f.Snapshot)
			holds(t, f, "/etc/hosts", c.hosts)
		})
	}
	holds(t, f, "/etc/hostname", "web2\n")
	f.WriteFile("/proc/sys/kernel/hostname", "dhcp\n", "0644")
	if got := s.run(`hostname.set("web2")`).ok().diffs(); !strings.Contains(got, "dhcp -> web2") {
		t.Errorf("the name that it has now does not converge: %s", got)
	}
	f.WriteFile("/etc/hosts", "127.0.0.1 localhost # 127.0.1.1\n::1 ip6-localhost\n127.0.1.1   web2\n127.0.1.1 again\n", "0644")
	s.law(`hostname.set("web2", hosts = True)`, f.Snapshot)
	holds(t, f, "/etc/hosts", "127.0.0.1 localhost # 127.0.1.1\n::1 ip6-localhost\n127.0.1.1   web2\n")
}

func TestHostnameFailures(t *testing.T) {
	s, f := newFake(t)
	f.OnExec("hostname", fake.Exits(1, "hostname: you must be root to change the host name\n"))
	s.run(`hostname.set("web1")`).fails(journal.Broken, "a container may not be allowed to")
	for _, c := range []struct{ args, want string }{
		{`""`, "is no name of a host"},
		{`"web_1"`, "is no name of a host"},
		{`"-web"`, "is no name of a host"},
		{`"web..org"`, "is no name of a host"},
		{`"10.0.0.1"`, "is an address"},
		{`"` + strings.Repeat("a", 65) + `"`, "the kernel takes 64"},
		{`"web1", hosts = "here"`, "want True, or an address"},
		{`"web1", hosts = "127.0.0.1"`, "belongs to localhost"},
		{`"web1", hosts = 1`, "want True, or an address"},
	} {
		s.run("hostname.set("+c.args+")").fails(journal.Invalid, c.want)
	}
}
