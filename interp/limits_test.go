package interp

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"
)

// endless is more than any limited evaluation takes, on a slow machine too; without its limit one takes half a minute, or hours.
const endless = 20 * time.Second

// TestSourceBombs holds texts that overflow the stack of the process, or take the compiler half a minute, when nobody
// looks first.
func TestSourceBombs(t *testing.T) {
	elif := func(n int) string {
		return "x = 1\nif x == 0: pass\n" + strings.Repeat("elif x: pass\n", n)
	}
	tests := map[string]struct{ src, want string }{
		"plus, 2 million":  {"x = 1" + strings.Repeat("+1", 2_000_000), "at most 262,144 are read"},
		"brackets":         {strings.Repeat("[", 2_000_000), "at most"},
		"elif, 1 MB":       {elif(80_000), "at most"},
		"plus":             {"x = 1" + strings.Repeat("+1", 120_000), "x.star:1:"},
		"brackets, fewer":  {"x = " + strings.Repeat("[", 250_000), "nesting"},
		"parentheses":      {"x = " + strings.Repeat("(", 120_000) + strings.Repeat(")", 120_000), "nesting"},
		"elif":             {elif(19_000), "nested more than 1000 deep"},
		"calls":            {"x = f" + strings.Repeat("()", 120_000), "nested more than"},
		"dots":             {"x = f" + strings.Repeat(".a", 120_000), "nested more than"},
		"index":            {"x = f" + strings.Repeat("[0]", 80_000), "nested more than"},
		"slices":           {"x = f" + strings.Repeat("[:]", 80_000), "nested more than"},
		"unary":            {"x = " + strings.Repeat("-", 250_000) + "1", "nesting"},
		"not":              {"x = " + strings.Repeat("not ", 60_000) + "1", "nesting"},
		"lambda":           {"x = " + strings.Repeat("lambda:", 30_000) + "1", "nesting"},
		"if else":          {"x = " + strings.Repeat("1 if 1 else ", 20_000) + "1", "nesting"},
		"and":              {"x = 1" + strings.Repeat(" and 1", 40_000), "nested more than"},
		"comprehension":    {"x = [1 " + strings.Repeat("for a in b ", 20_000) + "]", "undefined"},
		"loop variables":   {"for " + strings.Repeat("(", 100_000) + "x in y: pass", "nesting"},
		"augmented":        {"x += 1" + strings.Repeat("|1", 120_000), "nested more than"},
		"dictionary":       {"x = " + strings.Repeat("{1:", 80_000), "nesting"},
		"starred argument": {"f(*" + strings.Repeat("g(*", 80_000), "nesting"},
		"many names":       {strings.Repeat("a;", 100_000), "undefined: a"},
		"NUL":              {"x = 1\n\x00", "x.star:2:1: the file is not UTF-8 text"},
	}
	in := newTest(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := in.OpenClosure(Closure{Bundle: "//x.star", Files: []File{{Name: "//x.star", Content: tt.src}}})
			if took := time.Since(start); took > endless {
				t.Errorf("it took %v", took)
			}
			f := Explain(err)
			if f == nil || !strings.Contains(f.String(), tt.want) {
				t.Errorf("got %.300v, want %s", f, tt.want)
			}
		})
	}
}

func nestedDefs(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%sdef f():\n", strings.Repeat(" ", i))
	}
	b.WriteString(strings.Repeat(" ", n) + "pass\n")
	return b.String()
}

