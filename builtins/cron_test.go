package builtins

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
)

// newFake is a stage whose host is in memory.
func newFake(t *testing.T) (*stage, *fake.Fake) {
	t.Helper()
	f := fake.New(fake.Options{})
	return newStage(t, f), f
}

// holds demands what a file of the fake holds.
func holds(t *testing.T, f *fake.Fake, p transport.Path, want string) {
	t.Helper()
	if got, ok := f.ReadFile(p); !ok || got != want {
		t.Errorf("%s holds\n%s\nwant\n%s", p, got, want)
	}
}

const rootCrontab transport.Path = "/var/spool/cron/crontabs/root"

func TestCronLaws(t *testing.T) {
	s, f := newFake(t)
	f.MakeDir("/var/spool/cron/crontabs", "1730")
	head := strings.Join(crontabHeader, "\n") + "\n"
	for _, c := range []struct {
		name, source string
		path         transport.Path
		want         string
	}{
		{"new", `cron.job("a", "echo 100% sure", hour = 2, minute = "*/10")`, rootCrontab, head + "# fabgo: a\n*/10 2 * * * echo 100\\% sure\n"},
		{"all times", `cron.job("a", "echo", minute = "0,30", hour = "1-5/2", day = 31, month = "jan-mar", weekday = "sun")`, rootCrontab, head + "# fabgo: a\n0,30 1-5/2 31 jan-mar sun echo\n"},
		{"a second", `cron.job("b", ["/bin/b", "it's", ""], special = "@daily")`, rootCrontab, head + "# fabgo: a\n0,30 1-5/2 31 jan-mar sun echo\n# fabgo: b\n@daily /bin/b 'it'\\''s' ''\n"},
		{"disabled", `cron.job("a", "echo", disabled = True)`, rootCrontab, head + "# fabgo: a\n#* * * * * echo\n# fabgo: b\n@daily /bin/b 'it'\\''s' ''\n"},
		{"absent", `cron.absent("b")`, rootCrontab, head + "# fabgo: a\n#* * * * * echo\n"},
		{"variables", `cron.job("a", "echo $A", env = {"B": "x y", "A": "1%"}, special = "reboot")`, rootCrontab, head + "# fabgo: a\n@reboot export A='1\\%'; export B='x y'; echo $A\n"},
		{"a user's", `cron.job("a", "echo", user = "www-data")`, "/var/spool/cron/crontabs/www-data", head + "# fabgo: a\n* * * * * echo\n"},
		{"a file", `cron.job("f", "echo", minute = 5, user = "www-data", file = "mine", env = {"MAILTO": "", "X": "a\"b"})`, "/etc/cron.d/mine", "# fabgo: f\nMAILTO=\"\"\nX='a\"b'\n5 * * * * www-data echo\n"},
		{"a file again", `cron.job("f", "echo", file = "mine")`, "/etc/cron.d/mine", "# fabgo: f\n* * * * * root echo\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.on(t).law(c.source, f.Snapshot)
			holds(t, f, c.path, c.want)
		})
	}
	fi, err := transport.Do[transport.FileInfo](t.Context(), f, transport.Stat{Path: "/var/spool/cron/crontabs/www-data"})
	if err != nil || fi.Mode != "0600" || fi.Owner != "www-data" {
		t.Errorf("the crontab of www-data is %+v, %v", fi, err)
	}
	s.law(`cron.absent("f", file = "mine")`, f.Snapshot)
	if _, ok := f.ReadFile("/etc/cron.d/mine"); ok {
		t.Error("the file is still there")
	}
}

// TestCronKeeps: what others wrote into a crontab stays, byte for byte, and a job of Ansible's becomes ours.
func TestCronKeeps(t *testing.T) {
	s, f := newFake(t)
	f.MakeDir("/var/spool/cron/crontabs", "1730")
	f.WriteFile(rootCrontab, "MAILTO=me\r\n#Ansible: old\n1 1 * * * old\n# fabgo: torn\n# fabgo: next\n2 2 * * * next", "0600")
	s.law(`cron.job("old", "new", minute = 7)`, f.Snapshot)
	holds(t, f, rootCrontab, "MAILTO=me\r\n# fabgo: old\r\n7 * * * * new\r\n# fabgo: torn\n# fabgo: next\n2 2 * * * next")
	s.law(`cron.absent("torn")`, f.Snapshot)
	holds(t, f, rootCrontab, "MAILTO=me\r\n# fabgo: old\r\n7 * * * * new\r\n# fabgo: next\n2 2 * * * next")
	if got := s.run("cron.absent(\"nothing\")\ncron.absent(\"nothing\", user = \"www-data\")\ncron.absent(\"nothing\", file = \"nothing\")").ok().status(); strings.Contains(got, "changed") {
		t.Errorf("%s", got)
	}
}

