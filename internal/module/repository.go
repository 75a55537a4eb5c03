package module

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/semver"
)

// Options says where a repository and the cache are.
type Options struct {
	Root    string   // the folder that holds fab.mod
	Display string   // how messages name that folder: "" for the current one
	Cache   string   // a folder for what was fetched; "" for none
	Environ []string // of git
}

// Repository is the one that is worked in, with the modules that it uses. It is for one goroutine.
type Repository struct {
	root, display string
	file          *File
	lock          Lock
	store         store
	used          map[string]fs.FS
	mods          map[string]*File // fab.mod of the used
}

// Open reads fab.mod and fab.lock. A repository without them has no modules.
func Open(o Options) (*Repository, error) {
	r := &Repository{root: o.Root, display: o.Display, store: store{dir: o.Cache, git: git{environ: o.Environ}}, used: map[string]fs.FS{}, mods: map[string]*File{}}
	var err error
	fsys := os.DirFS(o.Root)
	if r.file, err = readMod(fsys, r.shown(ModName)); err != nil {
		return nil, err
	}
	r.lock, err = readLock(fsys, r.shown(LockName))
	return r, err
}

func (r *Repository) shown(name string) string { return filepath.Join(r.display, name) }

// declares finds what a module, or the repository ("" ), requires by a name.
func (r *Repository) declares(from, name string) (*Require, error) {
	file, where := r.file, r.shown(ModName)
	if from != "" {
		file, where = r.mods[from], "@"+from+"//"+ModName
	}
	if file != nil {
		if q := file.required(name); q != nil {
			return q, nil
		}
		if from == "" && file.replaced(name) != nil {
			return nil, fmt.Errorf("%s replaces %s and does not require it: fabgo mod add %s SOURCE", r.file.replaced(name).Pos, name, name)
		}
	}
	if from != "" {
		return nil, fmt.Errorf("@%s is not declared in %s: a module loads only what it requires there; its owner adds it with fabgo mod add", name, where)
	}
	return nil, fmt.Errorf("@%s is not declared in %s: fabgo mod add %s SOURCE", name, where, name)
}

// Use is the tree of the module that a file of the module from ("" for the repository) means by @name, verified.
func (r *Repository) Use(ctx context.Context, from, name string) (fs.FS, error) {
	q, err := r.declares(from, name)
	if err != nil {
		return nil, err
	}
	dir, err := r.place(ctx, name, q)
	if err != nil {
		return nil, err
	}
	if fsys := r.used[name]; fsys != nil {
		return fsys, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open module %s: %w", name, err)
	}
	file, err := readMod(root.FS(), "@"+name+"//"+ModName)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	// The root stays open: it is what keeps symlinks of the module inside, until the process ends.
	r.used[name], r.mods[name] = root.FS(), file
	return r.used[name], nil
}

// Used are the modules that were used, by name.
func (r *Repository) Used() map[string]fs.FS { return r.used }

// place is the folder in which a module stands: the one that replaces it, a copy in vendor/, or the cache.
func (r *Repository) place(ctx context.Context, name string, q *Require) (string, error) {
	replaced := r.file.replaced(name)
	if replaced != nil && replaced.Dir != "" {
		return r.folder(replaced)
	}
	l, err := r.locked(name, q, replaced)
	if err != nil || r.used[name] != nil {
		return "", err
	}
	if vendored := filepath.Join(r.root, Vendor, name); isDir(vendored) {
		if hash, err := hashTree(vendored); err != nil || hash != l.Hash {
			return "", errors.Join(fmt.Errorf("%s: the copy in %s is not %s %s: somebody changed it; fabgo mod vendor makes it anew", l.Pos, filepath.Join(Vendor, name), name, l.Version), err)
		}
		return vendored, nil
	}
	return r.cached(ctx, l)
}

