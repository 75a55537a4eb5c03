package builtins

import (
	"context"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
)

// settable lets `sysctl -w NAME=VALUE` do what it does.
func settable(f *fake.Fake) {
	f.OnExec("sysctl", func(_ context.Context, f *fake.Fake, op transport.Exec) (transport.Output, error) {
		name, value, _ := strings.Cut(string(op.Argv[2]), "=")
		f.WriteFile(transport.Path("/proc/sys/"+plainSysctl(name)), strings.ReplaceAll(value, " ", "\t")+"\n", "0644")
		return transport.Output{}, nil
	})
}

func TestSysctlLaws(t *testing.T) {
	s, f := newFake(t)
	settable(f)
	f.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n", "0644")
	f.MakeDir("/proc/sys/net/ipv4/conf/eth0.100", "0755")
	f.WriteFile("/proc/sys/net/ipv4/conf/eth0.100/forwarding", "0\n", "0644")
	const ours = "/etc/sysctl.d/99-fabgo.conf"
	live := func(p transport.Path, want string) { t.Helper(); holds(t, f, "/proc/sys/"+p, want) }
	for _, c := range []struct {
		name, source string
		file         transport.Path
		want         string
	}{
		{"both", `sysctl.set("vm.swappiness", 10)`, ours, "vm.swappiness = 10\n"},
		{"a truth", `sysctl.set("net.ipv4.ip_forward", True)`, ours, "vm.swappiness = 10\nnet.ipv4.ip_forward = 1\n"},
		{"several numbers", `sysctl.set("net.ipv4.ip_local_port_range", "1024   65000", file = "60-ports")`, "/etc/sysctl.d/60-ports.conf", "net.ipv4.ip_local_port_range = 1024 65000\n"},
		{"the file alone", `sysctl.set("vm.swappiness", 20, live = False)`, ours, "vm.swappiness = 20\nnet.ipv4.ip_forward = 1\n"},
		{"now alone", `sysctl.set("vm.swappiness", 20, persist = False)`, ours, "vm.swappiness = 20\nnet.ipv4.ip_forward = 1\n"},
		{"a dot in a part", `sysctl.set("net/ipv4/conf/eth0.100/forwarding", 1)`, ours, "vm.swappiness = 20\nnet.ipv4.ip_forward = 1\nnet/ipv4/conf/eth0.100/forwarding = 1\n"},
		{"absent", `sysctl.absent("net.ipv4.conf.eth0/100.forwarding")`, ours, "vm.swappiness = 20\nnet.ipv4.ip_forward = 1\n"},
		{"optional", `sysctl.set("net.nothing", 1, optional = True)`, ours, "vm.swappiness = 20\nnet.ipv4.ip_forward = 1\n-net.nothing = 1\n"},
		{"a path", `sysctl.set("vm.swappiness", 20, file = "/etc/sysctl.conf")`, "/etc/sysctl.conf", "vm.swappiness = 20\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.on(t).law(c.source, f.Snapshot)
			holds(t, f, c.file, c.want)
		})
	}
	live("vm/swappiness", "20\n")
	live("net/ipv4/ip_forward", "1\n")
	live("net/ipv4/ip_local_port_range", "1024\t65000\n")

	f.WriteFile(ours, "# kept\nvm/swappiness=1\n; vm.swappiness = 2\nvm.swappiness=20\n", "0644")
	s.law(`sysctl.set("vm.swappiness", 20)`, f.Snapshot)
	holds(t, f, ours, "# kept\n; vm.swappiness = 2\nvm.swappiness=20\n")
	f.WriteFile("/proc/sys/vm/swappiness", "60\n", "0644")
	if got := s.run(`sysctl.set("vm.swappiness", 20)`).ok().diffs(); !strings.Contains(got, "value: 60 -> 20") {
		t.Errorf("what the setting is now does not converge: %s", got)
	}
}

func TestSysctlFailures(t *testing.T) {
	s, f := newFake(t)
	f.OnExec("sysctl", fake.Exits(255, "sysctl: setting key \"vm.swappiness\": Read-only file system\n"))
	s.run(`sysctl.set("vm.swappiness", 10)`).fails(journal.Broken, "a container shares the kernel")
	if _, ok := f.ReadFile("/etc/sysctl.d/99-fabgo.conf"); ok {
		t.Error("what the kernel refuses was kept for the next start")
	}
	s.run(`sysctl.set("vm.nothing", 10)`).fails(journal.Broken, "this kernel has no such setting")
	for name, file := range map[string]transport.Path{"sysctl.conf": "/etc/sysctl.conf", "99-zz": "/etc/sysctl.d/99-zz.conf", "vendor": "/usr/lib/sysctl.d/zz.conf"} {
		t.Run(name, func(t *testing.T) {
			s, f := newFake(t)
			settable(f)
			f.MakeDir(file.Dir(), "0755")
			f.WriteFile(file, "vm.swappiness = 60\n", "0644")
			s.run(`sysctl.set("vm.swappiness", 10)`).fails(journal.Broken, "is read later and says \"60\"")
			f.WriteFile(file, "vm.swappiness = 10\n", "0644")
			s.law(`sysctl.set("vm.swappiness", 10)`, f.Snapshot)
		})
	}
	bare, _ := newFake(t)
	bare.run(`sysctl.set("vm.swappiness", 10)`).fails(journal.Broken, `pkg.install("procps")`)
	for _, c := range []struct{ source, want string }{
		{`sysctl.set("swappiness", 1)`, "is no name of a kernel setting"},
		{`sysctl.set("vm.swap piness", 1)`, "is no name of a kernel setting"},
		{`sysctl.set("../etc/passwd", 1)`, "is no name of a kernel setting"},
		{`sysctl.set("vm.swappiness", "")`, "it is empty"},
		{`sysctl.set("vm.swappiness", "1\n2")`, "line break"},
		{`sysctl.set("vm.swappiness", [1])`, "want a number"},
		{`sysctl.set("vm.swappiness", 1, file = "../x")`, "neither a name"},
		{`sysctl.set("vm.swappiness", 1, live = False, persist = False)`, "nothing to set"},
		{`sysctl.absent("x y")`, "is no name of a kernel setting"},
	} {
		s.run(c.source).fails(journal.Invalid, c.want)
	}
}
