package ssh

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"fabgo/transport"
)

// smallFile is up to which size a digest is made of the bytes themselves, over SFTP: a command at the far end costs more.
const smallFile = 256 << 10

// errNotThisWay says that SFTP has no answer, or one that explains nothing; a command is asked instead.
var errNotThisWay = errors.New("not over SFTP")

// look runs an observing script about a file. Its standard output goes to out.
func (h *Host) look(ctx context.Context, l *link, what string, p transport.Path, body string, out io.Writer) error {
	stderr := transport.NewCapture(64 << 10)
	end, err := l.run(ctx, h.times, request{what: what + " " + show(p), body: "begin look\n" + body, as: l.root, stdin: nothing, stdout: out, stderr: stderr, spare: h.spare(l.conn)})
	if err != nil {
		return err
	}
	if end.word == "" {
		return neverBegan(what+" "+show(p), end)
	}
	if end.code == 0 {
		return nil
	}
	said, _ := stderr.Result()
	e := classify(what, p, end.code, said)
	if e.Kind == transport.Denied && l.acct.uid != 0 {
		e.Hint = "it needs root: run with --sudo"
	}
	return e
}

func (h *Host) stat(ctx context.Context, l *link, o transport.Stat) (transport.FileInfo, error) {
	none := transport.FileInfo{}
	if err := checkPath("stat", o.Path); err != nil {
		return none, err
	}
	a, err := l.files.stat(ctx, o.Path, o.Follow)
	if err == errNotThisWay {
		a, err = h.shellStat(ctx, l, o.Path, o.Follow)
	}
	if err != nil {
		return none, err
	}
	info, err := h.info(ctx, l, a)
	if err != nil {
		return none, err
	}
	if info.Type == transport.Regular && (o.Digest || o.Against != nil && o.Against.Size == info.Size) {
		d, size, err := h.digest(ctx, l, o.Path, info.Size)
		if err != nil {
			return none, err
		}
		if o.Digest {
			info.Digest, info.Size = d, size
		}
		info.Same = o.Against != nil && d == o.Against.Digest
	}
	return info, nil
}

// attrs are a file's, as the far end gave them.
type attrs struct {
	absent   bool
	mode     uint32
	uid, gid int
	size     int64
	mtime    int64
	target   string
}

const (
	typeMask    = 0o170000
	typeRegular = 0o100000
	typeDir     = 0o040000
	typeLink    = 0o120000
)

func (h *Host) info(ctx context.Context, l *link, a attrs) (transport.FileInfo, error) {
	if a.absent {
		return transport.FileInfo{Type: transport.Absent}, nil
	}
	info := transport.FileInfo{Type: transport.Special, Mode: transport.NewMode(a.mode), UID: a.uid, GID: a.gid, ModTime: a.mtime}
	switch a.mode & typeMask {
	case typeRegular:
		info.Type, info.Size = transport.Regular, a.size
	case typeDir:
		info.Type = transport.Dir
	case typeLink:
		info.Type, info.Mode, info.Target = transport.Symlink, "", transport.Text(a.target)
	}
	var err error
	if info.Owner, info.Group, err = h.namesOf(ctx, l, a.uid, a.gid); err != nil {
		return transport.FileInfo{}, err
	}
	return info, nil
}

func (h *Host) shellStat(ctx context.Context, l *link, p transport.Path, follow bool) (attrs, error) {
	flags := "-c"
	if follow {
		flags = "-L -c"
	}
	w := shellWord(string(p))
	var out bytes.Buffer
	err := h.look(ctx, l, "stat", p, fmt.Sprintf("stat %s '%%f %%u %%g %%s %%Y' -- %s || exit 1\nif [ -h %s ]; then readlink -- %s; fi\nexit 0", flags, w, w, w), &out)
	if e, ok := errors.AsType[*transport.Error](err); ok && len(e.Stderr) > 0 && (e.Kind == transport.NotFound || strings.Contains(string(e.Stderr), "Not a directory")) {
		return attrs{absent: true}, nil
	}
	if err != nil {
		return attrs{}, err
	}
	line, target, _ := strings.Cut(out.String(), "\n")
	a, err := parseStat(strings.Fields(line), 16)
	if err != nil {
		return attrs{}, &transport.Error{Kind: transport.Protocol, Path: p, Message: fmt.Sprintf("stat %s: the host answered %q", show(p), line)}
	}
	if a.mode&typeMask == typeLink {
		a.target = strings.TrimSuffix(target, "\n")
	}
	return a, nil
}