// cached is a locked module in the cache, fetched when it is not there.
func (r *Repository) cached(ctx context.Context, l Locked) (string, error) {
	dir := r.store.tree(l.Hash)
	hash, err := hashTree(dir)
	switch {
	case err == nil && hash == l.Hash:
		return dir, nil
	case err == nil:
		return "", fmt.Errorf("%s: %s %s in the cache is not what %s says: its hash is %s. Remove %s, and it is fetched again", l.Pos, l.Name, l.Version, LockName, hash, dir)
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	got, err := r.store.fetch(ctx, l.Name, l.Source, l.Version, true)
	if err != nil {
		return "", fmt.Errorf("%s: %s %s is not in the cache: %w", l.Pos, l.Name, l.Version, err)
	}
	if err := l.same(got); err != nil {
		return "", err
	}
	return dir, r.verifySigner(ctx, l)
}

// locked is the line of fab.lock for a module, which has to satisfy who requires it.
func (r *Repository) locked(name string, q *Require, replaced *Replace) (Locked, error) {
	l, ok := r.lock[name]
	switch {
	case !ok:
		return l, fmt.Errorf("%s: %s %s is not in %s: run fabgo mod tidy", q.Pos, name, q.Version, LockName)
	case replaced != nil && (l.Source != replaced.Source || l.Version != replaced.Version):
		return l, fmt.Errorf("%s: %s is replaced by %s %s, and %s has %s %s: run fabgo mod tidy", replaced.Pos, name, replaced.Source, replaced.Version, LockName, l.Source, l.Version)
	case replaced == nil && l.Source != q.Source:
		return l, fmt.Errorf("%s: the source of %s is %s, and %s has %s: run fabgo mod tidy", q.Pos, name, q.Source, LockName, l.Source)
	case replaced == nil && (semver.Compare(l.Version, q.Version) < 0 || semver.Major(l.Version) != semver.Major(q.Version)):
		return l, fmt.Errorf("%s: %s is required at %s, and %s has %s: run fabgo mod tidy", q.Pos, name, q.Version, LockName, l.Version)
	}
	if p := r.file.policy(name); p != nil && l.Signer == "" {
		return l, fmt.Errorf("%s: %s has to be signed (%s), and no signer is in %s: run fabgo mod tidy", l.Pos, name, p.Pos, LockName)
	}
	return l, nil
}

// verifySigner verifies a version whose tag is in the mirror, where a policy asks for it.
func (r *Repository) verifySigner(ctx context.Context, l Locked) error {
	p := r.file.policy(l.Name)
	if p == nil {
		return nil
	}
	signer, err := r.sign(ctx, l, p)
	if err == nil && l.Signer != signer {
		err = fmt.Errorf("%s: %s %s is signed by %s, and %s has %s: run fabgo mod tidy", l.Pos, l.Name, l.Version, signer, LockName, l.Signer)
	}
	return err
}

func (r *Repository) sign(ctx context.Context, l Locked, p *Policy) (string, error) {
	abs, err := filepath.Abs(filepath.Join(r.root, p.Signers))
	if err != nil {
		return "", err
	}
	signer, err := r.store.git.signer(ctx, mirror(r.store.dir, l.Source), l.Version, abs)
	if err != nil {
		return "", fmt.Errorf("%s: %s %s is not accepted: %w", p.Pos, l.Name, l.Version, err)
	}
	return signer, nil
}

// folder is the folder that replaces a module.
func (r *Repository) folder(p *Replace) (string, error) {
	dir := filepath.FromSlash(p.Dir)
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(r.root, dir)
	}
	if !isDir(dir) {
		return "", fmt.Errorf("%s: there is no folder %s to replace %s: correct it, or remove the line", p.Pos, p.Dir, p.Name)
	}
	return dir, nil
}

func isDir(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.IsDir()
}

// replacedByFolder reports whether a module is no version of a repository, but a folder.
func (r *Repository) replacedByFolder(name string) bool {
	p := r.file.replaced(name)
	return p != nil && p.Dir != ""
}

// save writes fab.mod and fab.lock.
func (r *Repository) save() error {
	if err := writeFile(filepath.Join(r.root, ModName), r.file.String()); err != nil {
		return err
	}
	return writeFile(filepath.Join(r.root, LockName), r.lock.String())
}

// initial is a name for the module of a folder.
func initial(dir string) string {
	name := strings.Trim(strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			return c
		}
		return '-'
	}, strings.ToLower(filepath.Base(dir))), "-0123456789_")
	return name
}
