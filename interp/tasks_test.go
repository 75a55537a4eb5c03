package interp

import (
	"strings"
	"testing"

	"go.starlark.net/starlark"
)

const taskBundle = `"""web1: the public web server."""

base = 7000

def bootstrap_all():
    """Make the machine fully operational."""
    return "all"

def bootstrap_app(port = base, name = "app", ratio = 0.5, live = False, users = ["a"], ports = [1], opt = None, pair = ("x",)):
    """The application.

    Args:
      port: where it listens.
    """
    return (port, name, ratio, live, users, ports, opt, pair)

def add_user(name, *, shell = "/bin/sh"):
    """A user."""
    return (name, shell)

def anything(*args, **kw):
    return (args, sorted(kw.items()))

def odd(d = {}):
    return d

_hidden = lambda: 1

def _private():
    pass
`

func TestTasksAreListedWithoutRunning(t *testing.T) {
	b, err := openText(newTest(t), map[string]string{"web1.star": taskBundle + "\nfail(\"it was run\")\n"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, task := range b.Tasks() {
		line := task.String() + " - " + task.Summary
		if task.Default {
			line += " (default)"
		}
		got = append(got, line)
	}
	want := `bootstrap_all() - Make the machine fully operational. (default)
bootstrap_app(port = base, name = "app", ratio = 0.5, live = False, users = ["a"], ports = [1], opt = None, pair = ("x",)) - The application.
add_user(name, *, shell = "/bin/sh") - A user.
anything(*args, **kw) - 
odd(d = {}) - `
	if strings.Join(got, "\n") != want {
		t.Errorf("got:\n%s", strings.Join(got, "\n"))
	}
	if doc := b.Doc(); doc.Summary != "web1: the public web server." || len(doc.Functions) != 5 {
		t.Errorf("doc %+v", doc)
	}
}

func TestTaskArguments(t *testing.T) {
	b, err := openText(newTest(t), map[string]string{"web1.star": taskBundle})
	if err != nil {
		t.Fatal(err)
	}
	inst, _, err := execText(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ words, want string }{
		{"", `"all"`},
		{"bootstrap-all", `"all"`},
		{"bootstrap_app", `(7000, "app", 0.5, False, ["a"], [1], None, ("x",))`},
		{"bootstrap_app port=0x1f name=5 ratio=1e-1 live=ON users= ports=3,4 opt=9 pair=a,b", `(31, "5", 0.1, True, [], [3, 4], "9", ("a", "b"))`},
		{"bootstrap-app live=0 users=a,,b port=-7", `(-7, "app", 0.5, False, ["a", "", "b"], [1], None, ("x",))`},
		{"bootstrap-app port=007 name=a=b", `(7, "a=b", 0.5, False, ["a"], [1], None, ("x",))`},
		{"add_user name=x", `("x", "/bin/sh")`},
		{"add-user shell=/bin/bash name=", `("", "/bin/bash")`},
		{"anything a=1 b-c=2", `((), [("a", "1"), ("b_c", "2")])`},
		{"add_user name=x add_user name=y", `("x", "/bin/sh") ("y", "/bin/sh")`},

		{"bootstrap", `web1.star has no task "bootstrap" (did you mean "bootstrap_all"?); its tasks: bootstrap_all, bootstrap_app, add_user, anything, odd`},
		{"_private", `web1.star has no task "_private"`},
		{"bootstrap_app prot=1", `task bootstrap_app: unknown argument "prot" (did you mean "port"?); it takes port, name,`},
		{"bootstrap_all x=1", `task bootstrap_all: unknown argument "x"; it takes none`},
		{"x=1", `task bootstrap_all: unknown argument "x"`},
		{"add_user", `task add_user: missing argument "name" (write name=...)`},
		{"add_user name=1 name=2", `task add_user: argument "name" is given twice`},
		{"bootstrap_app port=x", `web1.star: task bootstrap_app: argument port: "x" is not a whole number`},
		{"bootstrap_app ratio=nan", `argument ratio: "nan" is not a number`},
		{"bootstrap_app live=maybe", `argument live: "maybe" is not a bool (true or false, yes or no, on or off, 1 or 0)`},
		{"bootstrap_app ports=1,x", `argument ports: "x" is not a whole number`},
		{"odd d=1", `argument d: a dict cannot be given on the command line`},
	} {
		t.Run(tt.words, func(t *testing.T) {
			calls, err := b.ParseTasks(strings.Fields(tt.words))
			var got []string
			for _, c := range calls {
				var v starlark.Value
				if v, err = inst.Run(c); err != nil {
					break
				}
				got = append(got, v.String())
			}
			if err != nil {
				got = []string{err.Error()}
			}
			if s := strings.Join(got, " "); s != tt.want && (err == nil || !strings.Contains(s, tt.want)) {
				t.Errorf("got %s\nwant %s", s, tt.want)
			}
		})
	}
}

// TestArgumentsAreCheckedBeforeRunning: what a literal default tells needs no run.
func TestArgumentsAreCheckedBeforeRunning(t *testing.T) {
	b, err := openText(newTest(t), map[string]string{"web1.star": taskBundle})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.ParseTasks([]string{"bootstrap_app", "live=maybe"}); err == nil {
		t.Error("a bad bool was taken")
	}
	if _, err := b.ParseTasks([]string{"bootstrap_app", "port=x"}); err != nil {
		t.Errorf("a computed default was guessed at: %v", err)
	}
}

func TestPlainScriptsAndMain(t *testing.T) {
	in := newTest(t)
	plain, err := openText(in, map[string]string{"web1.star": "note(1)\n"})
	if err != nil {
		t.Fatal(err)
	}
	if calls, err := plain.ParseTasks(nil); err != nil || len(calls) != 0 {
		t.Errorf("%v, %v", calls, err)
	}
	for _, word := range []string{"port=1", "main"} {
		if _, err := plain.ParseTasks([]string{word}); err == nil || !strings.Contains(err.Error(), "it has no tasks, only a top level") {
			t.Errorf("%s: %v", word, err)
		}
	}
	main, err := openText(in, map[string]string{"web1.star": "def other():\n    pass\ndef main(x = 1):\n    pass\n"})
	if err != nil {
		t.Fatal(err)
	}
	if calls, err := main.ParseTasks([]string{"x=2"}); err != nil || len(calls) != 1 || calls[0].Task.Name != "main" {
		t.Errorf("%v, %v", calls, err)
	}
}
