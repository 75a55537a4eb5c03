package ssh

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/pkg/sftp"

	"fabgo/transport"
)

// mostEntries is how many entries a listing may have, and mostBytes how long the far end's answer may be.
const (
	mostEntries = 1_000_000
	mostBytes   = 512 << 20
)

func (h *Host) list(ctx context.Context, l *link, o transport.List) (transport.Listing, error) {
	none := transport.Listing{}
	if err := checkPath("list", o.Path); err != nil {
		return none, err
	}
	var manifest []transport.SourceEntry
	hashed := map[string]bool{}
	if o.Against != nil {
		var err error
		if manifest, err = o.Against.Entries(); err != nil {
			return none, refuse("list", o.Path, err.Error(), "")
		}
		for _, e := range manifest {
			hashed[string(e.Path)] = e.Type == transport.Regular
		}
	}
	var found map[string]attrs
	var err error
	if l.tools["find-printf"] {
		found, err = h.listByFind(ctx, l, o)
	} else if found, err = l.files.list(ctx, o); err == errNotThisWay {
		found, err = h.listByShell(ctx, l, o)
	}
	if err != nil {
		return none, err
	}
	if len(found) > mostEntries {
		return none, tooMany(o.Path)
	}
	sums := map[string]transport.Digest{}
	if l.tools["sha256sum"] && (o.Digest || mostly(found, hashed)) {
		if sums, err = h.sumTree(ctx, l, o); err != nil {
			return none, err
		}
	}
	out := transport.Listing{Entries: make([]transport.Entry, 0, len(found))}
	for name, a := range found {
		if err := checkName(name, o.Recursive); err != nil {
			return none, &transport.Error{Kind: transport.Protocol, Path: o.Path, Message: fmt.Sprintf("list %s: the host names an entry %q, which cannot be", show(o.Path), name)}
		}
		info, err := h.info(ctx, l, a)
		if err != nil {
			return none, err
		}
		if (o.Digest || hashed[name]) && info.Type == transport.Regular {
			if info.Digest = sums[name]; info.Digest == "" {
				info.Digest, info.Size, err = h.digest(ctx, l, o.Path.Join(name), info.Size)
				if transport.KindOf(err) == transport.NotFound {
					continue // it vanished while we looked
				}
				if err != nil {
					return none, err
				}
			}
		}
		out.Entries = append(out.Entries, transport.Entry{Path: transport.Text(name), FileInfo: info})
	}
	slices.SortFunc(out.Entries, func(a, b transport.Entry) int { return strings.Compare(string(a.Path), string(b.Path)) })
	if o.Against != nil {
		out = out.Without(manifest)
	}
	return out, nil
}

// mostly reports whether making all digests of a tree at once is less work than making the wanted ones one by one, which takes a command
// each.
func mostly(found map[string]attrs, hashed map[string]bool) bool {
	wanted, others := 0, 0
	for name, a := range found {
		switch {
		case a.mode&typeMask != typeRegular:
		case hashed[name]:
			wanted++
		default:
			others++
		}
	}
	return wanted > 1 && others <= wanted+100
}

func tooMany(p transport.Path) error {
	return &transport.Error{Kind: transport.Protocol, Path: p, Message: fmt.Sprintf("list %s: more than %d entries", show(p), mostEntries)}
}

// checkName refuses names that lead out of the folder that was listed.
func checkName(name string, tree bool) error {
	if name == "" || len(name) > 4095 || strings.IndexByte(name, 0) >= 0 {
		return errDoubt
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return errDoubt
		}
	}
	if !tree && strings.Contains(name, "/") {
		return errDoubt
	}
	return nil
}

// enter is the beginning of a script about the entries of a folder.
func enter(p transport.Path) string {
	w := shellWord(string(p))
	return "if [ ! -d " + w + " ]; then stat -L -c x -- " + w + " >/dev/null || exit 1; echo 'it is not a folder' >&2; exit 91; fi\n" +
		"cd " + w + " 2>/dev/null || { ls " + w + "/. >/dev/null || exit 1; exit 96; }\n"
}

func depth(o transport.List) string {
	if o.Recursive {
		return "-mindepth 1"
	}
	return "-mindepth 1 -maxdepth 1"
}

// vanished is the end of a script whose tool may complain about files that vanished while it looked: those words are dropped, others
// are an error.
const vanished = `e=$(%s 2>&1 >&3) || case $(printf '%%s\n' "$e" | grep -v 'No such file or directory$') in '') ;; *) printf '%%s\n' "$e" >&2; exit 1 ;; esac
exit 0`

// listByFind has GNU find say everything in one go.
func (h *Host) listByFind(ctx context.Context, l *link, o transport.List) (map[string]attrs, error) {
	out := &limitedBuffer{limit: mostBytes}
	find := "find . " + depth(o) + ` -printf '%%P\0%%y %%m %%U %%G %%s %%T@\0%%l\0'`
	if err := h.look(ctx, l, "list", o.Path, enter(o.Path)+"exec 3>&1\n"+fmt.Sprintf(vanished, strings.ReplaceAll(find, "%%", "%")), out); err != nil {
		return nil, err
	}
	return parseFind(o.Path, out.b.String())
}

var findTypes = map[string]uint32{"f": typeRegular, "d": typeDir, "l": typeLink, "p": 0o010000, "s": 0o140000, "c": 0o020000, "b": 0o060000}

