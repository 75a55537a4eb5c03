// Package inventory knows what is to be known about hosts before they are asked: which there are, their groups, and the variables of
// bundles.
//
// The one rule: a value comes from the most particular place that sets it, and the place can be named. Values are replaced, never merged.
//
// The trap: the command line knows only texts, files know types. A text from the command line takes the type of the variable's default.
//
// The promise: nothing here touches a host.
package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

// Vars are the variables for one bundle on one host.
type Vars struct {
	Values map[string]starlark.Value
	Layers map[string][]Setting // all that set a variable, the weakest first: the last one counts
}

// Setting is one place that sets a variable.
type Setting struct {
	Value starlark.Value
	File  string // or "--set"
	Line  int    // 0: not known
	group string // the group whose file it is
}

// Origin is the place as a person names it: "vars/all.yaml:3".
func (s Setting) Origin() string {
	if s.Line == 0 {
		return s.File
	}
	return fmt.Sprintf("%s:%d", s.File, s.Line)
}

// Where is what decides which files count.
type Where struct {
	Dirs   []string // the folders that hold a folder vars: the repository's root, then the bundle's own
	Bundle string   // its name, without .star; "" for none
	Host   string
	Groups []Group // of the host
}

// set is a word behind --set.
const set = "--set"

// Load reads the variables of a bundle for a host. The later wins: vars/all, vars/BUNDLE, vars/groups/GROUP, vars/HOST, vars/hosts/HOST (each
// .yaml, .yml, .toml or .json), then sets in their order: "name=value" or "@file".
func Load(at Where, sets []string) (Vars, error) {
	v := Vars{Values: map[string]starlark.Value{}, Layers: map[string][]Setting{}}
	if err := v.layer(at, "", "all"); err != nil {
		return v, err
	}
	if at.Bundle != at.Host && at.Bundle != "all" {
		if err := v.layer(at, "", at.Bundle); err != nil {
			return v, err
		}
	}
	groups := slices.Clone(at.Groups)
	slices.SortFunc(groups, Group.compare)
	for _, g := range groups {
		if err := v.layer(at, g.Name, filepath.Join("groups", g.Name)); err != nil {
			return v, err
		}
	}
	if fileName(at.Host) {
		for _, base := range []string{at.Host, filepath.Join("hosts", at.Host)} {
			if base == "all" {
				continue
			}
			if err := v.layer(at, "", base); err != nil {
				return v, err
			}
		}
	}
	if err := v.sets(sets); err != nil {
		return v, err
	}
	return v, v.undecided(groups)
}

// fileName reports whether the name of a host is one of a file: it leads nowhere else.
func fileName(host string) bool {
	return host != "" && !strings.HasPrefix(host, "@") && host != "." && host != ".." && !strings.ContainsAny(host, "/\\")
}

func (v *Vars) sets(sets []string) error {
	for _, s := range sets {
		if file, ok := strings.CutPrefix(s, "@"); ok {
			if err := v.file(file, ""); err != nil {
				return err
			}
			continue
		}
		k, val, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return fmt.Errorf("--set %s: want NAME=VALUE or @FILE", s)
		}
		v.put(k, Setting{Value: starlark.String(val), File: set})
	}
	return nil
}

func (v *Vars) put(name string, s Setting) {
	v.Values[name] = s.Value
	v.Layers[name] = append(v.Layers[name], s)
}

// Origin is where the value of a variable comes from.
func (v Vars) Origin(name string) string {
	if all := v.Layers[name]; len(all) > 0 {
		return all[len(all)-1].Origin()
	}
	return ""
}

var suffixes = []string{".yaml", ".yml", ".toml", ".json"}

// layer reads the one file of a base name in each folder; two with different suffixes would hide each other.
func (v *Vars) layer(at Where, group, base string) error {
	if base == "" {
		return nil
	}
	for _, dir := range at.Dirs {
		var found []string
		for _, s := range suffixes {
			p := filepath.Join(dir, "vars", base+s)
			if _, err := os.Stat(p); err == nil {
				found = append(found, p)
			} else if !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("read variables: %w", err)
			}
		}
		if len(found) > 1 {
			return fmt.Errorf("read variables: %s and %s both exist: keep one", found[0], found[1])
		}
		for _, file := range found {
			if err := v.file(file, group); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *Vars) file(name, group string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read variables: %w", err)
	}
	m, lines, err := parse(name, b)
	if err != nil {
		return fmt.Errorf("read variables: %s: %w", name, err)
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		s := Setting{File: name, Line: lines[k], group: group}
		if s.Value, err = value(m[k]); err != nil {
			return fmt.Errorf("read variables: %s: %s: %w", s.Origin(), k, err)
		}
		s.Value.Freeze()
		v.put(k, s)
	}
	return nil
}

// undecided refuses a value that two groups give differently, when neither holds the other and nothing more particular decides: which of
// them wins would be an accident.
func (v *Vars) undecided(groups []Group) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(v.Layers)) {
		all := v.Layers[name]
		last := all[len(all)-1]
		if last.group == "" {
			continue
		}
		at := slices.IndexFunc(groups, func(g Group) bool { return g.Name == last.group })
		for _, s := range all {
			if s.group == "" || s.group == last.group || slices.Contains(groups[at].Above, s.group) || covered(s.group, all, groups) {
				continue
			}
			if same, err := starlark.Equal(s.Value, last.Value); err != nil || !same {
				errs = append(errs, fmt.Errorf("read variables: %s: %s is %s, and %s in %s, and neither of the groups %s and %s holds the other: set it in the host's file",
					last.Origin(), name, last.Value, s.Value, s.Origin(), s.group, last.group))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// covered reports whether a group within this one sets the variable too.
func covered(group string, all []Setting, groups []Group) bool {
	return slices.ContainsFunc(groups, func(g Group) bool {
		return slices.Contains(g.Above, group) && slices.ContainsFunc(all, func(s Setting) bool { return s.group == g.Name })
	})
}

// Missing lists the names of calls that no variable answers, each once.
func (v Vars) Missing(names []string) []string {
	var out []string
	for _, n := range names {
		if _, ok := v.Values[n]; !ok && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}
