package builtins

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"fabgo/internal/journal"
)

func TestRunForReal(t *testing.T) {
	s := newSandbox(t)
	p := s.run(`
r = run(["printf", "%s|", "a b", "$HOME", "*"])
note(r.stdout)
note(str([r.ok, r.code, r.ran, r.changed, bool(r), r.stderr]))
note(run("echo $LC_ALL $HOME; pwd; id -un").stdout)
note(run("echo $X; pwd; id -un", user = "daemon", cwd = "/usr", env = {"X": "a'b \"c\"", "N": 3}).stdout)
note(run(["cat"], stdin = "no newline").stdout)
r = run("echo out; echo err >&2; exit 3", check = False)
note(str([bool(r), r.ok, r.code, r.stdout, r.stderr]))
note(str(bool(run("exit 3", ok_codes = [0, 3]))))
file.put("/etc/profile.d/fabgo.sh", content = "export FROM_PROFILE=yes\n")
note(query("echo $FROM_PROFILE-$(id -un)", user = "daemon").stdout)
user.present("bashful", shell = "/bin/bash")
note(run("echo $FROM_PROFILE-$(id -un)", login = True, user = "bashful").stdout)
note(query("echo $FROM_PROFILE-$(id -un)", login = True, user = "bashful").stdout)
`).ok()
	want := strings.Join([]string{
		"a b|$HOME|*|", `[True, 0, True, True, True, ""]`, "C /root\n/\nroot\n", "a'b \"c\"\n/usr\ndaemon\n", "no newline",
		`[False, False, 3, "out\n", "err\n"]`, "True", "-daemon\n", "yes-bashful\n", "yes-bashful\n",
	}, "\n")
	if got := p.notes(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	s.run(`run("echo sorry >&2; exit 7")`).fails(journal.Broken, "exit code 7\n\nsorry")
	s.run(`run("true", user = "nobodyatall")`).fails(journal.Broken, "nobodyatall")
	s.run(`run(["nosuchprogram"])`).fails(journal.Broken, "nosuchprogram")
	s.run(`run("true", cwd = "/nowhere")`).fails(journal.Broken, "/nowhere")
}

func TestRunGuards(t *testing.T) {
	s := newSandbox(t)
	p := s.run(`
run("echo once >> /srv/guarded", creates = "/srv/guarded")
run("echo twice >> /srv/guarded", creates = "/srv/guarded")
run("rm /srv/guarded", removes = "/srv/guarded")
run("rm /srv/guarded", removes = "/srv/guarded")
run("false", unless = "true")
run("false", unless = ["true"])
run("false", only_if = "false")
run("true", only_if = "test $(id -un) = daemon", user = "daemon")
run("true", unless = "test -e x", cwd = "/srv")
run("cat >/srv/in", only_if = "test -z \"$(cat)\"", stdin = "for the command alone")
run("grep -q mine", only_if = "grep -q theirs", stdin = "mine", guard_stdin = "theirs")
run("false", unless = "grep -q theirs", guard_stdin = "theirs")
file.link("/srv/dangling", target = "nowhere")
run("true", creates = "/srv/dangling")
run("true", removes = "/srv/dangling")
nothing = file.put("/etc/hostname", content = query(["cat", "/etc/hostname"]).stdout)
run("false", on = nothing)
run("false", on = [nothing, None])
conf = file.put("/srv/conf", content = "x")
run("true", on = [nothing, conf], label = "because of conf")
`).ok()
	var got []string
	for _, e := range p.ends() {
		got = append(got, string(e.Status))
		if e.Status == journal.Skipped && e.Because == "" {
			t.Errorf("%s: nothing says why it was skipped", e.Resource)
		}
	}
	if s := strings.Join(got, " "); s != "changed skipped changed skipped skipped skipped skipped changed changed changed changed skipped changed changed skipped ok skipped skipped changed changed" {
		t.Errorf("got %s\n%s", s, p.status())
	}
	if e := p.ends()[len(p.ends())-1]; e.Label != "because of conf" {
		t.Errorf("the label is %q", e.Label)
	}
	s.plan(`run("true", guard_stdin = "x")`).fails(journal.Invalid, "run: guard_stdin is the input of unless or only_if, and neither is given")
}

// TestTimeoutKillsChildren: what the command started ends with it.
func TestTimeoutKillsChildren(t *testing.T) {
	s := newLocal(t)
	f := t.TempDir() + "/pid"
	since := time.Now()
	s.run(`run("sleep 321 & echo $! > `+f+`; wait", timeout = "300ms")`).fails(journal.Broken, "300ms")
	if time.Since(since) > 20*time.Second {
		t.Error("the command was waited for")
	}
	pid, err := os.ReadFile(f)
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
	if err == nil && !strings.Contains(string(stat), ") Z ") {
		t.Errorf("the child lives: %s", stat)
	}
}

func TestPlannedRunIsUnknown(t *testing.T) {
	s := newLocal(t)
	for _, c := range []string{`r.stdout`, `r.stderr`, `r.code`, `r.ok`, `attempt(lambda: r.stdout)`, `retry(lambda: r.stdout)`, `attempt(lambda: note(r.stdout))`} {
		p := s.plan("r = run(\"echo x\")\n"+c+"\nnote(\"here\")").fails(journal.Partial, "not known before the run, because of step 1 (run")
		if strings.Contains(p.notes(), "here") || len(p.finish.Error.Frames) == 0 || !strings.Contains(p.finish.Error.Frames[0], "bundle.star:2:") {
			t.Errorf("%s: %q, %+v", c, p.notes(), p.finish.Error)
		}
	}
	for _, c := range []string{`bool(r)`, `note("x") if r else None`, `attempt(lambda: note("x") if r else fail("no"))`, `retry(lambda: not r)`} {
		p := s.plan("r = run(\"echo x\", check = False)\n"+c+"\nnote(\"here\")").fails(journal.Partial, "not known before the run")
		if strings.Contains(p.notes(), "here") {
			t.Errorf("%s: went on", c)
		}
	}
	p := s.plan(`
r = run("echo x")
if r and r.changed and not r.ran:
    note("true")
q = query("test -e /nowhere/at/all")
note("still here")
`).ok()
	if p.notes() != "true\nstill here" {
		t.Errorf("%q", p.notes())
	}
	s.plan("run(\"true\")\nnote(query(\"test -e /nowhere/at/all\").stdout)").fails(journal.Partial, "the outcome of")
	s.plan("run(\"true\")\nnote(\"a\") if query(\"test -e /nowhere/at/all\", check = False) else None").fails(journal.Partial, "the outcome of")
	s.plan(`note(query("exit 3", ok_codes = 3).stdout)`).ok()
}

func TestQuery(t *testing.T) {
	s := newLocal(t)
	for _, play := range []func(string, ...string) *performance{s.plan, s.run} {
		p := play(`
note(query(["echo", "hi"]).stdout)
note(str(bool(query("exit 1", check = False))))
note(query("cat; echo $A", stdin = "in", env = {"A": "b"}, cwd = "/usr").stdout)
`).ok()
		if p.notes() != "hi\n\nFalse\ninb\n" || len(p.ends()) != 0 {
			t.Errorf("%q, %s", p.notes(), p.status())
		}
		play(`query("echo no >&2; exit 4")`).fails(journal.Broken, "exit code 4\n\nno")
	}
}

func TestCoreRefusals(t *testing.T) {
	s := newLocal(t)
	for _, c := range []struct{ source, want string }{
		{`run("")`, "run: command: the command is empty"},
		{`run([])`, "the command is empty"},
		{`run(["a\0b"])`, "NUL byte"},
		{`run({"a": 1})`, "want a list (the program and its arguments) or a string"},
		{`run("true", env = {"A=B": "c"})`, `env: "A=B" is no name of a variable`},
		{`run("true", env = ["a"])`, "env: got list"},
		{`run("true", cwd = "tmp")`, `cwd: path "tmp" is not absolute`},
		{`run("true", ok_codes = ["x"])`, "ok_codes: got string"},
		{`run("true", ok_codes = 256)`, "exit codes from 0 to 255"},
		{`run("true", timeout = "soon")`, `"90s"`},
		{`run("true", timeout = -1)`, "timeout: got int -1"},
		{`run("true", on = "x")`, "on: got string"},
		{`run("true", check = 1)`, "want True or False"},
		{`run("true", usr = "x")`, `did you mean`},
		{`query("true", user = [])`, "user: got list"},
		{`retry(lambda: 1, times = 0)`, "want 1 to 1000"},
		{`retry(3)`, "fn: got int 3, want a function"},
		{`at_end("x")`, "want a function"},
		{`shell(cwd = "here")`, `path "here" is not absolute`},
		{`shell().rum`, "did you mean .run"},
		{`shell().file.putt`, "did you mean"},
		{`host.nam`, "did you mean .name"},
		{`run("true").stdot`, "did you mean .stdout"},
	} {
		s.run(c.source).fails(journal.Invalid, c.want)
	}
}

func TestAttempt(t *testing.T) {
	s := newLocal(t)
	p := s.run(`
def add(a, b = 1):
    return a + b

x = attempt(add, 2, b = 3)
note(str([x.ok, x.value, x.error]))
x = attempt(lambda: run("echo no >&2; exit 2"))
note(str([x.ok, x.value]) + x.error)
x = attempt(lambda: fail("by hand"))
note(x.error)
x = attempt(lambda: attempt(lambda: fail("inner")).error + " held")
note(x.value)
`).ok()
	notes := p.notes()
	for _, want := range []string{`[True, 5, ""]`, "[False, None]", "exit code 2", "by hand", "inner held"} {
		if !strings.Contains(notes, want) {
			t.Errorf("%q is not in %s", want, notes)
		}
	}
	if c := p.finish.Counts; c[journal.Failed] != 0 || c[journal.Attempted] != 1 {
		t.Errorf("counts: %v", c)
	}
	s.run(`attempt(lambda: 1 // 0)`).fails(journal.Invalid, "division by zero")
	s.run(`attempt(lambda: run(""))`).fails(journal.Invalid, "empty")
}

func TestRetry(t *testing.T) {
	s := newLocal(t)
	f := t.TempDir() + "/tries"
	p := s.run(`note(retry(lambda: query("echo x >> ` + f + `; test $(wc -l < ` + f + `) = 3 && echo done"), times = 5, delay = "1m").stdout)`).ok()
	if n := p.notes(); strings.Count(n, "retry: try ") != 2 || !strings.Contains(n, "again in 1m0s") || !strings.HasSuffix(n, "done\n") {
		t.Errorf("%q", n)
	}
	s.run(`retry(lambda: run("exit 9"), times = 2)`).fails(journal.Broken, "exit code 9")
	if p := s.run(`retry(lambda: fail("never"), times = 3)`).fails(journal.Broken, "never"); strings.Count(p.notes(), "retry:") != 2 {
		t.Errorf("%q", p.notes())
	}
}

func TestAtEnd(t *testing.T) {
	s := newLocal(t)
	p := s.run(`
def b():
    note("b")

def a():
    note("a")
    at_end(b)
    at_end(c)

def c():
    note("c")

at_end(a)
at_end(b)
at_end(a)
note("first")

def task():
    note("task")
`, "task").ok()
	if got := p.notes(); got != "first\ntask\na\nb\nc" {
		t.Errorf("%q", got)
	}
	if got := s.run("at_end(lambda: note(\"end\"))\nrun(\"false\")").fails(journal.Broken, "exit code 1").notes(); got != "" {
		t.Errorf("after a failure: %q", got)
	}
}

func TestShell(t *testing.T) {
	s := newSandbox(t)
	s.run(`run("mkdir /srv/app && chown daemon: /srv/app")`).ok()
	p := s.run(`
app = shell(user = "daemon", cwd = "/srv/app", env = {"A": "1"})
note(app.run("id -un; pwd; echo $A$B", env = {"B": "2"}).stdout)
note(app.query(["id", "-un"], user = "root").stdout)
app.file.put("conf", content = "x", mode = "0600")
note(query(["stat", "-c", "%U %a", "/srv/app/conf"]).stdout)
note(query("id -un; pwd").stdout)
`).ok()
	if got, want := p.notes(), "daemon\n/srv/app\n12\n\nroot\n\ndaemon 600\n\nroot\n/\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestVar(t *testing.T) {
	s := newLocal(t)
	s.vars = map[string]starlark.Value{
		"text": starlark.String("7000"), "flag": starlark.String("yes"), "list": starlark.String("a,b"), "typed": starlark.MakeInt(5), "none": starlark.None,
	}
	p := s.run(`
note(str([var("text"), var("text", default = 1), var("list", default = ["x"]), var("typed", default = "s"), var("text", default = "s")]))
note(str([var("missing", default = None), var("missing", default = 3), var("text", default = None), var("none", default = 1)]))
`).ok()
	if got, want := p.notes(), `["7000", 7000, ["a", "b"], 5, "7000"]`+"\n"+`[None, 3, "7000", None]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	s.run(`var("missing")`).fails(journal.Invalid, "--set missing=VALUE")
	s.run(`var("flag", default = 3)`).fails(journal.Invalid, "flag")
}

// TestJournalFull: what cannot be recorded ends the run before the next change, and nobody calls that a mistake in the bundle (fault F39).
func TestJournalFull(t *testing.T) {
	s := newLocal(t)
	for _, c := range []struct {
		name, want string
		full       func(journal.Body) bool
	}{
		{"intent", "the change was not sent", func(b journal.Body) bool {
			i, ok := b.(journal.Intent)
			return ok && strings.Contains(string(i.Op), "second")
		}},
		{"end", "no space left", func(b journal.Body) bool {
			e, ok := b.(journal.End)
			return ok && strings.Contains(e.Resource, "first")
		}},
		{"begin", "no space left", func(b journal.Body) bool {
			e, ok := b.(journal.Begin)
			return ok && strings.Contains(e.Resource, "second")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.named(t)
			d := t.TempDir()
			s.refuse = func(r journal.Record) error {
				if c.full(r.Body) {
					return fmt.Errorf("%w: no space left on device", journal.ErrWrite)
				}
				return nil
			}
			s.run("file.put(\""+d+"/first\", content = \"x\")\nfile.put(\""+d+"/second\", content = \"x\")").fails(journal.Broken, c.want)
			for name, there := range map[string]bool{"first": true, "second": false} {
				if _, err := os.Stat(d + "/" + name); (err == nil) != there {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

func TestNote(t *testing.T) {
	p := newLocal(t).run("note(\"a\")\nnote([1, None])\nprint(\"p\", 2)").ok()
	if p.notes() != "a\n[1, None]\np 2" {
		t.Errorf("%q", p.notes())
	}
}

func TestTaskArguments(t *testing.T) {
	s := newLocal(t)
	p := s.run("def deploy(name, port = 7000, live = False, hosts = []):\n    note(str([name, port, live, hosts]))\n", "deploy", "name=x", "port=1", "live=true", "hosts=a,b").ok()
	if p.notes() != `["x", 1, True, ["a", "b"]]` {
		t.Errorf("%s", p.notes())
	}
}
