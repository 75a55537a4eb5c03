package inventory

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// at is what Load needs for a bundle of repo on a host.
func at(bundle, host string, groups ...Group) Where {
	return Where{Dirs: []string{filepath.Dir(bundle)}, Bundle: "web1", Host: host, Groups: groups}
}

// repo is a folder with these files, and a bundle.
func repo(t *testing.T, files map[string]string) (bundle string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "web1.star")
}

func TestFormats(t *testing.T) {
	for file, text := range map[string]string{
		"all.yaml": "s: text\ni: 42\nbig: 123456789012345678901\nf: 1.5\nb: true\nn: null\nl: [1, a]\nd: {z: 1, a: {b: c}}\nday: 2026-11-24\n",
		"all.yml":  "s: text\ni: 42\nbig: 123456789012345678901\nf: 1.5\nb: true\nn:\nl:\n- 1\n- a\nd:\n  z: 1\n  a:\n    b: c\nday: 2026-11-24\n",
		"all.toml": "s = \"text\"\ni = 42\nf = 1.5\nb = true\nl = [1, \"a\"]\nday = 2026-11-24\n[d]\nz = 1\n[d.a]\nb = \"c\"\n",
		"all.json": `{"s": "text", "i": 42, "big": 123456789012345678901, "f": 1.5, "b": true, "n": null, "l": [1, "a"], "d": {"z": 1, "a": {"b": "c"}}, "day": "2026-11-24"}`,
	} {
		v, err := Load(at(repo(t, map[string]string{"vars/" + file: text}), "web1"), nil)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		for name, want := range map[string]string{"s": `"text"`, "i": "42", "f": "1.5", "b": "True", "l": `[1, "a"]`, "d": `{"a": {"b": "c"}, "z": 1}`} {
			if got := v.Values[name]; got == nil || got.String() != want {
				t.Errorf("%s: %s is %v, want %s", file, name, got, want)
			}
		}
		if !strings.Contains(v.Values["day"].String(), "2026-11-24") || v.Values["day"].Type() != "string" {
			t.Errorf("%s: the day is %s", file, v.Values["day"])
		}
		if !strings.HasSuffix(v.Origin("s"), file+":1") {
			t.Errorf("%s: it comes from %q", file, v.Origin("s"))
		}
	}
}

func TestPrecedence(t *testing.T) {
	bundle := repo(t, map[string]string{
		"vars/all.yaml": "a: all\nb: all\nc: all\nd: all\ne: all\n", "vars/web1.toml": "b = \"bundle\"\nc = \"bundle\"\n", "vars/db7.json": `{"c": "host"}`,
		"more.yaml": "d: file\ne: file\n",
	})
	more := "@" + filepath.Join(filepath.Dir(bundle), "more.yaml")
	v, err := Load(at(bundle, "db7"), []string{"d=first", more, "e=a=b", "empty="})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "all", "b": "bundle", "c": "host", "d": "file", "e": "a=b", "empty": ""} {
		if got := v.Values[name].String(); got != `"`+want+`"` {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if v.Origin("e") != "--set" {
		t.Errorf("e comes from %q", v.Origin("e"))
	}
	if m := v.Missing([]string{"a", "x", "y", "x"}); !slices.Equal(m, []string{"x", "y"}) {
		t.Errorf("missing %v", m)
	}
}

// TestHostsNameNoFiles: a host's name leads to no file outside of vars.
func TestHostsNameNoFiles(t *testing.T) {
	bundle := repo(t, map[string]string{"secret.yaml": "a: 1\n", "vars/x": ""})
	for _, host := range []string{"../secret", "@local", "", "..", ".", `..\secret`} {
		if v, err := Load(at(bundle, host), nil); err != nil || len(v.Values) > 0 {
			t.Errorf("%q: %v, %v", host, v.Values, err)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"all.yaml", "a: 1\nb: [\n", "all.yaml: yaml: line"},
		{"all.yaml", "a: 1\n---\nb: 2\n", "all.yaml: line 2: a second document begins"},
		{"all.yaml", "- a\n", "all.yaml: yaml"},
		{"all.yaml", "a: 1\na: 2\n", "line 2"},
		{"all.toml", "a = 1\nb = = 2\n", "all.toml: toml: line 2"},
		{"all.json", "{\n \"a\": 1,\n \"b\" 2\n}", "all.json: line 3"},
		{"all.json", `{"a": 1} {"b": 2}`, "after the object"},
		{"all.json", `[1]`, "all.json"},
		{"all.json", "{\n\"a\": 1", "all.json: line 2"},
	} {
		_, err := Load(at(repo(t, map[string]string{"vars/" + c.file: c.text}), "web1"), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %q: %v, want %q", c.file, c.text, err, c.want)
		}
	}
	if _, err := Load(at(repo(t, map[string]string{"vars/all.yaml": "", "vars/all.json": "{}"}), "x"), nil); err == nil || !strings.Contains(err.Error(), "keep one") {
		t.Errorf("two files of a name: %v", err)
	}
	for set, want := range map[string]string{"novalue": "want NAME=VALUE", "=x": "want NAME=VALUE", "@/no/such/file.yaml": "no such file", "@x.txt": "x.txt"} {
		if _, err := Load(at(repo(t, nil), "x"), []string{set}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--set %s: %v", set, err)
		}
	}
	if v, err := Load(at(repo(t, map[string]string{"vars/all.yaml": ""}), "x"), nil); err != nil || len(v.Values) > 0 {
		t.Errorf("an empty file: %v, %v", v, err)
	}
}
