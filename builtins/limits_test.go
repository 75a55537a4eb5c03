package builtins

import (
	"testing"

	"fabgo/internal/journal"
)

func TestLimitsLaws(t *testing.T) {
	s, f := newFake(t)
	f.MakeDir("/etc/security", "0755")
	const ours = "/etc/security/limits.d/fabgo.conf"
	for _, c := range []struct{ name, source, want string }{
		{"both", `limits.set("app", "nofile", 65536)`, "app\t-\tnofile\t65536\n"},
		{"another", `limits.set("@audio", "nice", -10)`, "app\t-\tnofile\t65536\n@audio\t-\tnice\t-10\n"},
		{"two for one", `limits.set("app", "nofile", soft = 1024, hard = "unlimited")`, "@audio\t-\tnice\t-10\napp\tsoft\tnofile\t1024\napp\thard\tnofile\tunlimited\n"},
		{"one of them", `limits.set("app", "nofile", soft = 2048)`, "@audio\t-\tnice\t-10\napp\tsoft\tnofile\t2048\napp\thard\tnofile\tunlimited\n"},
		{"one for two", `limits.set("app", "nofile", "infinity")`, "@audio\t-\tnice\t-10\napp\t-\tnofile\tunlimited\n"},
		{"absent", `limits.absent("app", "nofile")`, "@audio\t-\tnice\t-10\n"},
		{"ids", `limits.set("1000:2000", "core", 0)`, "@audio\t-\tnice\t-10\n1000:2000\t-\tcore\t0\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.on(t).law(c.source, f.Snapshot)
			holds(t, f, ours, c.want)
		})
	}
	f.WriteFile("/etc/security/limits.d/old.conf", "# kept\napp   soft  nproc 10 # why\napp soft nproc 20\n* - nproc 5\n", "0644")
	s.law(`limits.set("app", "nproc", soft = 10, file = "old.conf")`, f.Snapshot)
	holds(t, f, "/etc/security/limits.d/old.conf", "# kept\napp\tsoft\tnproc\t10\n* - nproc 5\n")

	for _, c := range []struct{ args, want string }{
		{`"a b", "nofile", 1`, "is none that pam_limits takes"},
		{`"@:", "nofile", 1`, "is none that pam_limits takes"},
		{`"-x", "nofile", 1`, "is none that pam_limits takes"},
		{`"app", "files", 1`, "want one of as, chroot"},
		{`"app", "nofile"`, "give value"},
		{`"app", "nofile", 1, soft = 1`, "give value"},
		{`"app", "nofile", "many"`, "want a number from 0 on"},
		{`"app", "nofile", -2`, "want a number from 0 on"},
		{`"app", "nofile", "01"`, "want a number from 0 on"},
		{`"app", "nice", 20`, "nice: to 19"},
		{`"app", "nice", "unlimited"`, "a number from -20 on"},
		{`"app", "nofile", True`, `or "unlimited"`},
		{`"app", "nofile", soft = 20, hard = 10`, "is more than hard"},
		{`"app", "nofile", soft = "unlimited", hard = 10`, "is more than hard"},
		{`"app", "nofile", 1, file = "../x"`, "is no name of a file"},
	} {
		s.run("limits.set("+c.args+")").fails(journal.Invalid, c.want)
	}
	s.run(`limits.absent("app", "x")`).fails(journal.Invalid, "want one of")
}
