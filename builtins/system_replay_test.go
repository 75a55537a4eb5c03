package builtins

import (
	"context"
	"testing"

	"fabgo/transport"
	"fabgo/transport/tables"
)

// TestSystemReplay: a run of all that changes the system, and one that finds nothing to do, play again from their journals without a host.
func TestSystemReplay(t *testing.T) {
	s, f := newLocales(t)
	namesItself(f)
	settable(f)
	modular(f)
	mountable(f)
	swappable(f)
	updatesAlternatives(f)
	answers(f, "sh", refused, transport.Output{})
	f.PutUser(tables.User{Name: "app", UID: "1000", GID: "33", Home: "/home/app", Shell: "/bin/sh"}, "!")
	for _, d := range []transport.Path{"/var/spool/cron/crontabs", "/home/app", "/etc/security", "/usr/share/zoneinfo"} {
		f.MakeDir(d, "0755")
	}
	f.WriteFile(zones.Join("UTC"), "TZif", "0644")
	f.WriteFile("/usr/bin/a", "", "0755")
	const source = `
cron.job("a", "echo", minute = 5)
cron.variable("MAILTO", "")
ssh.authorized_key("app", key = "` + edKey + `")
ssh.known_host("a", key = "` + edKey + `", hash = True)
hostname.set("web1", hosts = True)
timezone.set("UTC")
locale.present("en_US.UTF-8")
locale.default("en_US.UTF-8")
kernel.module("dummy", options = {"a": 1})
sysctl.set("vm.swappiness", 10)
mount.present("/mnt/t", src = "tmpfs", fstype = "tmpfs", options = "size=1M")
swap.file("/swap", size = "1M")
limits.set("app", "nofile", 10)
alternatives.set("editor", "/usr/bin/a", link = "/usr/bin/editor", priority = 1)
wait.port(80)
`
	for range 2 {
		run := s.run(source).ok()
		again := *s
		again.again, again.host = run, transport.HostFunc(func(context.Context, transport.Op) (transport.Result, error) { panic("a replay has no host") })
		replay := again.run(source).ok()
		if replay.status() != run.status() || replay.diffs() != run.diffs() {
			t.Errorf("the replay says\n%s\n%s\nthe run said\n%s\n%s", replay.status(), replay.diffs(), run.status(), run.diffs())
		}
	}
}
