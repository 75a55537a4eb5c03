package module

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/mod/semver"
)

// Init makes the fab.mod of a folder, which has none. An empty name is the folder's.
func Init(dir, name string) (string, error) {
	if name == "" {
		if name = initial(dir); name == "" {
			return "", fmt.Errorf("the folder %s gives no name: fabgo mod init NAME", dir)
		}
	}
	if err := CheckName(name); err != nil {
		return "", err
	}
	f, err := os.OpenFile(filepath.Join(dir, ModName), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make %s: it is there already", filepath.Join(dir, ModName))
	} else if err != nil {
		return "", err
	}
	_, err = fmt.Fprintf(f, "module %s\n", name)
	return name, errors.Join(err, f.Close())
}

// Add requires a module. An empty version is the latest; an empty source, the one that is required already. It gives the version.
func (r *Repository) Add(ctx context.Context, name, source, version string) (string, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	old := r.file.required(name)
	if source == "" {
		if old == nil {
			return "", fmt.Errorf("%s requires no %s: fabgo mod add %s SOURCE", r.shown(ModName), name, name)
		}
		source = old.Source
	}
	if err := CheckSource(source); err != nil {
		return "", err
	}
	if version == "" {
		major := ""
		if old != nil && old.Source == source {
			major = semver.Major(old.Version)
		}
		var err error
		if version, err = r.latest(ctx, source, major); err != nil {
			return "", err
		}
	}
	if err := CheckVersion(version); err != nil {
		return "", err
	}
	r.file.set(Require{Name: name, Source: source, Version: version, Pos: r.shown(ModName)})
	s, err := r.resolve(ctx)
	if err != nil {
		return "", err
	}
	if err := r.lockTo(ctx, s); err != nil {
		return "", err
	}
	return version, r.save()
}

// latest is the newest version of a source, of a major version when one is given. A release is preferred to what precedes one.
func (r *Repository) latest(ctx context.Context, source, major string) (string, error) {
	all, err := r.store.git.versions(ctx, source)
	if err != nil {
		return "", err
	}
	release, any := "", ""
	for _, v := range all {
		if major != "" && semver.Major(v) != major {
			continue
		}
		any = v
		if semver.Prerelease(v) == "" {
			release = v
		}
	}
	switch {
	case release != "":
		return release, nil
	case any != "":
		return any, nil
	}
	return "", fmt.Errorf("%s has no tag that is a version: its owner makes one with git tag v1.0.0", source)
}

// Update raises requirements to the latest version of their major version: those named, or all. It tells each change.
func (r *Repository) Update(ctx context.Context, names []string, tell func(name, from, to string)) error {
	if len(names) == 0 {
		for _, q := range r.file.Require {
			if r.file.replaced(q.Name) == nil {
				names = append(names, q.Name)
			}
		}
	}
	for _, word := range names {
		name, version, _ := strings.Cut(word, "@")
		old := r.file.required(name)
		if old == nil {
			return fmt.Errorf("%s requires no %s: fabgo mod add %s SOURCE", r.shown(ModName), name, name)
		}
		before := old.Version
		after, err := r.Add(ctx, name, "", version)
		if err != nil {
			return err
		}
		if after != before {
			tell(name, before, after)
		}
	}
	return nil
}

// Tidy drops requirements that no file uses, and writes fab.lock for what is left. It gives what it dropped.
func (r *Repository) Tidy(ctx context.Context) (dropped []string, err error) {
	used, err := r.mentioned()
	if err != nil {
		return nil, err
	}
	for _, q := range append([]Require(nil), r.file.Require...) {
		if !used[q.Name] {
			r.file.drop(q.Name)
			dropped = append(dropped, q.Name)
		}
	}
	s, err := r.resolve(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.lockTo(ctx, s); err != nil {
		return nil, err
	}
	return dropped, r.save()
}

// mentioned are the modules that .star files of the repository name, in a load or elsewhere.
func (r *Repository) mentioned() (map[string]bool, error) {
	mention := regexp.MustCompile(`["']@([a-z][a-z0-9_-]*)//`)
	used := map[string]bool{}
	root := os.DirFS(r.root)
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && (p == Vendor || strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case !d.Type().IsRegular() || !strings.HasSuffix(p, ".star"):
			return nil
		}
		b, err := fs.ReadFile(root, p)
		for _, m := range mention.FindAllSubmatch(b, -1) {
			used[string(m[1])] = true
		}
		return err
	})
	return used, err
}

// Download brings all that fab.lock names into the cache, verified.
func (r *Repository) Download(ctx context.Context) (Lock, error) {
	for _, name := range r.lock.names() {
		if _, err := r.cached(ctx, r.lock[name]); err != nil {
			return nil, err
		}
	}
	return r.lock, nil
}

// Verify asks the sources whether the tags still are what fab.lock says, and looks at the cache and at vendor/. All that is wrong is told.
func (r *Repository) Verify(ctx context.Context) (n int, err error) {
	var errs []error
	for _, q := range r.file.Require {
		if !r.replacedByFolder(q.Name) {
			_, err := r.place(ctx, q.Name, &q)
			errs = append(errs, err)
		}
	}
	for _, name := range r.lock.names() {
		l := r.lock[name]
		got, err := r.store.fetch(ctx, name, l.Source, l.Version, true)
		if err == nil {
			err = l.same(got)
		} else {
			err = fmt.Errorf("%s: %w", l.Pos, err)
		}
		if err == nil {
			err = r.verifySigner(ctx, l)
		}
		errs = append(errs, err)
	}
	return len(r.lock), errors.Join(errs...)
}

// MakeVendor copies all that fab.lock names to vendor/, where it is used from then on. Copies of what is not used any more are removed.
func (r *Repository) MakeVendor(ctx context.Context) (Lock, error) {
	if err := r.dropVendored(); err != nil {
		return nil, err
	}
	for _, name := range r.lock.names() {
		from, err := r.cached(ctx, r.lock[name])
		if err != nil {
			return nil, err
		}
		to := filepath.Join(r.root, Vendor, name)
		if err := os.RemoveAll(to); err != nil {
			return nil, err
		}
		if err := copyTree(to, from); err != nil {
			return nil, fmt.Errorf("copy %s to %s: %w", name, to, err)
		}
	}
	return r.lock, r.listVendored()
}

// vendorList is the file in vendor/ that says which folders there are ours.
const vendorList = "fab.vendor"

// dropVendored removes the copies that were made before.
func (r *Repository) dropVendored() error {
	text, err := readSmall(os.DirFS(filepath.Join(r.root, Vendor)), vendorList)
	if errors.Is(err, fs.ErrNotExist) {
		for _, name := range r.lock.names() {
			if dir := filepath.Join(r.root, Vendor, name); isDir(dir) {
				return fmt.Errorf("%s is there, and fabgo mod vendor did not make it: move it away", dir)
			}
		}
		return nil
	} else if err != nil {
		return err
	}
	for _, name := range strings.Fields(text) {
		if err := CheckName(name); err != nil {
			return fmt.Errorf("read %s: %w", filepath.Join(Vendor, vendorList), err)
		}
		if err := os.RemoveAll(filepath.Join(r.root, Vendor, name)); err != nil {
			return err
		}
	}
	return nil
}

func (r *Repository) listVendored() error {
	if err := os.MkdirAll(filepath.Join(r.root, Vendor), 0o755); err != nil {
		return err
	}
	return writeFile(filepath.Join(r.root, Vendor, vendorList), strings.Join(r.lock.names(), "\n")+"\n")
}
