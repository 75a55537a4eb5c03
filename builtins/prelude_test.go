package builtins

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fabgo/interp"
)

var update = flag.Bool("update", false, "rewrite docs/reference.md")

func mustInterp(t *testing.T) *interp.Interp {
	t.Helper()
	in, err := Interp(interp.Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// TestEveryNativeIsDocumented: each native lies under one public function, and each public function over one native.
func TestEveryNativeIsDocumented(t *testing.T) {
	in := mustInterp(t)
	natives := Natives()
	public := map[string]bool{}
	for _, f := range in.Families() {
		if f.Summary == "" {
			t.Errorf("family %q has no summary", f.Name)
		}
		for _, s := range f.Functions {
			private := "_" + dotless(s.Qualified())
			public[private] = true
			if natives[private] == nil {
				t.Errorf("%s has no native %s", s.Qualified(), private)
			}
		}
	}
	for name := range natives {
		if !public[name] {
			t.Errorf("native %s has no public function", name)
		}
	}
}

// observing are the functions that change nothing, so that they take no label of a change.
var observing = regexp.MustCompile(`^(note|attempt|retry|at_end|shell|var|secret|encode\.\w+|file\.(exists|stat|read|glob|contains))$`)

func TestEveryFunctionIsDocumented(t *testing.T) {
	in := mustInterp(t)
	for _, f := range in.Families() {
		for _, s := range f.Functions {
			name := s.Qualified()
			if s.Summary == "" || !strings.HasSuffix(s.Summary, ".") {
				t.Errorf("%s: the summary is %q, want a sentence", name, s.Summary)
			}
			label := false
			for _, p := range s.Params {
				if p.Doc == "" {
					t.Errorf("%s: parameter %s is not documented", name, p.Name)
				}
				label = label || p.Name == "label"
			}
			if s.Example == "" && f.Name != "host" {
				t.Errorf("%s has no example", name)
			}
			if !label && !observing.MatchString(name) {
				t.Errorf("%s takes no label", name)
			}
		}
	}
}

// TestExamples: what the documentation shows passes the checks that a bundle has to pass.
func TestExamples(t *testing.T) {
	dir := t.TempDir()
	in, err := Interp(interp.Options{Root: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range in.Families() {
		for _, s := range f.Functions {
			if s.Example == "" {
				continue
			}
			path := filepath.Join(dir, "example.star")
			text := s.Example + "\n"
			for _, name := range []string{"version", "site", "conf", "port", "password"} { // that an example takes for granted
				if !regexp.MustCompile(`(?m)^(def )?` + name + `( =|\()`).MatchString(text) {
					text = name + " = None\n" + text
				}
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			_, problems, err := in.Check(path, interp.CheckOptions{})
			for _, p := range problems {
				t.Errorf("example of %s: %v\n%s", s.Qualified(), p, s.Example)
			}
			if err != nil {
				t.Errorf("example of %s: %v", s.Qualified(), err)
			}
		}
	}
}

func TestReferenceIsFresh(t *testing.T) {
	var b bytes.Buffer
	if err := WriteReference(&b, mustInterp(t)); err != nil {
		t.Fatal(err)
	}
	once := map[string]bool{}
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, "- [") {
			if once[line] {
				t.Errorf("the reference says twice: %s", line)
			}
			once[line] = true
		}
	}
	const file = "../docs/reference.md"
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(old, b.Bytes()) {
		t.Error("docs/reference.md is stale: go test ./builtins -run TestReferenceIsFresh -update")
	}
}

// BenchmarkInterp is what every command that opens a bundle pays first.
func BenchmarkInterp(b *testing.B) {
	for b.Loop() {
		if _, err := Interp(interp.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
