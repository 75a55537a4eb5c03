// Package scaffold holds the files with which a repository of bundles begins.
//
// The one rule: what it writes passes fabgo check and fabgo plan as it stands, so that the first edit starts from something that works.
//
// The trap: names that begin with a dot would have a meaning in this repository too, so they are kept here as "dot.NAME".
//
// The promise: nothing that is there is overwritten, and when one file cannot be written, those written before it are taken away again.
package scaffold

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

//go:embed repository
var repository embed.FS

// File is a file to write.
type File struct {
	Name string // below the root, with slashes
	Text []byte
	Mode fs.FileMode
}

// Repository are the files of a new repository, sorted.
func Repository() ([]File, error) {
	var files []File
	err := fs.WalkDir(repository, "repository", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := repository.ReadFile(p)
		if err != nil {
			return err
		}
		f := File{Name: strings.TrimPrefix(p, "repository/"), Text: text, Mode: 0o644}
		if rest, ok := strings.CutPrefix(f.Name, "dot."); ok {
			f.Name = "." + rest
		}
		if path.Dir(f.Name) == "ci" { // what is embedded has no modes
			f.Mode = 0o755
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

var bundleName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// Bundle is the file of a new bundle in a folder of the repository, "" for its root.
func Bundle(folder, name string) (File, error) {
	name = strings.TrimSuffix(name, ".star")
	if !bundleName.MatchString(name) {
		return File{}, fmt.Errorf("%q is no name of a bundle: want letters, digits, dots, dashes and underscores, as in the name of its host", name)
	}
	text := fmt.Sprintf(`"""%s: what this server is for."""

live = var("machine_is_live", default = False)

def bootstrap_all():
    """Make the machine fully operational."""
    bootstrap_base()

def bootstrap_base():
    """What the server needs before its applications."""
    note("%%s is %%s" %% (host.name, "live" if live else "not live"))
`, name)
	return File{Name: path.Join(folder, name+".star"), Text: []byte(text), Mode: 0o644}, nil
}

// Write writes files below a folder, which is made when it is missing.
func Write(dir string, files []File) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var there []string
	for _, f := range files {
		if _, err := root.Lstat(filepath.FromSlash(f.Name)); err == nil {
			there = append(there, f.Name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if len(there) > 0 {
		return fmt.Errorf("there is already %s in %s: nothing is overwritten, so move it away or name another folder", strings.Join(there, ", "), dir)
	}
	for i, f := range files {
		if err := write(root, f); err != nil {
			for _, g := range files[:i] {
				err = errors.Join(err, root.Remove(filepath.FromSlash(g.Name)))
			}
			return err
		}
	}
	return nil
}

func write(root *os.Root, f File) error {
	name := filepath.FromSlash(f.Name)
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	w, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.Mode)
	if err != nil {
		return err
	}
	_, err = w.Write(f.Text)
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return errors.Join(err, root.Remove(name))
	}
	return nil
}
