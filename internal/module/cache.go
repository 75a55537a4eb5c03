package module

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// store is the cache: trees by their hash, and mirrors of what was fetched. It may be removed at any time.
type store struct {
	dir string
	git git
}

// tree is where the tree of a hash stands.
func (s store) tree(hash string) string {
	return filepath.Join(s.dir, "tree", strings.TrimPrefix(hash, "sha256:"))
}

// fetch brings a version into the cache and says what it is. fresh asks the source even when the mirror has the tag.
func (s store) fetch(ctx context.Context, name, source, version string, fresh bool) (Locked, error) {
	l := Locked{Name: name, Version: version, Source: source}
	if s.dir == "" {
		return l, errors.New("fetch modules: there is no place for a cache: set XDG_CACHE_HOME or HOME")
	}
	var err error
	if l.Commit, err = s.git.commit(ctx, mirror(s.dir, source), source, version, fresh); err != nil {
		return l, err
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "tree"), 0o755); err != nil {
		return l, err
	}
	tmp, err := os.MkdirTemp(filepath.Join(s.dir, "tree"), "new-")
	if err != nil {
		return l, err
	}
	defer os.RemoveAll(tmp)
	if err := s.git.extract(ctx, mirror(s.dir, source), l.Commit, tmp); err != nil {
		return l, fmt.Errorf("unpack %s %s: %w", name, version, err)
	}
	if l.Hash, err = hashTree(tmp); err != nil {
		return l, fmt.Errorf("unpack %s %s: %w", name, version, err)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return l, err
	}
	dest := s.tree(l.Hash)
	if hash, err := hashTree(dest); err == nil && hash == l.Hash {
		return l, nil
	} else if err == nil { // somebody changed it: it is no more what its name says
		if err := os.RemoveAll(dest); err != nil {
			return l, err
		}
	}
	if err := os.Rename(tmp, dest); err != nil {
		if hash, again := hashTree(dest); again != nil || hash != l.Hash { // else another fabgo was faster
			return l, err
		}
	}
	return l, nil
}

// same compares what was fetched with the lock.
func (l Locked) same(got Locked) error {
	switch {
	case got.Commit != l.Commit:
		return fmt.Errorf("%s: the tag %s of %s now names the commit %s, where %s has %s: it was moved. Ask its owner; a new version needs a new tag",
			l.Pos, l.Version, l.Source, got.Commit, LockName, l.Commit)
	case got.Hash != l.Hash:
		return fmt.Errorf("%s: %s %s has the hash %s, where %s has %s: one of them was tampered with", l.Pos, l.Name, l.Version, got.Hash, LockName, l.Hash)
	}
	return nil
}
