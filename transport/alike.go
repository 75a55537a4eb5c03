package transport

import (
	"cmp"
	"slices"
)

// Alike says of the entries of a manifest that a Listing leaves out how they are.
type Alike struct {
	Type       FileType `json:"type"`
	Executable bool     `json:"executable,omitempty"`
	Mode       Mode     `json:"mode,omitempty"`
	UID        int      `json:"uid"`
	GID        int      `json:"gid"`
	Owner      Text     `json:"owner,omitempty"`
	Group      Text     `json:"group,omitempty"`
}

func alikeOf(e SourceEntry, fi FileInfo) Alike {
	return Alike{Type: e.Type, Executable: e.Executable, Mode: fi.Mode, UID: fi.UID, GID: fi.GID, Owner: fi.Owner, Group: fi.Group}
}

// holds reports whether a file is what the manifest says of type, content and target.
func (e SourceEntry) holds(fi FileInfo) bool {
	return e.Type == fi.Type && e.Target == fi.Target && (e.Type != Regular || e.Digest == fi.Digest)
}

// Without makes of a whole listing the answer to one against a manifest. entries are sorted by path. Those that are what the manifest says
// are left out where most of their kind have the same mode and owner.
func (l Listing) Without(manifest []SourceEntry) Listing {
	type kind struct {
		Type       FileType
		Executable bool
	}
	counts := map[Alike]int{}
	same := make([]*SourceEntry, len(l.Entries))
	i := 0
	for j, e := range l.Entries {
		for i < len(manifest) && manifest[i].Path < e.Path {
			i++
		}
		if i < len(manifest) && manifest[i].Path == e.Path && manifest[i].holds(e.FileInfo) {
			same[j] = &manifest[i]
			counts[alikeOf(manifest[i], e.FileInfo)]++
		}
	}
	most := map[kind]Alike{}
	for a, n := range counts {
		k := kind{a.Type, a.Executable}
		if best, ok := most[k]; !ok || n > counts[best] || n == counts[best] && a.before(best) {
			most[k] = a
		}
	}
	// What is missing is left out too, where most of a kind are.
	missing := map[kind]int{}
	absent := []SourceEntry{}
	for _, m := range manifest {
		if _, ok := slices.BinarySearchFunc(l.Entries, m.Path, func(e Entry, p Text) int { return cmp.Compare(e.Path, p) }); !ok {
			absent = append(absent, m)
			missing[kind{m.Type, m.Executable}]++
		}
	}
	for k, n := range missing {
		if a, ok := most[k]; ok && n > counts[a] {
			delete(most, k)
		}
	}
	out := Listing{Entries: []Entry{}}
	for j, e := range l.Entries {
		if m := same[j]; m != nil {
			if a, ok := most[kind{m.Type, m.Executable}]; ok && a == alikeOf(*m, e.FileInfo) {
				continue
			}
		}
		out.Entries = append(out.Entries, e)
	}
	for _, m := range absent {
		if _, ok := most[kind{m.Type, m.Executable}]; ok {
			out.Entries = append(out.Entries, Entry{Path: m.Path, FileInfo: FileInfo{Type: Absent}})
		}
	}
	slices.SortFunc(out.Entries, func(a, b Entry) int { return cmp.Compare(a.Path, b.Path) })
	for _, a := range most {
		out.Alike = append(out.Alike, a)
	}
	slices.SortFunc(out.Alike, func(a, b Alike) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	return out
}

// before is an order, so that an answer does not depend on chance.
func (a Alike) before(b Alike) bool {
	execute := func(a Alike) int { return map[bool]int{true: 1}[a.Executable] }
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(execute(a), execute(b)), cmp.Compare(a.Mode, b.Mode),
		cmp.Compare(a.UID, b.UID), cmp.Compare(a.GID, b.GID), cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Group, b.Group)) < 0
}

// With is the whole listing that Without was made of, but for sizes of folders and times of what was left out.
func (l Listing) With(manifest []SourceEntry) Listing {
	out := Listing{Entries: make([]Entry, 0, len(l.Entries)+len(manifest))}
	i := 0
	for _, m := range manifest {
		for ; i < len(l.Entries) && l.Entries[i].Path < m.Path; i++ {
			out.Entries = append(out.Entries, l.Entries[i])
		}
		if i < len(l.Entries) && l.Entries[i].Path == m.Path {
			if l.Entries[i].Type != Absent {
				out.Entries = append(out.Entries, l.Entries[i])
			}
			i++
			continue
		}
		for _, a := range l.Alike {
			if a.Type == m.Type && a.Executable == m.Executable {
				out.Entries = append(out.Entries, Entry{Path: m.Path, FileInfo: FileInfo{
					Type: a.Type, Mode: a.Mode, UID: a.UID, GID: a.GID, Owner: a.Owner, Group: a.Group, Target: m.Target, Digest: m.Digest, Size: m.Size,
				}})
			}
		}
	}
	out.Entries = append(out.Entries, l.Entries[i:]...)
	return out
}
