package scaffold

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRepository(t *testing.T) {
	files, err := Repository()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "new", "repository")
	if err := Write(dir, files); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".fabgo", ".gitignore", ".github/workflows/check.yml", "README.md", "inventory.yaml", "bundles/web1.star", "vars/hosts/web1.yaml", "secrets/README.md"} {
		if st, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name))); err != nil || st.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if st, err := os.Stat(filepath.Join(dir, "ci", "check")); err != nil || filepath.Separator == '/' && st.Mode().Perm()&0o100 == 0 {
		t.Errorf("ci/check cannot be run: %v", err)
	}
	err = Write(dir, files)
	if err == nil || !strings.Contains(err.Error(), "there is already README.md, bundles/web1.star, ") || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("written over: %v", err)
	}
}

// TestWriteTouchesNothing: one file in the way, and nothing is written; one that cannot be written, and nothing is left.
func TestWriteTouchesNothing(t *testing.T) {
	for in, want := range map[string]string{"b/c": "there is already b/c in ", "b": ""} {
		dir := t.TempDir()
		p := filepath.Join(dir, filepath.FromSlash(in))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
		err := Write(dir, []File{{Name: "a", Mode: 0o644}, {Name: "b/c", Mode: 0o644}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", in, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "a")); err == nil {
			t.Errorf("%s: a was written", in)
		}
		if b, err := os.ReadFile(p); err != nil || string(b) != "mine" {
			t.Errorf("%s: %q, %v", in, b, err)
		}
	}
}

func TestBundleNames(t *testing.T) {
	for name, want := range map[string]string{"db1": "bundles/db1.star", "db1.star": "bundles/db1.star", "web1.example.com": "bundles/web1.example.com.star", "": "", "../x": "", "a/b": "", "-x": "", "a b": "", ".star": ""} {
		f, err := Bundle("bundles", name)
		if (err == nil) != (want != "") || f.Name != want {
			t.Errorf("%q: %q, %v", name, f.Name, err)
		}
	}
}
