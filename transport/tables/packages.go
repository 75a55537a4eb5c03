package tables

import (
	"context"
	"slices"
	"strings"
	"sync"

	"fabgo/transport"
)

// DpkgStatus is where dpkg keeps its database. While dpkg runs, its newest changes are in files of their own; they are merged when it
// ends. Only a Native source reads those too: elsewhere a Lookup is exact except in the middle of an installation, or after one that
// was killed.
const DpkgStatus transport.Path = "/var/lib/dpkg/status"

// dpkgUpdates holds what dpkg has not merged yet: files named by digits, the newest last. A file of another name is not finished.
const dpkgUpdates transport.Path = "/var/lib/dpkg/updates"

// Package is a paragraph of dpkg's status file: Want is the first word of its Status (install, hold, deinstall, ...), Status the third.
type Package struct{ Name, Version, Arch, Want, Status string }

// ParseDpkgStatus reads dpkg's status file. Paragraphs without a name or a status are skipped.
func ParseDpkgStatus(b []byte) []Package {
	var out []Package
	var p Package
	flush := func() {
		if p.Name != "" && p.Status != "" {
			out = append(out, p)
		}
		p = Package{}
	}
	s := string(b)
	for len(s) > 0 {
		line := s
		if i := strings.IndexByte(s, '\n'); i >= 0 {
			line, s = s[:i], s[i+1:]
		} else {
			s = ""
		}
		if strings.TrimRight(line, " \t\r") == "" {
			flush()
			continue
		}
		// Only four fields matter in a file of megabytes: look at the first letter before anything dearer.
		switch line[0] {
		case 'P', 'V', 'A', 'S':
		default:
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		switch value = strings.TrimSpace(value); key {
		case "Package":
			p.Name = strings.Clone(value)
		case "Version":
			p.Version = strings.Clone(value)
		case "Architecture":
			p.Arch = strings.Clone(value)
		case "Status":
			if w := strings.Fields(value); len(w) == 3 {
				p.Want, p.Status = strings.Clone(w[0]), strings.Clone(w[2])
			}
		}
	}
	flush()
	return out
}

// packageIndex finds packages by name and by name:arch. A plain name means the package of the host's own architecture.
type packageIndex struct {
	byKey map[string]Package
	all   []Package
	keys  []string // of all
}

func newPackageIndex(packages []Package) *packageIndex {
	native := ""
	for _, p := range packages {
		if p.Name == "dpkg" && p.Status == "installed" {
			native = p.Arch
			break
		}
	}
	x := &packageIndex{byKey: make(map[string]Package, 2*len(packages))}
	for _, p := range packages {
		if p.Status == "not-installed" {
			continue
		}
		key := p.Name
		if p.Arch == "" || p.Arch == "all" || p.Arch == native || native == "" {
			x.byKey[p.Name] = p
			if native != "" {
				x.byKey[p.Name+":"+native] = p
			}
		} else {
			key = p.Name + ":" + p.Arch
		}
		if p.Arch != "" {
			x.byKey[p.Name+":"+p.Arch] = p
		}
		x.all, x.keys = append(x.all, p), append(x.keys, key)
	}
	return x
}

func packageRow(key transport.Text, p Package) transport.Row {
	f := map[string]transport.Text{"arch": transport.Text(p.Arch), "status": transport.Text(p.Status), "hold": flag(p.Want == "hold")}
	if p.Version != "" {
		f["version"] = transport.Text(p.Version)
	}
	return transport.Row{Key: key, Fields: f}
}

func (r *Reader) lookupPackages(ctx context.Context, keys []transport.Text) (transport.Rows, error) {
	x, err := r.packages.get(ctx, r.src)
	if err != nil {
		if transport.KindOf(err) == transport.NotFound {
			err = unsupported("look up packages", "only Debian and its relatives are known so far", err)
		}
		return transport.Rows{}, err
	}
	return pick(keys, func() (rows []transport.Row) {
		for i, p := range x.all {
			rows = append(rows, packageRow(transport.Text(x.keys[i]), p))
		}
		return rows
	}, func(k transport.Text) (transport.Row, bool) {
		p, ok := x.byKey[string(k)]
		if !ok {
			return transport.Row{}, false
		}
		return packageRow(k, p), true
	}), nil
}

// packageFiles is dpkg's database: its status file, and what is to be merged into it.
type packageFiles struct {
	status kept[[]Package]

	mu     sync.Mutex
	stamps [2]Stamp // of the status file and of the folder of updates that index was made of
	index  *packageIndex
}

func (f *packageFiles) get(ctx context.Context, src Source) (*packageIndex, error) {
	n, ok := src.(Native)
	if !ok {
		packages, err := f.status.get(ctx, src, DpkgStatus, ParseDpkgStatus)
		if err != nil {
			return nil, err
		}
		return newPackageIndex(packages), nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for again := false; ; again = true {
		stamps, err := f.stamp(ctx, n)
		if err != nil {
			return nil, err
		}
		if f.index != nil && stamps == f.stamps && stamps[0] != (Stamp{}) && stamps[1] != (Stamp{}) {
			return f.index, nil
		}
		packages, err := f.status.get(ctx, src, DpkgStatus, ParseDpkgStatus)
		if err != nil {
			return nil, err
		}
		updates, err := readUpdates(ctx, n)
		if transport.KindOf(err) == transport.NotFound && !again {
			continue // dpkg merged them just now
		}
		if err != nil {
			return nil, err
		}
		f.stamps, f.index = stamps, newPackageIndex(merge(packages, updates))
		return f.index, nil
	}
}

func (f *packageFiles) stamp(ctx context.Context, n Native) (stamps [2]Stamp, err error) {
	if stamps[0], err = n.Stamp(ctx, DpkgStatus); err != nil {
		return stamps, err
	}
	stamps[1], err = n.Stamp(ctx, dpkgUpdates)
	if k := transport.KindOf(err); k == transport.NotFound || k == transport.Denied {
		stamps[1], err = Stamp{Size: -1}, nil // it appears with its first file
	}
	return stamps, err
}

func readUpdates(ctx context.Context, n Native) ([]Package, error) {
	names, err := n.Names(ctx, dpkgUpdates)
	switch transport.KindOf(err) {
	case transport.NotFound, transport.Denied:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(s string) bool { return !isID(s) })
	slices.Sort(names)
	var out []Package
	for _, name := range names {
		b, err := n.ReadFile(ctx, dpkgUpdates.Join(name))
		if err != nil {
			return nil, err
		}
		out = append(out, ParseDpkgStatus(b)...)
	}
	return out, nil
}

// merge lets updates take the places of the packages that they are about.
func merge(packages, updates []Package) []Package {
	if len(updates) == 0 {
		return packages
	}
	out := slices.Clone(packages)
	for _, u := range updates {
		i := slices.IndexFunc(out, func(p Package) bool { return p.Name == u.Name && (p.Arch == u.Arch || u.Arch == "") })
		if i < 0 {
			out = append(out, u)
			continue
		}
		out[i] = u
	}
	return out
}
