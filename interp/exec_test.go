package interp

import (
	"context"
	"strings"
	"testing"

	"go.starlark.net/starlark"
)

func TestExecAndCall(t *testing.T) {
	in := newTest(t)
	b, err := openText(in, map[string]string{
		"web1.star": `"""web1: a server."""
load("lib/a.star", "helper", renamed = "value")

seen = []
print("top", renamed, host)

def bootstrap_all(port = 7000, names = ["a"], fast = False):
    """All of it."""
    seen.append(port)
    file.put("/etc/motd", content = "hi")
    helper("x")
    return (port, names, fast)

def _private():
    pass
`,
		"lib/a.star": `print("loaded")
value = 3

def helper(x):
    service.reload(x)
    return attempt(lambda: attempt(lambda: fail("no", x)))
`,
	})
	if err != nil {
		t.Fatal(err)
	}
	inst, r, err := execText(context.Background(), b)
	if err != nil {
		t.Fatal(Explain(err))
	}
	calls, err := b.ParseTasks([]string{"port=80", "names=x, y", "fast=yes"})
	if err != nil {
		t.Fatal(err)
	}
	v, err := inst.Run(calls[0])
	if err != nil {
		t.Fatal(Explain(err))
	}
	if got := v.String(); got != `(80, ["x", "y"], True)` {
		t.Errorf("result %s", got)
	}
	want := []string{
		`lib/a.star:1:6 print loaded`,
		`web1.star:5:6 print top 3 web1`,
		`web1.star:10:13 ("file.put", "/etc/motd")`,
		`lib/a.star:5:19 ("file.put", "x")`,
		`lib/a.star:5:19 ("service.reload", ("x",))`,
	}
	if got := strings.Join(r.calls, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("calls:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
	if v, err := inst.Call("bootstrap_all", starlark.Tuple{starlark.MakeInt(1)}, nil); err != nil || !strings.HasPrefix(v.String(), "(1,") {
		t.Errorf("second call: %v, %v", v, err)
	}
}
