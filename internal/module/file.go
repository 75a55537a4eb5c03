package module

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxModBytes bounds fab.mod and fab.lock: 1 MiB.
const maxModBytes = 1 << 20

// Require is one module that another needs, at that version or a later one of the same major version.
type Require struct {
	Name, Source, Version string
	Pos                   string // file:line
}

// Replace is what the repository that is worked in uses instead of a module: a folder, or another source at exactly that version.
type Replace struct {
	Name, Dir, Source, Version string
	Pos                        string
}

// Policy says which modules need a signed tag: those whose names begin with Prefix. Signers is a file of ssh-keygen's allowed_signers form.
type Policy struct {
	Prefix, Signers string
	Pos             string
}

// File is a fab.mod.
type File struct {
	Name     string // of the module; "" when the file names none
	Require  []Require
	Replace  []Replace
	Policies []Policy
	lines    []string
}

// Parse reads a fab.mod; display is its name in messages. All that is wrong is told at once.
func Parse(display, text string) (*File, error) {
	f := &File{}
	var errs []error
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		f.lines = append(f.lines, line)
		pos := fmt.Sprintf("%s:%d", display, len(f.lines))
		if err := f.statement(pos, fields(line)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", pos, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return f, nil
}

// fields are the words of a line without its comment.
func fields(line string) []string {
	words := strings.Fields(line)
	for i, w := range words {
		if strings.HasPrefix(w, "#") {
			return words[:i]
		}
	}
	return words
}

func (f *File) statement(pos string, w []string) error {
	if len(w) == 0 {
		return nil
	}
	args := w[1:]
	switch w[0] {
	case "module":
		if len(args) != 1 {
			return fmt.Errorf("write: module NAME")
		}
		if f.Name != "" {
			return fmt.Errorf("the module has a name already, %s: remove one", f.Name)
		}
		f.Name = args[0]
		return CheckName(args[0])
	case "require":
		if len(args) != 3 {
			return fmt.Errorf("write: require NAME SOURCE VERSION")
		}
		if f.required(args[0]) != nil {
			return fmt.Errorf("%s is required twice: remove one", args[0])
		}
		f.Require = append(f.Require, Require{Name: args[0], Source: args[1], Version: args[2], Pos: pos})
		return errors.Join(CheckName(args[0]), CheckSource(args[1]), CheckVersion(args[2]))
	case "replace":
		return f.replacement(pos, args)
	case "signed":
		if len(args) != 2 {
			return fmt.Errorf("write: signed PREFIX FILE, where the file is of the form allowed_signers; PREFIX * is all modules")
		}
		if !filepath.IsLocal(args[1]) {
			return fmt.Errorf("the file %q leads out of the repository: keep the signers in it", args[1])
		}
		f.Policies = append(f.Policies, Policy{Prefix: strings.TrimSuffix(args[0], "*"), Signers: args[1], Pos: pos})
		return nil
	}
	return fmt.Errorf("there is no statement %q: write module, require, replace or signed", w[0])
}

func (f *File) replacement(pos string, args []string) error {
	if len(args) != 3 && len(args) != 4 || args[1] != "=>" {
		return fmt.Errorf("write: replace NAME => FOLDER, or replace NAME => SOURCE VERSION")
	}
	if f.replaced(args[0]) != nil {
		return fmt.Errorf("%s is replaced twice: remove one", args[0])
	}
	r := Replace{Name: args[0], Pos: pos}
	err := CheckName(args[0])
	if len(args) == 4 {
		r.Source, r.Version = args[2], args[3]
		err = errors.Join(err, CheckSource(r.Source), CheckVersion(r.Version))
	} else {
		r.Dir = args[2]
		if strings.Contains(r.Dir, "://") {
			err = errors.Join(err, fmt.Errorf("the source %s has no version: write replace NAME => SOURCE VERSION", r.Dir))
		}
	}
	f.Replace = append(f.Replace, r)
	return err
}

func (f *File) required(name string) *Require {
	for i := range f.Require {
		if f.Require[i].Name == name {
			return &f.Require[i]
		}
	}
	return nil
}

func (f *File) replaced(name string) *Replace {
	for i := range f.Replace {
		if f.Replace[i].Name == name {
			return &f.Replace[i]
		}
	}
	return nil
}

// policy is the first that is for a module.
func (f *File) policy(name string) *Policy {
	for i := range f.Policies {
		if strings.HasPrefix(name, f.Policies[i].Prefix) {
			return &f.Policies[i]
		}
	}
	return nil
}

// set writes a requirement: over the line that it has, else at the end. Other lines, and comments, stay as they are.
func (f *File) set(r Require) {
	text := fmt.Sprintf("require %s %s %s", r.Name, r.Source, r.Version)
	for i, line := range f.lines {
		if w := fields(line); len(w) > 1 && w[0] == "require" && w[1] == r.Name {
			if _, comment, ok := strings.Cut(line, " #"); ok {
				text += " #" + comment
			}
			f.lines[i] = text
			*f.required(r.Name) = r
			return
		}
	}
	f.lines = append(f.lines, text)
	f.Require = append(f.Require, r)
}

// drop removes a requirement.
func (f *File) drop(name string) {
	kept, lines := f.Require[:0], f.lines[:0]
	for _, r := range f.Require {
		if r.Name != name {
			kept = append(kept, r)
		}
	}
	for _, line := range f.lines {
		if w := fields(line); len(w) < 2 || w[0] != "require" || w[1] != name {
			lines = append(lines, line)
		}
	}
	f.Require, f.lines = kept, lines
}

// String is the text of the file.
func (f *File) String() string {
	if len(f.lines) == 0 {
		return ""
	}
	return strings.Join(f.lines, "\n") + "\n"
}

// readMod reads the fab.mod of a folder. Without one there is an empty File, which requires nothing.
func readMod(fsys fs.FS, display string) (*File, error) {
	text, err := readSmall(fsys, ModName)
	if errors.Is(err, fs.ErrNotExist) {
		return &File{}, nil
	} else if err != nil {
		return nil, fmt.Errorf("read %s: %w", display, err)
	}
	return Parse(display, text)
}

func readSmall(fsys fs.FS, name string) (string, error) {
	st, err := fs.Stat(fsys, name)
	if err != nil {
		return "", err
	}
	if !st.Mode().IsRegular() || st.Size() > maxModBytes {
		return "", fmt.Errorf("it is no regular file of at most %d bytes", maxModBytes)
	}
	b, err := fs.ReadFile(fsys, name)
	return string(b), err
}

// writeFile replaces a file in one step.
func writeFile(name, text string) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(text)
	if err := errors.Join(err, tmp.Chmod(0o644), tmp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return os.Rename(tmp.Name(), name)
}
