package module

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// hashTree is the hash of all that a module holds: of every file its name and content, of every symlink its target. A symlink that leads out
// of the module, and what is neither file, folder nor symlink, is an error. Modes do not count: not every system has them.
func hashTree(dir string) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	h := sha256.New()
	io.WriteString(h, "fabgo module 1\n")
	err = fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || d.IsDir():
			return err
		case d.Type()&fs.ModeSymlink != 0:
			target, err := root.Readlink(filepath.FromSlash(p))
			if err != nil {
				return err
			}
			if err := checkLink(p, filepath.ToSlash(target)); err != nil {
				return err
			}
			fmt.Fprintf(h, "link %q %q\n", p, filepath.ToSlash(target))
			return nil
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is neither file, folder nor symlink", p)
		}
		return hashFile(h, root, p)
	})
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), err
}

func hashFile(h io.Writer, root *os.Root, p string) error {
	f, err := root.Open(filepath.FromSlash(p))
	if err != nil {
		return err
	}
	defer f.Close()
	content := sha256.New()
	if _, err := io.Copy(content, f); err != nil {
		return err
	}
	fmt.Fprintf(h, "file %q %x\n", p, content.Sum(nil))
	return nil
}

// checkLink refuses a symlink at p that leads out.
func checkLink(p, target string) error {
	end := path.Join(path.Dir(p), target)
	if path.IsAbs(target) || end == ".." || strings.HasPrefix(end, "../") {
		return fmt.Errorf("the symlink %s leads out of the module, to %s", p, target)
	}
	return nil
}

// copyTree copies a module to a folder that does not exist, for vendor.
func copyTree(to, from string) error {
	root, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		dest := filepath.Join(to, filepath.FromSlash(p))
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.MkdirAll(dest, 0o755)
		case d.Type()&fs.ModeSymlink != 0:
			target, err := root.Readlink(filepath.FromSlash(p))
			return errors.Join(err, os.Symlink(target, dest))
		}
		in, err := root.Open(filepath.FromSlash(p))
		if err != nil {
			return err
		}
		defer in.Close()
		st, err := in.Stat()
		if err != nil {
			return err
		}
		out, err := os.OpenFile(dest, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644|st.Mode().Perm()&0o111)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		return errors.Join(err, out.Close())
	})
}
