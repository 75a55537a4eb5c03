package builtins

import (
	"context"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
)

// modular lets modprobe load and unload what the fake kernel has.
func modular(f *fake.Fake) {
	f.MakeDir("/sys/module", "0755")
	f.OnExec("modprobe", func(ctx context.Context, f *fake.Fake, op transport.Exec) (transport.Output, error) {
		if op.Argv[1] == "-r" {
			_, err := f.Do(ctx, transport.Remove{Path: "/sys/module/" + transport.Path(plainModule(string(op.Argv[2])))})
			return transport.Output{}, err
		}
		if op.Argv[1] == "nothing" {
			return transport.Output{Code: 1, Stderr: "modprobe: FATAL: Module nothing not found\n"}, nil
		}
		f.MakeDir("/sys/module/"+transport.Path(plainModule(string(op.Argv[1]))), "0755")
		return transport.Output{}, nil
	})
}

func TestKernelLaws(t *testing.T) {
	s, f := newFake(t)
	modular(f)
	f.MakeDir("/lib/modules/6.1.0-fake", "0755")
	for _, c := range []struct {
		name, source string
		file         transport.Path
		want         string
	}{
		{"loaded and kept", `kernel.module("br-netfilter")`, "/etc/modules-load.d/br-netfilter.conf", "br-netfilter\n"},
		{"options", `kernel.module("dummy", options = {"numdummies": 2, "name": "a b", "flag": ""})`, "/etc/modprobe.d/dummy.conf", "options dummy flag name=\"a b\" numdummies=2\n"},
		{"other options", `kernel.module("dummy", options = {"numdummies": 3})`, "/etc/modprobe.d/dummy.conf", "options dummy numdummies=3\n"},
		{"the files alone", `kernel.module("later", loaded = False)`, "/etc/modules-load.d/later.conf", "later\n"},
		{"blacklist", `kernel.blacklist("pcspkr")`, "/etc/modprobe.d/blacklist-pcspkr.conf", "blacklist pcspkr\n"},
		{"hard", `kernel.blacklist("pcspkr", hard = True)`, "/etc/modprobe.d/blacklist-pcspkr.conf", "blacklist pcspkr\ninstall pcspkr /bin/false\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.on(t).law(c.source, f.Snapshot)
			holds(t, f, c.file, c.want)
		})
	}
	s.law(`kernel.module("now", persist = False)`, f.Snapshot)
	for _, source := range []string{`kernel.module("dummy", options = {})`, `kernel.module_absent("br_netfilter")`, `kernel.module_absent("later", unload = False)`, `kernel.blacklist_absent("pcspkr")`} {
		s.law(source, f.Snapshot)
	}
	for _, p := range []transport.Path{"/etc/modprobe.d/dummy.conf", "/etc/modules-load.d/later.conf", "/etc/modprobe.d/blacklist-pcspkr.conf", "/etc/modules-load.d/now.conf"} {
		if _, ok := f.ReadFile(p); ok {
			t.Errorf("%s is there", p)
		}
	}
	f.WriteFile("/lib/modules/6.1.0-fake/modules.builtin", "kernel/fs/ext4/ext4.ko\nkernel/net/in-side.ko.xz\n", "0644")
	if got := s.run(`kernel.module("in_side", persist = False)`).ok().status(); strings.Contains(got, "changed") {
		t.Errorf("what is built in is there: %s", got)
	}
	s.run(`kernel.module_absent("ext4")`).fails(journal.Broken, "built into the kernel")
	s.run(`kernel.module_absent("ext4", unload = False)`).ok()
}

// TestKernelPlan: a setting that a module brings is no error of the plan, and what a module cannot bring stays known.
func TestKernelPlan(t *testing.T) {
	s, f := newFake(t)
	modular(f)
	p := s.plan("kernel.module(\"br_netfilter\")\nsysctl.set(\"net.bridge.bridge-nf-call-iptables\", 1)\nkernel.module(\"br_netfilter\")\nfile.put(\"/etc/new\", content = \"\")").ok()
	want := "kernel.module module:br_netfilter changed\nsysctl.set sysctl:net.bridge.bridge-nf-call-iptables unknown\nkernel.module module:br_netfilter ok\nfile.put file:/etc/new changed"
	if p.status() != want {
		t.Errorf("got\n%s\nwant\n%s", p.status(), want)
	}
}

func TestKernelFailures(t *testing.T) {
	s, f := newFake(t)
	f.MakeDir(modulesLoad, "0755")
	s.run(`kernel.module("dummy")`).fails(journal.Broken, `pkg.install("kmod")`)
	modular(f)
	s.run(`kernel.module("nothing")`).fails(journal.Broken, "Module nothing not found")
	if _, ok := f.ReadFile("/etc/modules-load.d/nothing.conf"); ok {
		t.Error("what cannot be loaded is to be loaded at the next start")
	}
	for _, c := range []struct{ source, want string }{
		{`kernel.module("a b")`, "is no name of a kernel module"},
		{`kernel.module("-r")`, "is no name of a kernel module"},
		{`kernel.module("../x")`, "is no name of a kernel module"},
		{`kernel.module("a", options = {"x y": 1})`, "is no name of an option"},
		{`kernel.module("a", options = {"x": "\""})`, "holds a quote"},
		{`kernel.module("a", loaded = False, persist = False)`, "nothing to do"},
		{`kernel.module_absent("a/b")`, "is no name of a kernel module"},
		{`kernel.blacklist("")`, "is no name of a kernel module"},
		{`kernel.blacklist_absent("a b")`, "is no name of a kernel module"},
	} {
		s.run(c.source).fails(journal.Invalid, c.want)
	}
}
