package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

type goPackage struct {
	ImportPath string
	Dir        string
	Doc        string
	Imports    []string
}

// packages lists the project's own, with what they import outside of tests.
func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,Imports", "fabgo/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p goPackage
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// TestPackageTable compares the table of docs/design.md with the packages that there are and what they import.
func TestPackageTable(t *testing.T) {
	b, err := os.ReadFile("../../docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]string{}
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) == 5 && strings.HasPrefix(cells[1], " `") {
			table[strings.Trim(cells[1], " `")] = strings.TrimSpace(cells[3])
		}
	}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, "fabgo/")
		want, ok := table[name]
		delete(table, name)
		if !ok {
			t.Errorf("docs/design.md: the table has no row for %s", name)
			continue
		}
		if want == "all that it wires" {
			continue
		}
		var got []string
		for _, i := range p.Imports {
			if own, ok := strings.CutPrefix(i, "fabgo/"); ok {
				got = append(got, own)
			}
		}
		listed := strings.Split(want, ", ")
		if want == "none" {
			listed = nil
		}
		slices.Sort(got)
		slices.Sort(listed)
		if !slices.Equal(got, listed) {
			t.Errorf("%s imports %s; docs/design.md says %s", name, strings.Join(got, ", "), strings.Join(listed, ", "))
		}
	}
	for name := range table {
		t.Errorf("docs/design.md: the table has a row for %s, which is no package", name)
	}
}

// TestForeignImports holds libraries to the packages that may know them.
func TestForeignImports(t *testing.T) {
	allowed := map[string][]string{
		"go.starlark.net":         {"interp", "interp/template", "builtins", "internal/inventory", "cmd/fabgo"},
		"golang.org/x/crypto/ssh": {"transport/ssh", "internal/sshd", "internal/sandbox", "internal/bench/dial", "internal/vault"},
		"github.com/pkg/sftp":     {"transport/ssh", "internal/sshd"},
		"github.com/spf13/cobra":  {"cmd/fabgo"},
		"github.com/skeema":       {"transport/ssh"},
		"github.com/aymanbagabas": {"internal/converge"},
		"go.yaml.in/yaml":         {"builtins", "internal/inventory", "internal/vault"},
		"filippo.io/age":          {"internal/vault"},
		"github.com/BurntSushi":   {"internal/inventory"},
	}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, "fabgo/")
		for _, i := range p.Imports {
			for lib, who := range allowed {
				if (i == lib || strings.HasPrefix(i, lib+"/")) && !slices.Contains(who, name) {
					t.Errorf("%s imports %s, which belongs to %s", name, i, strings.Join(who, ", "))
				}
			}
		}
	}
}

// TestPackageComments demands that every package says what it is for.
func TestPackageComments(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}
