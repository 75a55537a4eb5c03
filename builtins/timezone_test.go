package builtins

import (
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
)

func TestTimezoneLaws(t *testing.T) {
	s, f := newFake(t)
	for _, z := range []string{"UTC", "America/Chicago", "Etc/GMT+5"} {
		f.MakeDir((zones.Join(z)).Dir(), "0755")
		f.WriteFile(zones.Join(z), "TZif", "0644")
	}
	target := func() string {
		fi, err := transport.Do[transport.FileInfo](t.Context(), f, transport.Stat{Path: localtime})
		if err != nil {
			t.Fatal(err)
		}
		return string(fi.Target)
	}
	f.WriteFile("/etc/localtime", "TZif, copied", "0644")
	s.law(`timezone.set("America/Chicago")`, f.Snapshot)
	if got := target(); got != "/usr/share/zoneinfo/America/Chicago" {
		t.Errorf("it is a link to %q", got)
	}
	f.WriteFile("/etc/timezone", "America/Chicago\n", "0644")
	s.law(`timezone.set("Etc/GMT+5")`, f.Snapshot)
	holds(t, f, "/etc/timezone", "Etc/GMT+5\n")
	if _, err := f.Do(t.Context(), transport.Link{Path: localtime, Target: "../usr/share/zoneinfo/UTC"}); err != nil {
		t.Fatal(err)
	}
	f.WriteFile("/etc/timezone", "UTC\n", "0644")
	if got := s.run(`timezone.set("UTC", hwclock = "utc")`).ok().status(); strings.Contains(got, "changed") {
		t.Errorf("a link as systemd writes it: %s", got)
	}
	s.law(`timezone.set("UTC", hwclock = "local")`, f.Snapshot)
	holds(t, f, adjtimeFile, "0.0 0 0.0\n0\nLOCAL\n")
	f.WriteFile(adjtimeFile, "1.5 2 0.0\n2\nLOCAL\n", "0644")
	s.law(`timezone.set("UTC", hwclock = "utc")`, f.Snapshot)
	holds(t, f, adjtimeFile, "1.5 2 0.0\n2\nUTC\n")

	s.run(`timezone.set("Europe/Nowhere")`).fails(journal.Broken, `pkg.install("tzdata")`)
	if got := s.plan("run([\"true\"])\ntimezone.set(\"Europe/Nowhere\")").ok().status(); !strings.Contains(got, "timezone:Europe/Nowhere unknown") {
		t.Errorf("a zone that a command may bring: %s", got)
	}
	for _, c := range []struct{ args, want string }{
		{`""`, "is no name of a time zone"},
		{`"../../etc/passwd"`, "is no name of a time zone"},
		{`"/etc/passwd"`, "is no name of a time zone"},
		{`"America/"`, "is no name of a time zone"},
		{`"UTC", hwclock = "UTC"`, `want "utc" or "local"`},
	} {
		s.run("timezone.set("+c.args+")").fails(journal.Invalid, c.want)
	}
}
