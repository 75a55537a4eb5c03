package module

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSources(t *testing.T) {
	for _, good := range []string{"https://git.example.org/acme.git", "ssh://git@git.example.org:2222/acme.git", "file:///srv/git/acme"} {
		if err := CheckSource(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"":                                   "write https://host/path",
		"ext::sh -c id":                      "character",
		"ext::sh":                            "is not fetched",
		"--upload-pack=/bin/sh":              "is not fetched",
		"ssh://-oProxyCommand=id/x":          "begins with a dash",
		"ssh://-l@host/x":                    "begins with a dash",
		"https://-host/x":                    "begins with a dash",
		"ssh://host/-x":                      "path begins with a dash",
		"git@git.example.org:acme.git":       "address",
		"http://git.example.org/acme.git":    "is not fetched",
		"https://ann:secret@example.org/x":   "leave them to the credentials of git",
		"https://example.org/x?y":            "query",
		"https://example.org/x#y":            "fragment",
		"https://example.org/a/../x":         "detours",
		"https://example.org":                "path is empty",
		"file://host/x":                      "write https://host/path",
		"file:x":                             "is not fetched",
		"https://example.org/a\nrequire b c": "character",
	} {
		err := CheckSource(bad)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", bad, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error shows the password: %v", bad, err)
		}
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"module fab":                   "fab.mod:1: the name fab belongs",
		"module Web":                   `fab.mod:1: "Web" is no name of a module`,
		"module a\nmodule b":           "fab.mod:2: the module has a name already, a",
		"module":                       "write: module NAME",
		"\nrequire a":                  "fab.mod:2: write: require NAME SOURCE VERSION",
		"require a file:///a 1.0.0":    `"1.0.0" is no version`,
		"require a file:///a v1.0":     `"v1.0" is no version`,
		"require a file:///a v1.0.0+x": "is no version",
		"require a ext::sh v1.0.0":     `source "ext::sh" is not fetched`,
		"require a file:///a v1.0.0\nrequire a file:///b v1.0.0": "fab.mod:2: a is required twice",
		"replace a -> ../a":              "write: replace NAME => FOLDER",
		"replace a => file:///a":         "has no version",
		"replace a => x\nreplace a => y": "fab.mod:2: a is replaced twice",
		"signed acme ../signers":         "leads out of the repository",
		"signed acme":                    "write: signed PREFIX FILE",
		"requires a file:///a v1.0.0":    `there is no statement "requires"`,
	} {
		if _, err := Parse("fab.mod", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestEdit holds edits to the lines that they are about.
func TestEdit(t *testing.T) {
	f, err := Parse("fab.mod", "# ours\nmodule web\n\nrequire a file:///a v1.0.0 # keep\nrequire b file:///b v1.0.0\n")
	if err != nil {
		t.Fatal(err)
	}
	f.set(Require{Name: "a", Source: "file:///a", Version: "v1.2.0"})
	f.set(Require{Name: "c", Source: "file:///c", Version: "v1.0.0"})
	f.drop("b")
	want := "# ours\nmodule web\n\nrequire a file:///a v1.2.0 # keep\nrequire c file:///c v1.0.0\n"
	if f.String() != want || len(f.Require) != 2 || f.required("a").Version != "v1.2.0" {
		t.Errorf("got %q and %v", f.String(), f.Require)
	}
}

func TestLock(t *testing.T) {
	line := "a v1.0.0 file:///a " + strings.Repeat("0", 40) + " sha256:" + strings.Repeat("1", 64)
	lock, err := parseLock("fab.lock", lockHead+line+" signer=ann\n")
	if err != nil || lock["a"].Signer != "ann" || lock.String() != lockHead+line+" signer=ann\n" {
		t.Fatalf("%v, %v", lock, err)
	}
	for text, want := range map[string]string{
		line + "\n" + line:                    "fab.lock:2: a is there twice",
		"a v1.0.0":                            "fab.lock:1: the line is damaged",
		strings.Replace(line, "0000", "x", 1): "is no commit",
		line + "1":                            "is no hash",
		strings.Replace(line, "file:///a", "ext::sh", 1): "is not fetched",
	} {
		if _, err := parseLock("fab.lock", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestHashTree: what a module holds decides its hash, and nothing leads out of it.
func TestHashTree(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	hash := func() string {
		t.Helper()
		h, err := hashTree(dir)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	write("a.star", "x = 1\n")
	seen := map[string]bool{hash(): true}
	for _, change := range []func(){
		func() { write("a.star", "x = 2\n") },
		func() { write("b.star", "x = 2\n") },
		func() { os.Rename(filepath.Join(dir, "b.star"), filepath.Join(dir, "c.star")) },
		func() { os.Symlink("a.star", filepath.Join(dir, "link")) },
	} {
		change()
		if h := hash(); seen[h] {
			t.Errorf("a change kept the hash %s", h)
		} else {
			seen[h] = true
		}
	}
	for _, out := range []string{"../x", "/etc/passwd", "sub/../../x"} {
		link := filepath.Join(dir, "out")
		if err := os.Symlink(out, link); err != nil {
			t.Fatal(err)
		}
		if _, err := hashTree(dir); err == nil || !strings.Contains(err.Error(), "the symlink out leads out of the module") {
			t.Errorf("%s: %v", out, err)
		}
		os.Remove(link)
	}
}
