package main

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"fabgo/internal/inventory"
	"fabgo/interp"
	"fabgo/transport/ssh"
)

// repository is what lies around bundles: the inventory, and the folders whose vars count.
type repository struct {
	root   string // absolute
	shown  string // as people name it from here
	marked bool   // something says that it is one
	hosts  *inventory.Inventory
}

// repositoryOf reads the repository of a bundle.
func (o *opened) repository() (*repository, error) {
	return newRepository(o.bundle.Root(), true)
}

// repositoryHere reads the repository of the working folder, for what is done without a bundle.
func repositoryHere() (*repository, error) {
	cwd, err := os.Getwd()
	if err != nil {
		return nil, invalid(err)
	}
	if root := interp.Root(cwd); root != "" {
		return newRepository(root, true)
	}
	return newRepository(cwd, false)
}

func newRepository(root string, marked bool) (*repository, error) {
	r := &repository{root: root, shown: fromHere(root), marked: marked}
	var err error
	if r.hosts, err = inventory.Read(r.root, r.shown); err != nil {
		return nil, invalid(err)
	}
	return r, nil
}

// fromHere is an absolute path as it is shortest to name.
func fromHere(abs string) string {
	if cwd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(cwd, abs); err == nil && len(rel) < len(abs) {
			return rel
		}
	}
	return abs
}

// dirs are the folders that hold the variables of a bundle, the weakest first. Without a bundle it is the root.
func (r *repository) dirs(bundle string) []string {
	if bundle == "" {
		return []string{r.shown}
	}
	own := filepath.Dir(bundle)
	if abs, err := filepath.Abs(own); err == nil && same(abs, r.root) {
		return []string{own}
	}
	return []string{r.shown, own}
}

// same reports whether two paths are one folder.
func same(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// load reads the variables of a bundle, "" for none, for a host.
func (r *repository) load(bundle, host string, sets []string) (inventory.Vars, error) {
	at := inventory.Where{Dirs: r.dirs(bundle), Host: host, Groups: r.hosts.GroupsOf(host)}
	if bundle != "" {
		at.Bundle = strings.TrimSuffix(filepath.Base(bundle), ".star")
	}
	return inventory.Load(at, sets)
}

// known is what the inventory says of a host, for ssh.
func (r *repository) known(name string) ssh.Known {
	h, _ := r.hosts.Host(name)
	return ssh.Known{Address: h.Address, User: h.User, Port: h.Port}
}

// targets are the hosts that a bundle is for when nobody names any: those that the inventory gives to it, else the one of its name.
func (r *repository) targets(o *opened) []string {
	if hosts := r.hosts.For(strings.TrimPrefix(o.bundle.Name(), "//")); len(hosts) > 0 {
		return hosts
	}
	return []string{o.target()}
}

// choose spells out the groups among the words of -H. A host that several words name is there once.
func (r *repository) choose(words []string) ([]string, error) {
	var hosts []string
	for _, w := range words {
		name, group := strings.CutPrefix(w, "@")
		if !group || w == "@local" || w == "@sandbox" {
			if !slices.Contains(hosts, w) {
				hosts = append(hosts, w)
			}
			continue
		}
		members, ok := r.hosts.Members(name)
		switch {
		case r.hosts.Path == "":
			return nil, usage("-H %s: of the hosts with an @ there are @local and @sandbox; groups stand in %s at the root of the repository, and there is none in %s", w, inventory.File, r.root)
		case !ok:
			return nil, usage("-H %s: of the hosts with an @ there are @local and @sandbox, and the groups of %s: %s", w, r.hosts.Path, strings.Join(r.groups(), ", "))
		case len(members) == 0:
			return nil, usage("-H %s: the group has no hosts in %s", w, r.hosts.Path)
		}
		for _, m := range members {
			if !slices.Contains(hosts, m) {
				hosts = append(hosts, m)
			}
		}
	}
	return hosts, nil
}

// groups are the groups as -H takes them.
func (r *repository) groups() []string {
	out := []string{"@all"}
	for _, g := range r.hosts.GroupNames() {
		out = append(out, "@"+g)
	}
	return out
}

// bundleOf is the bundle of a host: what the inventory says, else the file of its name at the root or in bundles.
func (r *repository) bundleOf(host string) string {
	if h, _ := r.hosts.Host(host); h.Bundle != "" {
		return filepath.Join(r.shown, filepath.FromSlash(h.Bundle))
	}
	for _, name := range []string{host + ".star", path.Join("bundles", host+".star")} {
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			continue
		}
		p := filepath.Join(r.shown, filepath.FromSlash(name))
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() {
			return p
		}
	}
	return ""
}
