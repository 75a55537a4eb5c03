package transport

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A manifest names the files of a tree: one line each, sorted by path.
//
//	f 0644 12 SHA256 etc/motd
//	l - 0 - etc/localtime ../usr/share/zoneinfo/UTC
//
// The fields are type (f; x is a file that may be executed; d, l), mode, size, digest, path and, of symlinks, target. What is not said is
// "-". In names, blanks, control characters and % are written %XX; all other bytes stand for themselves. It is a Content, so that thousands
// of files are one name in an op and in its journal record.

// MaxManifest is how long a manifest may be: 64 MiB are some 500,000 files.
const MaxManifest = 64 << 20

// SourceEntry is one row of a manifest.
type SourceEntry struct {
	Path       Text // relative to the folder that the manifest is of
	Type       FileType
	Mode       Mode // "": not said
	Target     Text
	Executable bool   // of a regular file
	Digest     Digest // of a regular file; AskFile gives the bytes
	Size       int64
}

// Manifest writes entries down.
func Manifest(entries []SourceEntry) Content {
	less := func(a, b SourceEntry) int { return strings.Compare(string(a.Path), string(b.Path)) }
	if !slices.IsSortedFunc(entries, less) {
		entries = slices.Clone(entries)
		slices.SortFunc(entries, less)
	}
	b := make([]byte, 0, 128*len(entries))
	for _, e := range entries {
		kind := byte('f')
		switch {
		case e.Type == Dir:
			kind = 'd'
		case e.Type == Symlink:
			kind = 'l'
		case e.Executable:
			kind = 'x'
		}
		b = append(append(append(b, kind, ' '), cmp.Or(string(e.Mode), "-")...), ' ')
		b = append(strconv.AppendInt(b, e.Size, 10), ' ')
		b = append(append(b, cmp.Or(strings.TrimPrefix(string(e.Digest), digestPrefix), "-")...), ' ')
		b = appendName(b, string(e.Path))
		if e.Type == Symlink {
			b = appendName(append(b, ' '), string(e.Target))
		}
		b = append(b, '\n')
	}
	return Bytes(b)
}

// Entries reads a manifest. A name that leads out of the folder, one that comes twice or out of order, and a line that Manifest would not
// have written are errors: manifests come from hosts and over wires too.
func (c Content) Entries() ([]SourceEntry, error) {
	b, err := c.ReadAll(MaxManifest)
	if err != nil {
		return nil, fmt.Errorf("read a manifest: %w", err)
	}
	out := make([]SourceEntry, 0, bytes.Count(b, []byte("\n")))
	for text := string(b); text != ""; {
		line, rest, ok := strings.Cut(text, "\n")
		e, err := entryOf(line)
		if err == nil && !ok {
			err = fmt.Errorf("its last line is cut off")
		}
		if n := len(out); err == nil && n > 0 && out[n-1].Path >= e.Path {
			err = fmt.Errorf("%q comes after %q", e.Path, out[n-1].Path)
		}
		if err != nil {
			return nil, fmt.Errorf("read a manifest: line %d: %w", len(out)+1, err)
		}
		out, text = append(out, e), rest
	}
	return out, nil
}

func entryOf(line string) (e SourceEntry, err error) {
	var f [6]string
	n := 0
	for ok := true; ok; n++ {
		if n == len(f) {
			return e, fmt.Errorf("%q has more than %d fields", line, len(f))
		}
		f[n], line, ok = strings.Cut(line, " ")
	}
	switch f[0] {
	case "f", "x":
		e.Type, e.Executable = Regular, f[0] == "x"
	case "d":
		e.Type = Dir
	case "l":
		e.Type = Symlink
	default:
		return e, fmt.Errorf("%q is no type of a file", f[0])
	}
	want := 5
	if e.Type == Symlink {
		want++
	}
	if n != want {
		return e, fmt.Errorf("it has %d fields instead of %d", n, want)
	}
	if f[1] != "-" {
		if e.Mode, err = ParseMode(f[1]); err != nil || string(e.Mode) != f[1] {
			return e, fmt.Errorf("%q is no mode", f[1])
		}
	}
	if e.Size, err = strconv.ParseInt(f[2], 10, 64); err != nil || e.Size < 0 || e.Size > 0 && e.Type != Regular {
		return e, fmt.Errorf("%q is no size", f[2])
	}
	switch {
	case e.Type == Regular && len(f[3]) == 64 && strings.Trim(f[3], "0123456789abcdef") == "":
		e.Digest = Digest(digestPrefix + f[3])
	case e.Type == Regular || f[3] != "-":
		return e, fmt.Errorf("%q is no digest", f[3])
	}
	path, ok := nameOf(f[4])
	if !ok || !inside(path) {
		return e, fmt.Errorf("%q is no path below a folder", f[4])
	}
	e.Path = Text(path)
	target, ok := nameOf(f[5])
	if !ok || (target == "") != (e.Type != Symlink) || strings.IndexByte(target, 0) >= 0 {
		return e, fmt.Errorf("%q is no target of a symlink", f[5])
	}
	e.Target = Text(target)
	return e, nil
}

// inside reports whether a relative path is clean and stays in its folder.
func inside(p string) bool {
	if len(p) > 4095 || strings.IndexByte(p, 0) >= 0 {
		return false
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." || len(part) > 255 {
			return false
		}
	}
	return true
}

func appendName(b []byte, name string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == '%' || c == 0x7f {
			b = append(b, '%', digits[c>>4], digits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// nameOf reads what appendName wrote, and nothing else.
func nameOf(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) < 0
	}
	var b []byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return "", false
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			c = byte(n)
			i += 2
		}
		b = append(b, c)
	}
	return string(b), string(appendName(nil, string(b))) == s
}
