package module

import (
	"context"
	"fmt"
	"os"
	"slices"

	"golang.org/x/mod/semver"
)

// Edge says that a module, at a version ("" for the repository itself), requires another at a version.
type Edge struct {
	From, FromVersion string
	Require
}

// selection is what minimal version selection finds: of each module the least version that satisfies all.
type selection struct {
	chosen map[string]Locked // but for those that are folders
	edges  []Edge
}

// node is a version of a module, or the folder that replaces it (version "").
type node struct{ name, version string }

// resolve follows the requirements of the repository. All versions that anybody names are looked at, not only the chosen ones: a
// choice depends on nothing but what is required.
func (r *Repository) resolve(ctx context.Context) (*selection, error) {
	s := &selection{chosen: map[string]Locked{}}
	sources := map[string]Require{}
	seen := map[node]bool{}
	type step struct {
		node
		file *File
	}
	queue := []step{{file: r.file}}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, q := range at.file.Require {
			s.edges = append(s.edges, Edge{From: at.name, FromVersion: at.version, Require: q})
			if err := r.agree(sources, q); err != nil {
				return nil, err
			}
			n, source := node{q.Name, q.Version}, q.Source
			if p := r.file.replaced(q.Name); p != nil {
				n.version, source = p.Version, p.Source
			}
			if seen[n] {
				continue
			}
			seen[n] = true
			file, l, err := r.modOf(ctx, q, n, source)
			if err != nil {
				return nil, err
			}
			if old, ok := s.chosen[q.Name]; l.Hash != "" && (!ok || semver.Compare(l.Version, old.Version) > 0) {
				s.chosen[q.Name] = l
			}
			queue = append(queue, step{n, file})
		}
	}
	return s, nil
}

// agree refuses what one name cannot mean at once. A replacement settles it.
func (r *Repository) agree(sources map[string]Require, q Require) error {
	old, ok := sources[q.Name]
	if !ok {
		sources[q.Name] = q
		return nil
	}
	switch {
	case r.file.replaced(q.Name) != nil:
	case old.Source != q.Source:
		return fmt.Errorf("%s: %s is %s, and by %s it is %s: one name is one module; write replace %s => SOURCE VERSION to choose", q.Pos, q.Name, q.Source, old.Pos, old.Source, q.Name)
	case semver.Major(old.Version) != semver.Major(q.Version):
		return fmt.Errorf("%s: %s is required at %s, and by %s at %s: major versions are not compatible; update one, or write replace %s => SOURCE VERSION to choose",
			q.Pos, q.Name, q.Version, old.Pos, old.Version, q.Name)
	}
	return nil
}

// modOf is the fab.mod of a node, and what the node is. What fab.lock holds of it is verified.
func (r *Repository) modOf(ctx context.Context, q Require, n node, source string) (*File, Locked, error) {
	display := "@" + q.Name + "//" + ModName
	if r.replacedByFolder(q.Name) {
		p := r.file.replaced(q.Name)
		dir, err := r.folder(p)
		if err != nil {
			return nil, Locked{}, err
		}
		file, err := readMod(os.DirFS(dir), display)
		return file, Locked{}, err
	}
	l, err := r.store.fetch(ctx, q.Name, source, n.version, false)
	if err != nil {
		return nil, l, fmt.Errorf("%s: %w", q.Pos, err)
	}
	if old := r.lock[q.Name]; old.Version == l.Version && old.Source == l.Source {
		if err := old.same(l); err != nil {
			return nil, l, err
		}
	}
	root, err := os.OpenRoot(r.store.tree(l.Hash))
	if err != nil {
		return nil, l, err
	}
	defer root.Close()
	file, err := readMod(root.FS(), display)
	if err == nil && file.Name != "" && file.Name != q.Name {
		err = fmt.Errorf("%s: %s %s calls itself %s: require it by that name", q.Pos, source, n.version, file.Name)
	}
	return file, l, err
}

// lockTo makes fab.lock of a selection, with the signers that policies ask for.
func (r *Repository) lockTo(ctx context.Context, s *selection) error {
	lock := Lock{}
	for name, l := range s.chosen {
		if p := r.file.policy(name); p != nil {
			var err error
			if l.Signer, err = r.sign(ctx, l, p); err != nil {
				return err
			}
		}
		lock[name] = l
	}
	r.lock = lock
	return nil
}

// Graph are the requirements of the repository and of all that it uses.
func (r *Repository) Graph(ctx context.Context) ([]Edge, error) {
	s, err := r.resolve(ctx)
	if err != nil {
		return nil, err
	}
	return s.edges, nil
}

// Why is the shortest chain of requirements from the repository to a module; nil when nothing requires it.
func (r *Repository) Why(ctx context.Context, name string) ([]Edge, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	edges, err := r.Graph(ctx)
	if err != nil {
		return nil, err
	}
	// The edges are in the order of breadth: the first that leads to a module is on a shortest chain.
	var chain []Edge
	for at := name; at != ""; {
		i := slices.IndexFunc(edges, func(e Edge) bool { return e.Name == at })
		if i < 0 {
			return nil, nil
		}
		chain = append(chain, edges[i])
		at = edges[i].From
	}
	slices.Reverse(chain)
	return chain, nil
}
