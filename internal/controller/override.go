package controller

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// override is a folder whose files win over those of the same path in the repository and in libraries; "" is none.
type override string

// inRepository takes a name apart that is one of the repository or of a library, whatever there is.
func inRepository(name string) (module, file string, ok bool) {
	module, file, ok = strings.Cut(name, "//")
	file = path.Clean(file)
	if file == ".." || strings.HasPrefix(file, "../") || strings.HasPrefix(file, "/") {
		ok = false
	}
	return module, file, ok
}

// of is the path below the folder of what is there for a name; "" for nothing.
func (o override) of(name string) string {
	if o == "" || strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "//") {
		return ""
	}
	_, file, ok := inRepository(name)
	if !ok || file == "." {
		return ""
	}
	if _, err := os.Lstat(o.path(file)); err != nil {
		return ""
	}
	return file
}

// path is a file of the folder on this machine.
func (o override) path(file string) string {
	return filepath.Join(string(o), filepath.FromSlash(file))
}

// Replacement is the file of this machine that is used instead of what a name means; "" when it is not replaced.
func (c *Controller) Replacement(name string) string {
	over := override(c.Override)
	if file := over.of(name); file != "" {
		return over.path(file)
	}
	return ""
}

// rooted is a folder that symlinks do not lead out of.
type rooted string

func (r rooted) in(f func(*os.Root) error) error {
	root, err := os.OpenRoot(string(r))
	if err != nil {
		return err
	}
	defer root.Close()
	return f(root)
}

// Open implements fs.FS.
func (r rooted) Open(name string) (f fs.File, err error) {
	err = r.in(func(root *os.Root) (err error) {
		f, err = root.Open(filepath.FromSlash(name))
		return err
	})
	return f, err
}

// ReadLink implements fs.ReadLinkFS.
func (r rooted) ReadLink(name string) (target string, err error) {
	err = r.in(func(root *os.Root) (err error) {
		target, err = root.Readlink(filepath.FromSlash(name))
		return err
	})
	return target, err
}

// Lstat implements fs.ReadLinkFS.
func (r rooted) Lstat(name string) (info fs.FileInfo, err error) {
	err = r.in(func(root *os.Root) (err error) {
		info, err = root.Lstat(filepath.FromSlash(name))
		return err
	})
	return info, err
}