// TestLongSourceIsFine keeps the limits away from what people write.
func TestLongSourceIsFine(t *testing.T) {
	in := newTest(t)
	for name, src := range map[string]string{
		"800 terms":       "x = \"a\"" + strings.Repeat(" + \"a\"", 800),
		"500 elif":        "x = 1\nif x == 0: pass\n" + strings.Repeat("elif x: pass\n", 500),
		"20,000 elements": "x = [" + strings.Repeat("\"element\",\n", 20_000) + "]",
		"9,000 calls":     strings.Repeat("len(\"some text or other\")\n", 9_000),
		"40 brackets":     "x = " + strings.Repeat("[", 40) + strings.Repeat("]", 40),
		"500 nested defs": nestedDefs(500),
		"5,000 ifs":       "x = 1\n" + strings.Repeat("if x == 1 and x != 2:\n    x = len([x])\n", 5_000),
	} {
		start := time.Now()
		b, err := openText(in, map[string]string{"web1.star": src})
		if err != nil {
			t.Errorf("%s: %.300v", name, err)
			continue
		}
		if _, _, err := execText(t.Context(), b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(start); took > endless {
			t.Errorf("%s took %v", name, took)
		}
	}
}

// TestValueBombs holds programs of few steps that would kill the process or never end.
func TestValueBombs(t *testing.T) {
	in := newTest(t)
	shared := "x = []\nfor i in range(60):\n    x = [x, x]\n"
	deep := "x = []\nfor i in range(100000):\n    x = [x]\n"
	for src, want := range map[string]string{
		`json.decode("[" * 2000000)`:                                "json.decode: the value is nested more than 500 deep",
		`json.indent("[" * 2000000)`:                                "nested more than 500 deep",
		`json.decode(x = "[" * 2000000)`:                            "nested more than 500 deep",
		`json.encode(range(1 << 30))`:                               "json.encode: the value has more than",
		`sorted(iterable = range(1 << 30))`:                         "sorted: the value has more than",
		deep + `json.encode(x)`:                                     "json.encode: the value is nested",
		shared + `json.encode(x)`:                                   "json.encode: the value has more than 2,000,000 parts",
		shared + `str(x)`:                                           "str: the value has more",
		shared + `print(x)`:                                         "print: the value has more",
		shared + `fail(x)`:                                          "fail: the value has more",
		deep + `repr(x)`:                                            "repr: the value is nested",
		"d = {}\nfor i in range(60):\n    d = {1: d, 2: d}\nstr(d)": "more than 2,000,000 parts",
		"s = struct(a = 1)\nfor i in range(60):\n    s = struct(a = s, b = s)\nstr(s)": "more than 2,000,000 parts",
		`list(range(1 << 30))`:   "list: the value has more than",
		`sorted(range(1 << 30))`: "sorted: the value has more than",
		`max(range(1 << 30))`:    "max: the value has more than",
		`zip(range(1 << 30))`:    "zip: the value has more than",
		`all(range(1, 1 << 30))`: "all: the value has more than",
	} {
		b, err := openText(in, map[string]string{"web1.star": src + "\n"})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, _, err = execText(t.Context(), b)
		f := Explain(err)
		if f == nil || !strings.Contains(f.Msg, want) || f.Pos.Line == 0 {
			t.Errorf("%s\ngot %v, want %s", src, f, want)
		}
		if took := time.Since(start); took > endless {
			t.Errorf("%s took %v", src, took)
		}
	}
}

func TestGuardedBuiltinsStillWork(t *testing.T) {
	in := newTest(t)
	b, err := openText(in, map[string]string{"web1.star": `
print(list(range(3)), tuple([1]), sorted([2, 1], key = lambda x: x, reverse = True), max(1, 2, key = lambda x: -x), zip([1], [2]), set([1]))
print(json.encode({"a": [1, None]}), json.decode('{"a": "\\"[["}'), json.indent("[1]"), str([1]), repr("x"), json.decode("x", default = 3))
print(range(1 << 30), 0)
print(struct(a = 1), math.pi > 3, type(list), dir(file), file, file.put, hasattr(file, "putt"), getattr(file, "putt", 0), {file: 1, file.put: 2}[file.put])
`})
	if err != nil {
		t.Fatal(err)
	}
	_, r, err := execText(t.Context(), b)
	if err != nil {
		t.Fatal(Explain(err))
	}
	want := `web1.star:2:6 print [0, 1, 2] (1,) [2, 1] 1 [(1, 2)] set([1])
web1.star:3:6 print {"a":[1,null]} {"a": "\"[["} [
	1
] [1] "x" 3
web1.star:4:6 print range(1073741824) 0
web1.star:5:6 print struct(a = 1) True builtin_function_or_method ["line", "put"] <family file> <builtin file.put> False 0 2`
	if got := strings.Join(r.calls, "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestStepLimit(t *testing.T) {
	o := testOptions()
	o.MaxSteps = 20_000
	in, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := openText(in, map[string]string{"web1.star": `
def main():
    attempt(lambda: [1 for a in range(1000000) if a < 0])
    note("survived")
`})
	if err != nil {
		t.Fatal(err)
	}
	inst, r, err := execText(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	_, err = inst.Call("main", nil, nil)
	var le *LimitError
	if !errors.As(err, &le) || le.Limit != 20_000 || le.What != "steps" {
		t.Fatalf("got %v", err)
	}
	if f := Explain(err); f.Pos.Line != 3 || !strings.Contains(f.Msg, "more than 20,000 steps") {
		t.Errorf("explained as %v", f)
	}
	if len(r.calls) != 0 {
		t.Errorf("attempt survived the limit: %v", r.calls)
	}
	if _, err := inst.Call("main", nil, nil); !errors.As(err, &le) {
		t.Errorf("called again: %v", err)
	}
}

func TestPrintLimit(t *testing.T) {
	in := newTest(t)
	b, err := openText(in, map[string]string{"web1.star": "s = \"x\" * 1000000\nfor i in range(1000000):\n    print(s)\n"})
	if err != nil {
		t.Fatal(err)
	}
	_, r, err := execText(t.Context(), b)
	var le *LimitError
	if !errors.As(err, &le) || le.What != "printed bytes" || len(r.calls) != 16 {
		t.Errorf("%d lines and %v", len(r.calls), err)
	}
}

func TestCancel(t *testing.T) {
	in := newTest(t)
	for name, files := range map[string]map[string]string{
		"bundle":  {"web1.star": "print(1)\nfor i in range(1 << 30):\n    pass\n"},
		"library": {"web1.star": "load(\"a.star\", \"x\")\n", "a.star": "x = [len(\"\") for i in range(1 << 30) if i < 0]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := openText(in, files)
			if err != nil {
				t.Fatal(err)
			}
			why := errors.New("interrupted by the user")
			ctx, cancel := context.WithCancelCause(t.Context())
			if name == "bundle" {
				_, err = b.Exec(ctx, ExecOptions{PerHost: starlark.StringDict{"host": starlark.None}, Print: func(Position, string) { cancel(why) }})
			} else {
				// The library is endless; cancelling before it starts and while it runs are both ends.
				time.AfterFunc(time.Millisecond, func() { cancel(why) })
				_, _, err = execText(ctx, b)
			}
			if !errors.Is(err, why) {
				var le *LimitError
				if name == "library" && errors.As(err, &le) {
					t.Skip("the machine ran five million steps in a millisecond")
				}
				t.Fatalf("got %v", err)
			}
			if f := Explain(err); f.Msg != why.Error() {
				t.Errorf("explained as %v", f)
			}
		})
	}
	t.Run("deadline", func(t *testing.T) {
		b, err := openText(in, map[string]string{"web1.star": "for i in range(1 << 30):\n    pass\n"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, _, err = execText(ctx, b)
		if !errors.Is(err, context.DeadlineExceeded) || Explain(err).Pos.File != "web1.star" {
			t.Errorf("got %v", Explain(err))
		}
		if _, _, err := execText(ctx, b); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("started after its end: %v", err)
		}
	})
}

// TestDeepGlobalsOfALibrary: freezing recurs, so what a library can nest within its steps must fit the stack.
func TestDeepGlobalsOfALibrary(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs half a gigabyte of stack")
	}
	in := newTest(t)
	b, err := openText(in, map[string]string{
		"web1.star": "load(\"a.star\", \"n\")\n",
		"a.star":    "x = []\nn = 1\nfor i in range(500000):\n    x = [x]\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := execText(t.Context(), b); err != nil {
		t.Error(Explain(err))
	}
	runtime.GC()
}
