package interp

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"go.starlark.net/starlark"
)

// FuzzOpen: no text makes opening, checking, explaining or documenting a bundle panic or hang, and what opens also runs
// within its limits.
func FuzzOpen(f *testing.F) {
	seeds, err := os.ReadFile("testdata/check.star")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(seeds))
	f.Add(taskBundle)
	for _, s := range []string{"", "\x00", "def f(a, *, b = [1,\r\n 2], **c): \"\"\"x\"\"\"", "load(\"web1.star\", \"x\")", "x = \"\\777\"", "for i in range(9999999): print(i)",
		"f(*a, **b)", "var()", "file.put(1, 2, path = 3)", "\ufeff", "def f():\n\t\"\"\"a\n\t  Args:\n    x\"\"\"", "file.x", "if 1:\n  def g(): pass\n", "[x for x in x]", "lambda: lambda: 1"} {
		f.Add(s)
	}
	o := testOptions()
	o.MaxSteps = 2_000
	in, err := New(o)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, src string) {
		start := time.Now()
		c := Closure{Bundle: "//web1.star", Files: []File{{Name: "//web1.star", Content: src}}}
		_, _ = ReadDoc("x.star", src)
		b, err := in.OpenClosure(c)
		if err != nil {
			if fl := Explain(err); fl == nil || fl.String() == "" || fl.Pos.File == "" {
				t.Errorf("not explained: %v", err)
			}
			return
		}
		b.Check(CheckOptions{NeedsSession: func(string) bool { return true }})
		b.Calls("var")
		b.Libraries()
		if _, err := b.ParseTasks([]string{"x=1"}); err == nil && len(b.Tasks()) == 0 {
			t.Error("an argument went nowhere")
		}
		// A hundred steps of the right kind are gigabytes; what may multiply is not run here.
		for _, r := range src {
			if r == '*' || r == '<' || r == '+' || r == '%' {
				return
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), endless/2)
		defer cancel()
		_, err = b.Exec(ctx, ExecOptions{PerHost: starlark.StringDict{"host": starlark.None}})
		if errors.Is(err, context.DeadlineExceeded) {
			t.Error("the limits do not end it")
		}
		if err != nil && Explain(err).String() == "" {
			t.Errorf("not explained: %v", err)
		}
		if took := time.Since(start); took > endless {
			t.Errorf("it took %v", took)
		}
	})
}

// FuzzResolveLoad: whatever a load statement says, the name stays inside its root and is canonical.
func FuzzResolveLoad(f *testing.F) {
	for _, s := range []string{"x.star", "../x.star", "//a/../../x.star", "@fab//x.star", "@//x.star", "///x.star", "a//b.star", "@a//../b.star", "C:x.star", ":x.star", "@a@b//c.star"} {
		f.Add("//lib/from.star", s)
		f.Add("@fab//from.star", s)
	}
	f.Fuzz(func(t *testing.T, from, raw string) {
		if _, err := newMemory(Closure{Bundle: from, Files: []File{{Name: from}}}); err != nil {
			return
		}
		name, _, err := resolveLoad(from, raw)
		if err != nil {
			return
		}
		if _, err := newMemory(Closure{Bundle: name, Files: []File{{Name: name}}}); err != nil {
			t.Errorf("%q became %q: %v", raw, name, err)
		}
	})
}