func TestCronVariable(t *testing.T) {
	s, f := newFake(t)
	f.MakeDir("/var/spool/cron/crontabs", "1730")
	head := strings.Join(crontabHeader, "\n") + "\n"
	job := "# fabgo: a\n* * * * * A=1 echo\n"
	s.run(`cron.job("a", "A=1 echo")`).ok()
	for _, c := range []struct{ source, want string }{
		{`cron.variable("MAILTO", "")`, head + "MAILTO=\"\"\n" + job},
		{`cron.variable("PATH", "/a b:/\"c")`, head + "PATH='/a b:/\"c'\nMAILTO=\"\"\n" + job},
		{`cron.variable("MAILTO", "ops")`, head + "PATH='/a b:/\"c'\nMAILTO=\"ops\"\n" + job},
		{`cron.variable("PATH", absent = True)`, head + "MAILTO=\"ops\"\n" + job},
	} {
		s.law(c.source, f.Snapshot)
		holds(t, f, rootCrontab, c.want)
	}
	f.WriteFile(rootCrontab, "MAILTO=ops\n1 1 * * * x\n\"MAILTO\" = again\n", "0600")
	s.law(`cron.variable("MAILTO", "ops")`, f.Snapshot)
	holds(t, f, rootCrontab, "MAILTO=ops\n1 1 * * * x\n")
	s.law(`cron.variable("MAILTO", "x", user = "www-data")`, f.Snapshot)
	holds(t, f, "/var/spool/cron/crontabs/www-data", head+"MAILTO=\"x\"\n")
	s.run(`cron.variable("MAILTO", absent = True, user = "nobody")`).ok()
	s.run(`cron.variable("MAILTO", "x", user = "nobody-there")`).fails(journal.Broken, "user.present makes one")
	for _, c := range []struct{ args, want string }{
		{`"A B", "x"`, "is no name of a variable"},
		{`"A"`, "give value, or absent = True"},
		{`"A", "x", absent = True`, "give value, or absent = True"},
		{`"A", "x\ny"`, "line break"},
		{`"A", "\"'"`, "both kinds of quotes"},
		{`"A", "x", user = "a b"`, "is no name of a user"},
	} {
		s.run("cron.variable("+c.args+")").fails(journal.Invalid, c.want)
	}
}

func TestCronFailures(t *testing.T) {
	s, f := newFake(t)
	s.run(`cron.job("a", "echo")`).fails(journal.Broken, `pkg.install("cron")`)
	s.run(`cron.variable("A", "x")`).fails(journal.Broken, `pkg.install("cron")`)
	s.run(`cron.absent("a")`).ok()
	f.MakeDir("/var/spool/cron/crontabs", "1730")
	s.run(`cron.job("a", "echo", user = "nobody-there")`).fails(journal.Broken, "user.present makes one")
	if got := s.plan("run([\"true\"])\ncron.job(\"a\", \"echo\", user = \"not-yet\")").ok().status(); !strings.Contains(got, "cron.job cron:not-yet/a unknown") {
		t.Errorf("a user that a command may make: %s", got)
	}
}

// TestShellWord: a shell gets every word as it was, whatever bytes are in it.
func TestShellWord(t *testing.T) {
	words := []string{"", "-n", "a b", "it's", "''", "$HOME", "`id`", "\\", "é", "a;b&c|d", "*", "~", "#x", "!!"}
	for b := 1; b < 256; b++ {
		words = append(words, "x"+string([]byte{byte(b)})+"'y")
	}
	script := "printf '%s\\0'"
	for _, w := range words {
		script += " " + shellWord(w)
	}
	out, err := exec.Command("/bin/sh", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); !slices.Equal(got, words) {
		t.Errorf("the shell got %q", got)
	}
}

func TestCronRefusals(t *testing.T) {
	s, _ := newFake(t)
	for _, c := range []struct{ args, want string }{
		{`"", "echo"`, "is found again by its name"},
		{`"a\nb", "echo"`, "line break"},
		{`"a", ""`, "the command is empty"},
		{`"a", "echo\nrm"`, "line break"},
		{`"a", "echo \\%"`, "it is escaped for cron by itself"},
		{`"a", "echo", minute = 60`, `"60" is not among numbers from 0 to 59`},
		{`"a", "echo", minute = "*/0"`, `the step "0"`},
		{`"a", "echo", minute = "5/2"`, "a step follows"},
		{`"a", "echo", hour = "9-5"`, "runs backwards"},
		{`"a", "echo", hour = -1`, "is not among"},
		{`"a", "echo", day = 0`, "numbers from 1 to 31"},
		{`"a", "echo", month = "january"`, `names such as "feb"`},
		{`"a", "echo", weekday = "8"`, "numbers from 0 to 7"},
		{`"a", "echo", weekday = "mon fri"`, "is not among"},
		{`"a", "echo", minute = True`, "want a number"},
		{`"a", "echo", special = "@noon"`, "want one of @reboot"},
		{`"a", "echo", special = "@daily", hour = 3`, "leave hour out"},
		{`"a", "echo", user = "a b"`, "is no name of a user"},
		{`"a", "echo", file = "a.cron"`, "cron reads only files"},
		{`"a", "echo", file = "../x"`, "cron reads only files"},
		{`"a", "echo", env = {"MAILTO": "x"}`, "file = of its own"},
		{`"a", "echo", env = {"A B": "x"}`, "is no name of a variable"},
		{`"a", "echo", env = {"A": "x\ny"}`, "line break"},
		{`"a", "echo", file = "f", env = {"A": "'\""}`, "both kinds of quotes"},
	} {
		s.run("cron.job("+c.args+")").fails(journal.Invalid, c.want)
	}
	s.run(`cron.absent(" a")`).fails(journal.Invalid, "is found again by its name")
	s.run(`cron.absent("a", file = "a.b")`).fails(journal.Invalid, "cron reads only files")
}
