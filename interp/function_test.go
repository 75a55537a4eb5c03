package interp

import (
	"strings"
	"testing"
)

// callTests are wrong calls with the message they get, at run time and from the static check alike.
var callTests = []struct{ call, want string }{
	{`file.put("/x", contents = "a")`, `file.put: unexpected keyword argument "contents" (did you mean "content"?)`},
	{`file.put("/x", content = "a", conten = "b")`, `file.put: unexpected keyword argument "conten"`},
	{`file.put("/x", zzz = 1)`, `file.put: unexpected keyword argument "zzz"; it is file.put(path, *, `},
	{`file.put("/x", "content", "root")`, `file.put: takes 1 positional argument, got 3 (by name only: content, src, owner)`},
	{`file.put()`, `file.put: missing argument "path"; it is file.put(path, *, content = None, src = None, owner = "root")`},
	{`file.line(after = 1)`, `file.line: missing arguments "path", "line"; it is`},
	{`file.put("/x", path = "/y")`, `file.put: argument "path" is given twice, by position and by name`},
	{`attempt(len, len)`, `attempt: takes 1 positional argument, got 2`},
	{`boom(1)`, `boom: takes no positional arguments, got 1`},
	{`run()`, `run: missing argument "command"`},
	{`file.putt("/x")`, `file has no builtin "putt" (did you mean "put"?)`},
	{`file.zzzzzzzz`, `file has no builtin "zzzzzzzz" (it has line, put)`},
}

func TestWrongCallsAtRunTime(t *testing.T) {
	in := newTest(t)
	for _, tt := range callTests {
		b, err := openText(in, map[string]string{"web1.star": "def main():\n    " + tt.call + "\n"})
		if err != nil {
			t.Fatal(err)
		}
		inst, _, err := execText(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		_, err = inst.Call("main", nil, nil)
		f := Explain(err)
		if f == nil || !strings.Contains(f.Msg, tt.want) || f.Pos.File != "web1.star" || f.Pos.Line != 2 {
			t.Errorf("%s\ngot  %v\nwant %s", tt.call, f, tt.want)
		}
	}
}

func TestWrongCallsInACheck(t *testing.T) {
	in := newTest(t)
	for _, tt := range callTests {
		b, err := openText(in, map[string]string{"web1.star": "def main():\n    " + tt.call + "\n"})
		if err != nil {
			t.Fatal(err)
		}
		problems := b.Check(CheckOptions{})
		if len(problems) != 1 || !strings.Contains(problems[0].Msg, tt.want) || problems[0].Pos.Line != 2 {
			t.Errorf("%s\ngot  %v\nwant %s", tt.call, problems, tt.want)
		}
	}
}

func TestRightCalls(t *testing.T) {
	in := newTest(t)
	for _, call := range []string{
		`file.put("/x")`, `file.put(path = "/x", owner = "me")`, `file.line("/x", "y")`, `file.line("/x", line = "y", after = "z")`,
		`run("x", whatever = 1, user = "me")`, `note()`, `note(1, 2, 3)`, `service.reload("a", "b", on = [1])`, `file.put(*["/x"])`,
		`file.put(**{"path": "/x"})`, `run(check = False, *["x"])`, `[f("/x") for f in [file.put]]`, `len([dir(file)])`,
	} {
		b, err := openText(in, map[string]string{"web1.star": call + "\n"})
		if err != nil {
			t.Fatal(err)
		}
		if problems := b.Check(CheckOptions{}); len(problems) > 0 {
			t.Errorf("%s: %v", call, problems)
		}
		if _, _, err := execText(t.Context(), b); err != nil {
			t.Errorf("%s: %v", call, Explain(err))
		}
	}
}
