package module

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// Locked is a line of fab.lock: a module as it is used.
type Locked struct {
	Name, Version, Source string
	Commit                string // in hexadecimal
	Hash                  string // of the tree
	Signer                string // who signed the tag, where a policy asked; else ""
	Pos                   string
}

// Lock is a fab.lock, by name.
type Lock map[string]Locked

const lockHead = "# fab.lock: the modules of this repository, as they are used. Written by fabgo mod; commit it.\n"

// parseLock reads a fab.lock.
func parseLock(display, text string) (Lock, error) {
	commit, hash := regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`), regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	lock := Lock{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		w := fields(line)
		if len(w) == 0 {
			continue
		}
		pos := fmt.Sprintf("%s:%d", display, n)
		if len(w) != 5 && len(w) != 6 {
			return nil, fmt.Errorf("%s: the line is damaged: run fabgo mod tidy after taking the file from git again", pos)
		}
		l := Locked{Name: w[0], Version: w[1], Source: w[2], Commit: w[3], Hash: w[4], Pos: pos}
		if len(w) == 6 {
			l.Signer = strings.TrimPrefix(w[5], "signer=")
		}
		err := errors.Join(CheckName(l.Name), CheckVersion(l.Version), CheckSource(l.Source))
		switch {
		case err != nil:
		case !commit.MatchString(l.Commit):
			err = fmt.Errorf("%q is no commit", l.Commit)
		case !hash.MatchString(l.Hash):
			err = fmt.Errorf("%q is no hash", l.Hash)
		case lock[l.Name].Name != "":
			err = fmt.Errorf("%s is there twice", l.Name)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w: take the file from git again, or remove it and run fabgo mod tidy", pos, err)
		}
		lock[l.Name] = l
	}
	return lock, nil
}

func readLock(fsys fs.FS, display string) (Lock, error) {
	text, err := readSmall(fsys, LockName)
	if errors.Is(err, fs.ErrNotExist) {
		return Lock{}, nil
	} else if err != nil {
		return nil, fmt.Errorf("read %s: %w", display, err)
	}
	return parseLock(display, text)
}

// names are in the order of the alphabet.
func (l Lock) names() []string {
	names := make([]string, 0, len(l))
	for n := range l {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// String is the text of the file.
func (l Lock) String() string {
	var b strings.Builder
	b.WriteString(lockHead)
	for _, n := range l.names() {
		e := l[n]
		fmt.Fprintf(&b, "%s %s %s %s %s", e.Name, e.Version, e.Source, e.Commit, e.Hash)
		if e.Signer != "" {
			fmt.Fprintf(&b, " signer=%s", e.Signer)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
