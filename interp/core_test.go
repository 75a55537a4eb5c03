package interp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"go.starlark.net/starlark"
)

// testPrelude is a prelude as builtins would write one; its natives write down what they were called with.
func testPrelude() fstest.MapFS {
	return fstest.MapFS{
		"core.star": {Data: []byte(`"""Core.

What every bundle uses.
"""

def run(command, *, user = None, check = True, **more):
    """Run a command.

    It changes the host.

    Args:
      command: a list, or a string for sh.
      user: who runs it;
        root without it.
      check: a failure ends the run.

    Returns:
      a Result

    Example:
      run(["true"])
      run("a | b", user = "www")
    """
    return _record("run", command)

def note(*words):
    """Write a line."""
    return _record("note", words)

def var(name, default = None):
    """A variable of the bundle."""
    return default

def attempt(fn):
    """Call fn and survive its failure."""
    return _attempt(fn)

def boom():
    """Panic."""
    _boom()
`)},
		"file.star": {Data: []byte(`"""Files."""

def put(path, *, content = None, src = None, owner = "root"):
    """Write a file.

    Args:
      path: where.
    """
    _check(path)
    return _record("file.put", path)

def line(path, line, *, after = None):
    """Write one line of a file."""
    return put(path, content = line)

def _check(path):
    if path == "bad":
        run(fail("file.put: the path is bad"))
`)},
		"service.star": {Data: []byte(`"""Services."""

def reload(*names, on = []):
    """Reload."""
    file.put("x")
    return _record("service.reload", names)
`)},
	}
}

type recorder struct{ calls []string }

const recorderKey = "test.recorder"

func testNatives() starlark.StringDict {
	record := func(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		r, ok := t.Local(recorderKey).(*recorder)
		if !ok {
			return nil, errors.New("there is no session here")
		}
		r.calls = append(r.calls, CallerPos(t).String()+" "+args.String())
		return starlark.True, nil
	}
	attempt := func(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		v, err := starlark.Call(t, args[0], nil, nil)
		if stop := Stopped(t); stop != nil {
			return nil, stop
		}
		var fe *FailError
		if errors.As(err, &fe) {
			return starlark.String("failed: " + fe.Msg), nil
		}
		return v, err
	}
	boom := func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
		panic("kaboom")
	}
	return starlark.StringDict{
		"_record":  starlark.NewBuiltin("_record", record),
		"_attempt": starlark.NewBuiltin("_attempt", attempt),
		"_boom":    starlark.NewBuiltin("_boom", boom),
	}
}

func testOptions() Options {
	return Options{
		Prelude: testPrelude(), Natives: testNatives(), PerHost: []string{"host"},
		BundleOnly: map[string]string{"var": "variables belong to bundles; take a parameter"},
		Fab: fstest.MapFS{
			"pg.star":      {Data: []byte("load(\"lib/sql.star\", \"quote\")\ndef user(name):\n    \"\"\"A user.\"\"\"\n    run([\"createuser\", quote(name)])\n")},
			"lib/sql.star": {Data: []byte("load(\"//names.star\", \"q\")\ndef quote(s):\n    return q + s + q\n")},
			"names.star":   {Data: []byte("q = \"'\"\n")},
		},
		Modules: func(from, name string) (fs.FS, error) {
			switch {
			case name != "acme":
				return nil, fmt.Errorf("there is no library @%s", name)
			case from != "":
				return nil, fmt.Errorf("@%s is not declared by @%s", name, from)
			}
			return fstest.MapFS{"users.star": {Data: []byte("staff = [\"ann\"]\n")}}, nil
		},
	}
}

func newTest(t testing.TB) *Interp {
	t.Helper()
	in, err := New(testOptions())
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// openText opens a bundle from "name: text" files in memory; the bundle is web1.star.
func openText(in *Interp, files map[string]string) (*Bundle, error) {
	c := Closure{Bundle: "//web1.star"}
	for name, text := range files {
		if !strings.Contains(name, "//") {
			name = "//" + name
		}
		c.Files = append(c.Files, File{Name: name, Content: text})
	}
	return in.OpenClosure(c)
}

func execText(ctx context.Context, b *Bundle) (*Instance, *recorder, error) {
	r := &recorder{}
	i, err := b.Exec(ctx, ExecOptions{
		Locals:  map[string]any{recorderKey: r},
		PerHost: starlark.StringDict{"host": starlark.String("web1")},
		Print:   func(pos Position, msg string) { r.calls = append(r.calls, pos.String()+" print "+msg) },
	})
	return i, r, err
}
