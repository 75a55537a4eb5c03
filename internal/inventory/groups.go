package inventory

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Members are the hosts of a group and of the groups in it, sorted. The group "all" is every host.
func (inv *Inventory) Members(name string) (hosts []string, ok bool) {
	if name == "all" {
		return inv.Names(), true
	}
	if inv.groups[name] == nil {
		return nil, false
	}
	seen := map[string]bool{}
	var walk func(string)
	walk = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		g := inv.groups[name]
		if g == nil {
			hosts = append(hosts, name)
			return
		}
		for _, m := range g.members {
			walk(m)
		}
	}
	walk(name)
	slices.Sort(hosts)
	return hosts, true
}

// GroupsOf are the groups that a host is in, those that hold others first.
func (inv *Inventory) GroupsOf(host string) []Group {
	var out []Group
	for _, name := range inv.above(host) {
		out = append(out, Group{Name: name, Above: inv.above(name)})
	}
	slices.SortFunc(out, Group.compare)
	return out
}

// above are the groups that hold a host or a group, directly or not, sorted.
func (inv *Inventory) above(name string) []string {
	var out []string
	var walk func(string)
	walk = func(name string) {
		for g, gr := range inv.groups {
			if slices.Contains(gr.members, name) && !slices.Contains(out, g) {
				out = append(out, g)
				walk(g)
			}
		}
	}
	walk(name)
	slices.Sort(out)
	return out
}

// For are the hosts that a bundle, named from the root, is for.
func (inv *Inventory) For(bundle string) []string {
	var out []string
	for _, name := range inv.Names() {
		if inv.hosts[name].Bundle == bundle {
			out = append(out, name)
		}
	}
	return out
}

// Strays finds files of variables for groups, and hosts, that are not there: their names are misspelt, and their values would silently
// never be used. Where there is no inventory, any host may be there. also are hosts that were named on the command line.
func (inv *Inventory) Strays(dirs, also []string) error {
	known := map[string][]string{"groups": inv.GroupNames(), "hosts": append(inv.Names(), also...)}
	for _, dir := range dirs {
		for _, kind := range []string{"groups", "hosts"} {
			if kind == "hosts" && inv.Path == "" {
				continue
			}
			entries, err := os.ReadDir(filepath.Join(dir, "vars", kind))
			if err != nil {
				continue // mostly, there is none; a file of that name is told when it is read
			}
			for _, e := range entries {
				if err := inv.stray(filepath.Join(dir, "vars", kind, e.Name()), kind, e.IsDir(), known[kind]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (inv *Inventory) stray(file, kind string, isDir bool, known []string) error {
	base := filepath.Base(file)
	suffix := filepath.Ext(base)
	name := strings.TrimSuffix(base, suffix)
	what := strings.TrimSuffix(kind, "s")
	switch {
	case strings.HasPrefix(base, "."):
		return nil
	case isDir:
		return fmt.Errorf("read variables: %s is a folder: one file holds the variables of a %s, such as %s.yaml", file, what, file)
	case !slices.Contains(suffixes, suffix) || slices.Contains(known, name):
		return nil
	case inv.Path == "":
		return fmt.Errorf("read variables: %s: there is no group %s, since the repository has no %s", file, name, File)
	}
	return fmt.Errorf("read variables: %s: there is no %s %s in %s%s", file, what, name, inv.Path, suggest(name, "rename the file, or add the "+what, known))
}