// parseStat reads mode, uid, gid, size and time.
func parseStat(f []string, base int) (a attrs, err error) {
	if len(f) != 5 {
		return a, errors.New("not five fields")
	}
	mode, err1 := strconv.ParseUint(f[0], base, 32)
	uid, err2 := strconv.ParseUint(f[1], 10, 32)
	gid, err3 := strconv.ParseUint(f[2], 10, 32)
	size, err4 := strconv.ParseInt(f[3], 10, 64)
	secs, _, _ := strings.Cut(f[4], ".")
	mtime, err5 := strconv.ParseInt(secs, 10, 64)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil || size < 0 {
		return a, errors.New("not numbers")
	}
	return attrs{mode: uint32(mode), uid: int(uid), gid: int(gid), size: size, mtime: mtime}, nil
}

// digest makes the digest of a regular file's content.
func (h *Host) digest(ctx context.Context, l *link, p transport.Path, size int64) (transport.Digest, int64, error) {
	if size <= smallFile {
		b, _, err := l.files.read(ctx, p, 0, smallFile+1)
		if err == nil && len(b) <= smallFile {
			return transport.DigestOf(b), int64(len(b)), nil
		}
		if err != nil && err != errNotThisWay {
			return "", 0, err
		}
	}
	w := shellWord(string(p))
	if l.tools["sha256sum"] {
		var out bytes.Buffer
		// The count is of what was read, not of what stat says.
		if err := h.look(ctx, l, "read", p, "exec <"+w+" || exit 1\nsha256sum || exit 1\nstat -L -c %s -- "+w, &out); err != nil {
			return "", 0, err
		}
		f := strings.Fields(out.String())
		if len(f) == 3 && len(f[0]) == 64 {
			if _, err := hex.DecodeString(f[0]); err == nil {
				if n, err := strconv.ParseInt(f[2], 10, 64); err == nil {
					return transport.Digest("sha256:" + f[0]), n, nil
				}
			}
		}
		return "", 0, &transport.Error{Kind: transport.Protocol, Path: p, Message: fmt.Sprintf("read %s: sha256sum answered %q", show(p), out.String())}
	}
	sum := &hashWriter{}
	if err := h.look(ctx, l, "read", p, "exec cat <"+w, sum); err != nil {
		return "", 0, err
	}
	return sum.digest(), sum.n, nil
}

type hashWriter struct {
	h interface {
		io.Writer
		Sum([]byte) []byte
	}
	n int64
}

func (w *hashWriter) Write(p []byte) (int, error) {
	if w.h == nil {
		w.h = sha256.New()
	}
	w.n += int64(len(p))
	return w.h.Write(p)
}

func (w *hashWriter) digest() transport.Digest {
	if w.h == nil {
		return transport.DigestOf(nil)
	}
	return transport.Digest("sha256:" + hex.EncodeToString(w.h.Sum(nil)))
}

func (h *Host) read(ctx context.Context, l *link, o transport.Read) (transport.Data, error) {
	if err := checkPath("read", o.Path); err != nil {
		return transport.Data{}, err
	}
	if o.Offset < 0 || o.Limit < 0 {
		return transport.Data{}, refuse("read", o.Path, "a negative offset or limit", "")
	}
	limit := o.Limit
	if limit == 0 {
		limit = transport.ReadLimit
	}
	limit = min(limit, math.MaxInt64-1)
	b, err := h.readBytes(ctx, l, o.Path, o.Offset, limit+1)
	if err != nil {
		return transport.Data{}, err
	}
	if int64(len(b)) > limit {
		return transport.Data{Content: transport.Bytes(b[:limit]), More: true}, nil
	}
	return transport.Data{Content: transport.Bytes(b)}, nil
}

// readBytes reads at most limit bytes of a regular file.
func (h *Host) readBytes(ctx context.Context, l *link, p transport.Path, offset, limit int64) ([]byte, error) {
	b, _, err := l.files.read(ctx, p, offset, limit)
	if err != errNotThisWay {
		return b, err
	}
	w := shellWord(string(p))
	body := "stat -L -c x -- " + w + " >/dev/null || exit 1\n" +
		"if [ -d " + w + " ]; then echo 'it is a folder' >&2; exit 91; fi\n" +
		"if [ ! -f " + w + " ]; then echo 'it is not a regular file' >&2; exit 91; fi\n" +
		"exec <" + w + " || exit 1\n"
	if offset > 0 {
		body += fmt.Sprintf("tail -c +%d | head -c %d", offset+1, limit)
	} else {
		body += fmt.Sprintf("head -c %d", limit)
	}
	out := &limitedBuffer{limit: limit}
	if err := h.look(ctx, l, "read", p, body, out); err != nil {
		return nil, err
	}
	return out.b.Bytes(), nil
}

// limitedBuffer takes no more than the far end was asked for.
type limitedBuffer struct {
	b     bytes.Buffer
	limit int64
}

func (l *limitedBuffer) Write(p []byte) (int, error) {
	if room := l.limit - int64(l.b.Len()); int64(len(p)) > room {
		l.b.Write(p[:max(room, 0)])
		return len(p), nil
	}
	return l.b.Write(p)
}
