package converge

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"fabgo/transport"
)

// foldAbove is how many files a fingerprint tells apart: a tree of 5,000 is remembered by one mark.
const foldAbove = 64

// Fingerprint are the marks of the state in which a step left its objects: one for each file (content, mode, owner and group), and one
// for each wanted attribute of folders and of rows. Actions have none.
//
// A step wants some things only once, such as the missing folders above a file, so the step that finds all as it is to be may have fewer
// marks than the one that made it so. It never has others: the state is another one exactly when a mark is new.
func (c Change) Fingerprint() []string {
	var marks, files []string
	for i, w := range c.want {
		k, h := w.Key.String(), c.have[i]
		switch {
		case w.Absent:
			marks = append(marks, mark(k, "absent"))
		case w.File != nil && h.File != nil && w.File.Type == transport.Dir:
			marks = append(marks, mark(k, "dir"))
			if w.File.Mode != "" {
				marks = append(marks, mark(k, "mode", h.File.Mode))
			}
			if w.File.Owner != "" {
				marks = append(marks, mark(k, "owner", h.File.Owner))
			}
			if w.File.Group != "" {
				marks = append(marks, mark(k, "group", h.File.Group))
			}
		case w.File != nil && h.File != nil:
			f, digest := h.File, transport.Digest("")
			if w.File.Content != nil && f.Content != nil {
				digest = f.Content.Digest
			}
			files = append(files, mark(k, f.Type, f.Mode, f.Owner, f.Group, f.Target, digest))
		default:
			for column := range w.Fields {
				marks = append(marks, mark(k, column, h.Fields[column]))
			}
		}
	}
	slices.Sort(files)
	if len(files) > foldAbove {
		return []string{mark(files)}
	}
	marks = append(marks, files...)
	slices.Sort(marks)
	return slices.Compact(marks)
}

// mark is a short digest of parts.
func mark(parts ...any) string {
	h := sha256.New()
	for _, p := range parts {
		s := fmt.Sprint(p)
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}
