package ssh

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"strings"

	"fabgo/transport"
)

// exitKinds are the exit codes by which a script of ours says what it found itself; its standard error is the whole message then.
var exitKinds = map[int]transport.Kind{91: transport.Refused, 92: transport.NotFound, 93: transport.Unsupported, 94: transport.IO, 96: transport.Denied}

// causes are the texts of the C library for error numbers, in the C locale, and of shells that have words of their own.
var causes = []struct {
	text string
	kind transport.Kind
}{
	{"No space left on device", transport.NoSpace},
	{"Disk quota exceeded", transport.NoSpace},
	{"Read-only file system", transport.ReadOnlyFS},
	{"Operation not permitted", transport.Denied},
	{"Permission denied", transport.Denied},
	{"No such file", transport.NotFound},
	{"Directory nonexistent", transport.NotFound},
	{"nonexistent directory", transport.NotFound},
	{"Too many levels of symbolic links", transport.Refused},
	{"Not a directory", transport.Refused},
	{"Is a directory", transport.Refused},
	{"Directory not empty", transport.Refused},
	{"File exists", transport.Refused},
	{"Invalid cross-device link", transport.Refused},
	{"File name too long", transport.Refused},
	{"Invalid argument", transport.Refused},
}

// missingTool finds the name of a program that a script lacked: "sh: 12: stat: not found", "sh: stat: command not found".
var missingTool = regexp.MustCompile(`(?m)(?:^|: )([A-Za-z0-9._+-]+): (?:command )?not found$`)

// classify says what went wrong with a script of ours, by its exit code and its words.
func classify(what string, p transport.Path, code int, stderr transport.Text) *transport.Error {
	said := strings.TrimSpace(string(stderr))
	e := &transport.Error{Kind: transport.IO, Path: p, Stderr: stderr}
	last := said
	if kind, ok := exitKinds[code]; ok {
		e.Kind = kind
	} else if m := missingTool.FindStringSubmatch(said); m != nil {
		e.Kind, e.Hint = transport.Unsupported, fmt.Sprintf("install the package that brings %s, or busybox", m[1])
		last = fmt.Sprintf("the host lacks the program %s", m[1])
	} else {
		for _, c := range causes {
			if strings.Contains(said, c.text) {
				e.Kind, last = c.kind, c.text
				break
			}
		}
	}
	if last == "" {
		last = fmt.Sprintf("the command ended with code %d and said nothing", code)
	}
	if p != "" {
		what += " " + show(p)
	}
	e.Message = what + ": " + last
	switch e.Kind {
	case transport.NoSpace:
		e.Hint = "make room on the disk (or raise the quota) and run again"
	case transport.ReadOnlyFS:
		e.Hint = "the file system is mounted read-only: see dmesg for why, or remount it"
	case transport.Refused:
		switch {
		case strings.Contains(said, "masked"):
			e.Hint = "unmask it first"
		case strings.Contains(said, "a symlink to"):
			e.Hint = "name its target, or ask for the symlink to be followed"
		case strings.Contains(said, "mount"):
			e.Hint = "unmount it first"
		}
	}
	return e
}

// show is a path as messages have it: plain, unless it holds bytes that would garble a line.
func show(p transport.Path) string {
	for i := range len(p) {
		if c := p[i]; c < ' ' || c == 0x7f || c >= 0x80 {
			return fmt.Sprintf("%q", string(p))
		}
	}
	return string(p)
}

// explainDenied looks for what keeps even root from changing p: the immutable or the append-only attribute, of it or of its folder.
func (h *Host) explainDenied(ctx context.Context, l *link, what string, p transport.Path, e *transport.Error) *transport.Error {
	if l.acct.uid != 0 {
		e.Hint = "it needs root: run with --sudo"
	}
	if !strings.Contains(string(e.Stderr), "Operation not permitted") && !strings.Contains(string(e.Stderr), "not permitted") {
		return e
	}
	for _, where := range []string{string(p), path.Dir(string(p))} {
		out, err := h.observe(ctx, l, "lsattr", "begin lsattr; lsattr -d -- "+shellWord(where)+" 2>/dev/null; exit 0")
		if err != nil {
			return e
		}
		flags, _, _ := strings.Cut(out, " ")
		for flag, name := range map[string]string{"i": "immutable", "a": "append-only"} {
			if strings.Contains(flags, flag) {
				e.Message = fmt.Sprintf("%s %s: %s attribute set on %s", what, show(p), name, show(transport.Path(where)))
				e.Hint = fmt.Sprintf("clear it with: chattr -%s %s", flag, shellWord(where))
				return e
			}
		}
	}
	return e
}
