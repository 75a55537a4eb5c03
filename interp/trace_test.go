package interp

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"go.starlark.net/starlark"
)

// traced is an interpreter that keeps the last position it told, and how often it told one.
func traced(t testing.TB, o Options) (in *Interp, last *Position, told *int) {
	t.Helper()
	last, told = new(Position), new(int)
	o.Trace = func(p Position) { *last = p; *told++ }
	in, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return in, last, told
}

// TestTrace: what was told last before an operation that never ends is its line, or the one before it in its loop.
func TestTrace(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		want  string // the place told last before the file calls stop()
	}{
		"first line": {map[string]string{"web1.star": "stop()\n"}, "web1.star:1"},
		"an operator in a loop": {map[string]string{"web1.star": "x = 1\nfor i in range(100):\n    x = x + 1\n    y = x\n    if i == 99:\n        stop()\n"},
			"web1.star:[56]"},
		"a late line": {map[string]string{"web1.star": strings.Repeat("x = len([1, 2, 3])\n", 5000) + "stop()\n"}, "web1.star:(49[89].|500.)"},
		"the prelude": {map[string]string{"web1.star": "x = 1\n\ndef main():\n    file.put(\"/x\", content = \"y\")\n\nmain()\nstop()\n"}, "web1.star:7"},
		"a library":   {map[string]string{"web1.star": "load(\"lib/a.star\", \"a\")\n", "lib/a.star": "a = 1\nb = 2\nstop()\n"}, "lib/a.star:3"},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions()
			in, last, _ := traced(t, o)
			var at Position
			in.bundle.values["stop"] = starlark.NewBuiltin("stop", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
				at = *last
				return starlark.None, nil
			})
			in.library.values["stop"] = in.bundle.values["stop"]
			b, err := openText(in, tt.files)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := execText(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%s:%d", at.File, at.Line); !regexp.MustCompile("^" + tt.want + "$").MatchString(got) {
				t.Errorf("told %s, want %s", got, tt.want)
			}
		})
	}
}

func TestTraceTellsBeforeABuiltin(t *testing.T) {
	in, last, _ := traced(t, testOptions())
	src := "x = [1]\n" + strings.Repeat("x = x\n", 3000) + "def main():\n    " + "str(x)\n    return 1\n\nmain()\n"
	b, err := openText(in, map[string]string{"web1.star": src})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := execText(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if last.Line != 3003 {
		t.Errorf("told last: %v, want line 3003", last)
	}
	if _, err := openText(in, map[string]string{"web1.star": "x = (\n"}); err == nil || last.File != "web1.star" || last.Line != 0 {
		t.Errorf("while reading a file it told %v", last)
	}
}

// TestTraceKeepsTheStepLimit: re-arming must neither raise nor miss the limit, and must stay rare.
func TestTraceKeepsTheStepLimit(t *testing.T) {
	o := testOptions()
	o.MaxSteps = 1_000_003
	in, _, told := traced(t, o)
	b, err := openText(in, map[string]string{"web1.star": "for i in range(1 << 30):\n    pass\n"})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = execText(t.Context(), b)
	var le *LimitError
	if !errors.As(err, &le) || le.Limit != 1_000_003 {
		t.Fatalf("got %v", err)
	}
	if *told < 900 || *told > 3_500 {
		t.Errorf("told %d times", *told)
	}
}

// BenchmarkSteps is the cost of the trace on bare computation, where it is the largest.
func BenchmarkSteps(b *testing.B) {
	for _, trace := range []bool{false, true} {
		b.Run(fmt.Sprintf("trace=%v", trace), func(b *testing.B) {
			o := testOptions()
			o.MaxSteps = 1 << 60
			sum := 0
			if trace {
				o.Trace = func(p Position) { sum += p.Line }
			}
			in, err := New(o)
			if err != nil {
				b.Fatal(err)
			}
			bundle, err := openText(in, map[string]string{"web1.star": "def main():\n    x = 0\n    for i in range(10000):\n        x += i\n    return x\n"})
			if err != nil {
				b.Fatal(err)
			}
			inst, _, err := execText(b.Context(), bundle)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := inst.Call("main", nil, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
