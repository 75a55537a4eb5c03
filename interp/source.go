package interp

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
)

// source is where the text of a closure comes from, once.
type source interface {
	// read is the text of a file by its canonical name. The error says what was tried; hint, what exists instead.
	read(name string) (text, hint string, err error)
	// display is the name of the file as people see it.
	display(name string) string
	// grant says why a file of the library from ("" for the repository) may not use the library name, if it may not.
	grant(from, name string) (hint string, err error)
}

// disk reads the repository through an os.Root, which refuses whatever leads out of it, symlinks included, and
// libraries from the file systems they come in.
type disk struct {
	root    string // absolute
	cwd     string
	bundle  string // canonical
	typed   string // the bundle as the user named it
	handle  *os.Root
	modules map[string]fs.FS
	find    func(from, name string) (fs.FS, error) // may be nil
}

// openDisk finds the repository of a bundle.
func (in *Interp) openDisk(bundle string) (*disk, error) {
	abs, err := filepath.Abs(bundle)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", bundle, err)
	}
	root := in.opts.Root
	if root == "" {
		root, abs = findRoot(abs)
	} else if root, err = filepath.Abs(root); err != nil {
		return nil, fmt.Errorf("open %s: %w", in.opts.Root, err)
	}
	rel, err := filepath.Rel(root, abs)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return nil, fmt.Errorf("open %s: it is not in %s, the root of the repository", bundle, root)
	}
	handle, err := os.OpenRoot(root)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", bundle, cause(err))
	}
	cwd, _ := os.Getwd() // without one, names are shown in full
	d := &disk{root: root, cwd: cwd, bundle: joinName("", filepath.ToSlash(rel)), typed: filepath.Clean(bundle), handle: handle, modules: map[string]fs.FS{}, find: in.opts.Modules}
	if in.opts.Fab != nil {
		d.modules["fab"] = in.opts.Fab
	}
	return d, nil
}

// RootOfBundle is the folder that "//" means to a bundle, by the markers of a repository.
func RootOfBundle(bundle string) (string, error) {
	abs, err := filepath.Abs(bundle)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", bundle, err)
	}
	root, _ := findRoot(abs)
	return root, nil
}

// findRoot looks for the repository along the path as it was typed and, failing that, along the path without symlinks.
func findRoot(bundle string) (root, file string) {
	if r := markedAncestor(filepath.Dir(bundle)); r != "" {
		return r, bundle
	}
	if real, err := filepath.EvalSymlinks(filepath.Dir(bundle)); err == nil {
		if r := markedAncestor(real); r != "" {
			return r, filepath.Join(real, filepath.Base(bundle))
		}
	}
	return filepath.Dir(bundle), bundle
}

// Root is the root of the repository that a folder is in, or "" when nothing marks one.
func Root(dir string) string { return markedAncestor(dir) }

func markedAncestor(dir string) string {
	for {
		for _, marker := range []string{"fab.mod", ".git", ".fabgo"} {
			if _, err := os.Lstat(filepath.Join(dir, marker)); err == nil {
				return dir
			}
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

func (d *disk) Close() error { return d.handle.Close() }

func (d *disk) display(name string) string {
	module, file := splitName(name)
	if module != "" {
		return name
	}
	if name == d.bundle {
		return d.typed
	}
	abs := filepath.Join(d.root, filepath.FromSlash(file))
	if rel, err := filepath.Rel(d.cwd, abs); d.cwd != "" && err == nil && len(rel) < len(abs) {
		return rel
	}
	return abs
}

func (d *disk) grant(from, name string) (hint string, err error) {
	if name == "" || name == from || name == "fab" || d.find == nil {
		return "", nil
	}
	fsys, err := d.find(from, name)
	if err == nil {
		d.modules[name] = fsys
	} else if Nearest(name, []string{"fab"}) != "" {
		hint = "did you mean @fab?"
	}
	return hint, err
}

func (d *disk) read(name string) (text, hint string, err error) {
	module, file := splitName(name)
	fsys, ok := fs.FS(nil), true
	if module == "" {
		fsys = d.handle.FS()
	} else if fsys, ok = d.modules[module]; !ok {
		return "", d.moduleHint(module), fmt.Errorf("there is no library @%s", module)
	}
	text, err = readText(fsys, file)
	if err == nil {
		return text, "", nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		if nearby := joinNear(fsys, module, file); nearby != "" {
			hint = nearby
		}
		return "", hint, fmt.Errorf("there is no file %s", d.display(name))
	}
	if strings.Contains(err.Error(), "escapes") {
		return "", "a symlink must stay inside", fmt.Errorf("%s leads out of %s", d.display(name), rootOf(module))
	}
	return "", "", fmt.Errorf("read %s: %w", d.display(name), err)
}

func (d *disk) moduleHint(module string) string {
	names := make([]string, 0, len(d.modules))
	for n := range d.modules {
		names = append(names, n)
	}
	if n := Nearest(module, names); n != "" {
		return fmt.Sprintf("did you mean @%s?", n)
	}
	return "the libraries of a repository are named in its fab.mod"
}

// readText reads a regular file within the limits. What is not a regular file is not opened: a pipe would never answer.
func readText(fsys fs.FS, file string) (string, error) {
	info, err := fs.Stat(fsys, file)
	if err != nil {
		return "", cause(err)
	}
	switch {
	case info.IsDir():
		return "", errors.New("it is a folder")
	case !info.Mode().IsRegular():
		return "", errors.New("it is not a regular file")
	case info.Size() > maxFileBytes:
		return "", fmt.Errorf("the file has %s bytes; at most %s are read", grouped(uint64(info.Size())), grouped(maxFileBytes))
	}
	f, err := fsys.Open(file)
	if err != nil {
		return "", cause(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return "", cause(err)
	}
	return string(b), nil
}

// cause is a file error without the name in it, which the message has already, in the form the user knows.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// joinNear says which .star files there are near a missing one.
func joinNear(fsys fs.FS, module, file string) string {
	dir := path.Dir(file)
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		if info, err := fs.Stat(fsys, dir); err != nil || !info.IsDir() {
			return fmt.Sprintf("there is no folder %s", joinName(module, dir))
		}
		return ""
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".star") && len(names) < 1000 {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	if n := Nearest(path.Base(file), names); n != "" {
		return fmt.Sprintf("did you mean %q?", joinName(module, path.Join(dir, n)))
	}
	if len(names) == 0 {
		return "that folder holds no .star files"
	}
	if len(names) > 8 {
		names = append(names[:8], "...")
	}
	return "that folder holds " + strings.Join(names, ", ")
}
