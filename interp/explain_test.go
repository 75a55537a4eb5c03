package interp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.starlark.net/starlark"
)

func TestExplainLeavesPreludeOut(t *testing.T) {
	in := newTest(t)
	b, err := openText(in, map[string]string{
		"web1.star":  "load(\"lib/a.star\", \"helper\")\n\ndef main():\n    helper(\n        \"bad\")\n",
		"lib/a.star": "def helper(x):\n\tfile.put(x, content = \"hi\")\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	inst, _, err := execText(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	_, err = inst.Call("main", nil, nil)
	f := Explain(err)
	want := `lib/a.star:2:10: file.put: the path is bad
    2 |     file.put(x, content = "hi")
      |             ^
  helper, from web1.star:4:11: helper(
`
	if got := f.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	var fe *FailError
	if !errors.As(err, &fe) {
		t.Error("the FailError is lost")
	}
}

func TestExplainLoadError(t *testing.T) {
	in := newTest(t)
	b, err := openText(in, map[string]string{
		"web1.star": "load(\"a.star\", \"x\")\n",
		"a.star":    "load(\"b.star\", y = \"x\")\nx = y\n",
		"b.star":    "def f():\n    return 1 // 0\nx = f()\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = execText(context.Background(), b)
	want := `b.star:2:14: floored division by zero
    2 |     return 1 // 0
      |              ^
  f, from b.star:3:6: x = f()
  b.star, from a.star:1:1: load("b.star", y = "x")
  a.star, from web1.star:1:1: load("a.star", "x")
`
	if got := Explain(err).String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

type hintedError struct{ error }

func (hintedError) Hint() string { return "try again" }

func TestExplainWrappedCallback(t *testing.T) {
	cause := hintedError{errors.New("connection lost")}
	o := testOptions()
	o.Natives["_record"] = starlark.NewBuiltin("_record", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
		return nil, cause
	})
	o.Natives["_attempt"] = starlark.NewBuiltin("_attempt", func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		_, err := starlark.Call(t, args[0], nil, nil)
		return nil, fmt.Errorf("gave up after 3 times: %w", err)
	})
	in, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := openText(in, map[string]string{"web1.star": "def go():\n    note(1)\n\nattempt(go)\n"})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = execText(context.Background(), b)
	want := `web1.star:2:9: gave up after 3 times: connection lost
    2 |     note(1)
      |         ^
    hint: try again
  go, from web1.star:4:8: attempt(go)
`
	if got := Explain(err).String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
}

func TestExplainAllStaticErrors(t *testing.T) {
	in := newTest(t)
	_, err := openText(in, map[string]string{
		"web1.star": "load(\"a.star\", \"x\")\nfil.put(\"a\")\nprnt(1)\n",
		"a.star":    "x = (1\n",
	})
	f := Explain(err)
	if f == nil || len(f.Also) != 2 {
		t.Fatalf("want three failures, got %v", f)
	}
	text := f.String()
	for _, want := range []string{"a.star:2:1: ", "web1.star:2:1: undefined: fil", "did you mean file?", "web1.star:3:1: undefined: prnt", "did you mean print?",
		"from web1.star:1:6: load(\"a.star\", \"x\")"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

func TestExplainPanic(t *testing.T) {
	in := newTest(t)
	b, err := openText(in, map[string]string{"web1.star": "def main():\n    boom()\n"})
	if err != nil {
		t.Fatal(err)
	}
	inst, _, err := execText(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	_, err = inst.Call("main", nil, nil)
	var pe *PanicError
	if !errors.As(err, &pe) || len(pe.Stack) == 0 {
		t.Fatalf("want a PanicError with its stack, got %v", err)
	}
	if f := Explain(err); f.Pos.String() != "web1.star:2:9" || f.Source != "    boom()" || !strings.Contains(f.Msg, "kaboom") {
		t.Errorf("explained as %v", f)
	}
}

func TestExplainEscapes(t *testing.T) {
	f := &Failure{Msg: "a\x1b[2J\u202eb", Pos: Position{"x\x9b.star", 1, 3}, Source: "a\tb\x1b"}
	want := "x\\x9b.star:1:3: a\\x1b[2J\\u202eb\n    1 | a    b\\x1b\n      |      ^\n"
	if got := f.String(); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestExplainNothing(t *testing.T) {
	if Explain(nil) != nil {
		t.Error("nil was explained")
	}
	plain := errors.New("plain")
	if f := Explain(plain); f.Msg != "plain" || f.Pos.IsValid() || f.String() != "plain\n" {
		t.Errorf("%v", f)
	}
}

func TestExplainHiddenFamily(t *testing.T) {
	b, err := openText(newTest(t), map[string]string{"web1.star": "file = \"/etc/motd\"\n\ndef main():\n    file.put(file)\n"})
	if err != nil {
		t.Fatal(err)
	}
	inst, _, err := execText(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	_, err = inst.Call("main", nil, nil)
	if f := Explain(err); !strings.Contains(f.Hint, "file is a name of this file here and hides the builtins file.*") {
		t.Errorf("got %v", f)
	}
}
