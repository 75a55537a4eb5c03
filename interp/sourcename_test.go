package interp

import (
	"path"
	"strings"
	"testing"

	"go.starlark.net/starlark"
)

func TestResolveSource(t *testing.T) {
	for _, tt := range []struct{ from, src, want string }{
		{"//web1.star", "deploy/site.conf", "//deploy/site.conf"},
		{"//servers/web1.star", "site.conf", "//servers/site.conf"},
		{"//servers/web1.star", "../site.conf", "//site.conf"},
		{"//servers/web1.star", "./a/../b", "//servers/b"},
		{"//servers/web1.star", "//site.conf", "//site.conf"},
		{"@fab//nginx/x.star", "site.conf", "@fab//nginx/site.conf"},
		{"@fab//nginx/x.star", "//site.conf", "@fab//site.conf"},
		{"//web1.star", "@fab//site.conf", "@fab//site.conf"},
		{"//web1.star", "/etc/motd", "/etc/motd"},
		{"//web1.star", "/etc/../motd", "/motd"},
		{"//web1.star", "../x", "leads out of the repository"},
		{"//web1.star", "//a/../../x", "leads out of the repository"},
		{"//web1.star", "///etc/passwd", "leads out of the repository"},
		{"@fab//a.star", "../x", "leads out of @fab"},
		{"//web1.star", "@fab/x", "@library//path"},
		{"//web1.star", "", "empty"},
		{"//web1.star", "a\x00b", "NUL"},
	} {
		got, err := ResolveSource(tt.from, tt.src)
		if err != nil {
			got = err.Error()
		}
		if got != tt.want && (err == nil || !strings.Contains(got, tt.want)) {
			t.Errorf("%s from %s: got %s, want %s", tt.src, tt.from, got, tt.want)
		}
	}
}

func FuzzResolveSource(f *testing.F) {
	for _, s := range []string{"a", "../a", "//../a", "@x//../y", "/../x", "a/../../b", "//", ".", "@//a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		name, err := ResolveSource("//servers/web1.star", src)
		if err != nil {
			return
		}
		if strings.HasPrefix(src, "/") && !strings.HasPrefix(src, "//") {
			if path.Clean(name) != name || !path.IsAbs(name) {
				t.Errorf("%q became %q", src, name)
			}
			return
		}
		if _, file := splitName(name); file == ".." || strings.HasPrefix(file, "../") || path.IsAbs(file) || path.Clean(file) != file {
			t.Errorf("%q became %q", src, name)
		}
	})
}

func TestParseLikeAndStarted(t *testing.T) {
	if v, err := ParseLike("1,2", starlark.NewList([]starlark.Value{starlark.MakeInt(0)})); err != nil || v.String() != "[1, 2]" {
		t.Errorf("%v, %v", v, err)
	}
	in := newTest(t)
	if in.Family("file") == nil || in.Family("fil") != nil {
		t.Error("families are not found by name")
	}
	b, err := openText(in, map[string]string{"web1.star": "print(1)\n"})
	if err != nil {
		t.Fatal(err)
	}
	var started *starlark.Thread
	inst, err := b.Exec(t.Context(), ExecOptions{
		PerHost: starlark.StringDict{"host": starlark.None},
		Started: func(th *starlark.Thread) { started = th },
		Print: func(Position, string) {
			if started == nil {
				t.Error("the thread ran before Started")
			}
		},
	})
	if err != nil || inst.Thread() != started {
		t.Errorf("%v", err)
	}
	if _, err := b.Exec(t.Context(), ExecOptions{}); err == nil || !strings.Contains(err.Error(), `no value for "host"`) {
		t.Errorf("without a host: %v", err)
	}
}

// BenchmarkPreludeCall is what the check of arguments and the position of a step cost.
func BenchmarkPreludeCall(b *testing.B) {
	bundle, err := openText(newTest(b), map[string]string{"web1.star": "def main(n):\n    for i in range(n):\n        file.put(\"/etc/motd\", content = \"x\", owner = \"root\")\n"})
	if err != nil {
		b.Fatal(err)
	}
	inst, r, err := execText(b.Context(), bundle)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.calls = r.calls[:0]
		if _, err := inst.Call("main", starlark.Tuple{starlark.MakeInt(1)}, nil); err != nil {
			b.Fatal(err)
		}
	}
}