func parseFind(p transport.Path, text string) (map[string]attrs, error) {
	bad := func() (map[string]attrs, error) {
		return nil, &transport.Error{Kind: transport.Protocol, Path: p, Message: fmt.Sprintf("list %s: the answer of find makes no sense, or is too long", show(p))}
	}
	found := map[string]attrs{}
	for text != "" {
		var part [3]string
		for i := range part {
			var ok bool
			if part[i], text, ok = strings.Cut(text, "\x00"); !ok {
				return bad()
			}
		}
		typ, rest, _ := strings.Cut(part[1], " ")
		a, err := parseStat(strings.Fields(rest), 8)
		if err != nil {
			return bad()
		}
		a.mode |= findTypes[typ]
		if typ == "l" {
			a.target = part[2]
		}
		found[part[0]] = a
		if len(found) > mostEntries {
			return nil, tooMany(p)
		}
	}
	return found, nil
}

// listByShell is for hosts without GNU find and without SFTP: two processes for each entry.
func (h *Host) listByShell(ctx context.Context, l *link, o transport.List) (map[string]attrs, error) {
	each := `for f; do s=$(stat -c '%f %u %g %s %Y' "$f") || { [ -e "$f" ] || [ -h "$f" ] || continue; exit 1; }
t=; if [ -h "$f" ]; then t=$(readlink "$f"; echo x); t=${t%??}; fi
printf '%s\0%s\0%s\0' "$f" "$s" "$t"; done`
	out := &limitedBuffer{limit: mostBytes}
	body := enter(o.Path) + "exec find . " + depth(o) + " -exec sh -c " + shellWord(each) + " sh {} +"
	if err := h.look(ctx, l, "list", o.Path, body, out); err != nil {
		return nil, err
	}
	found := map[string]attrs{}
	for text := out.b.String(); text != ""; {
		name, rest, ok1 := strings.Cut(text, "\x00")
		st, rest, ok2 := strings.Cut(rest, "\x00")
		target, rest, ok3 := strings.Cut(rest, "\x00")
		a, err := parseStat(strings.Fields(st), 16)
		if err != nil || !ok1 || !ok2 || !ok3 {
			return nil, &transport.Error{Kind: transport.Protocol, Path: o.Path, Message: fmt.Sprintf("list %s: the answer makes no sense", show(o.Path))}
		}
		a.target, text = target, rest
		found[strings.TrimPrefix(name, "./")] = a
	}
	return found, nil
}

// longestPath is Linux's PATH_MAX: a server that names more has folders that lead back to themselves, or invents them.
const longestPath = 4096

// list is the listing over SFTP, for hosts whose find is not GNU's.
func (f *fileServer) list(ctx context.Context, o transport.List) (map[string]attrs, error) {
	found := map[string]attrs{}
	err := f.ask(ctx, "list "+show(o.Path), func(c *sftp.Client) error {
		folders := []string{""}
		for len(folders) > 0 {
			rel := folders[0]
			folders = folders[1:]
			dir := path.Join(string(o.Path), rel)
			entries, err := f.readDir(ctx, c, dir)
			if err != nil {
				return err
			}
			for _, fi := range entries {
				name := path.Join(rel, fi.Name())
				st, ok := fi.Sys().(*sftp.FileStat)
				if !ok || st.Mode&typeMask == 0 || checkName(fi.Name(), false) != nil || int64(st.Size) < 0 || len(dir)+len(fi.Name()) > longestPath {
					return errDoubt
				}
				a := attrs{mode: st.Mode, uid: int(st.UID), gid: int(st.GID), size: int64(st.Size), mtime: int64(st.Mtime)}
				switch a.mode & typeMask {
				case typeLink:
					if a.target, err = c.ReadLink(path.Join(dir, fi.Name())); err != nil {
						return err
					}
				case typeDir:
					if o.Recursive {
						folders = append(folders, name)
					}
				}
				if found[name] = a; len(found) > mostEntries {
					return errDoubt
				}
			}
		}
		return nil
	})
	return found, err
}

// mostListed is how long a server's answer about one folder may be: 32 MiB are 200,000 entries with names of usual length. The client library
// collects all of it before it returns. Larger folders are listed by a command.
const mostListed = 32 << 20

func (f *fileServer) readDir(ctx context.Context, c *sftp.Client, dir string) ([]os.FileInfo, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f.alarm.Store(&alarm{f.heard.Load() + mostListed, func() { cancel(errDoubt) }})
	defer f.alarm.Store(nil)
	entries, err := c.ReadDirContext(ctx, dir)
	if context.Cause(ctx) == errDoubt {
		return nil, errDoubt
	}
	return entries, err
}

// sumTree makes the digests of all regular files of a listing in one go. Files that it leaves out are digested one by one.
func (h *Host) sumTree(ctx context.Context, l *link, o transport.List) (map[string]transport.Digest, error) {
	out := &limitedBuffer{limit: mostBytes}
	sum := "find . " + depth(o) + " -type f -exec sha256sum {} +"
	if err := h.look(ctx, l, "list", o.Path, enter(o.Path)+"exec 3>&1\n"+fmt.Sprintf(vanished, sum), out); err != nil {
		return nil, err
	}
	sums := map[string]transport.Digest{}
	for line := range bytes.Lines(out.b.Bytes()) {
		name, digest, ok := parseSum(strings.TrimSuffix(string(line), "\n"))
		if ok {
			sums[strings.TrimPrefix(name, "./")] = digest
		}
	}
	return sums, nil
}

// parseSum reads a line of sha256sum. A backslash before the digest says that the name is escaped.
func parseSum(line string) (name string, d transport.Digest, ok bool) {
	line, escaped := strings.CutPrefix(line, `\`)
	if len(line) < 67 || line[64] != ' ' {
		return "", "", false
	}
	if _, err := hex.DecodeString(line[:64]); err != nil {
		return "", "", false
	}
	name = line[66:]
	if escaped {
		name = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(name)
	}
	return name, transport.Digest("sha256:" + line[:64]), true
}
