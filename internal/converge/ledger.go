package converge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"fabgo/internal/journal"
	"fabgo/internal/token"
	"fabgo/transport"
)

// Ledger is the host's memory of changes that no run has settled yet. It passes beside the recorder: what it holds is of runs, not of
// the bundle, and the bundle cannot ask for it.
type Ledger interface {
	// Open finds the folder in which fabgo keeps what it has to remember on the host, and reads what is unsettled. It changes nothing.
	Open(ctx context.Context) (state transport.Path, carried []journal.Carried, err error)
	// Add makes these unsettled changes too, in the place of those of the same key. Its cost does not depend on how many there are. When it
	// returns they survive the host's loss of power.
	Add(ctx context.Context, changes []journal.Carried) error
	// Save makes these, and no others, the unsettled changes, as durably.
	Save(ctx context.Context, unsettled []journal.Carried) error
}

// rootState is the state folder of root.
const rootState transport.Path = "/var/lib/fabgo/state"

// LedgerOptions say whose memory it is.
type LedgerOptions struct {
	Bundle string         // canonical name: "//web1.star"
	User   string         // whom ops act as; others than root keep their state in their home
	Dir    transport.Path // the state folder, where it is not the usual one
}

// HostLedger keeps a Ledger in a file of a host: one for each bundle and acting user. It is used from one goroutine at a time.
//
// A file that is full goes on in another, web1.json in web1.more/1.json and so on, so that a change costs one small write however many there
// were before it. What the later files say of a change counts.
type HostLedger struct {
	host transport.Host
	opts LedgerOptions
	file transport.Path
	last ledgerFile // the file that is being filled
	n    int        // its number; 0 is file itself
}

// ledgerLength is how many changes a file of the ledger holds before the next one is begun.
const ledgerLength = 64

var _ Ledger = (*HostLedger)(nil)

// NewLedger is the ledger of a bundle on a host. h is the host itself, below recorder and controller.
func NewLedger(h transport.Host, o LedgerOptions) *HostLedger { return &HostLedger{host: h, opts: o} }

// ledgerSchema is the version of the file. Fields are only ever added within a version.
const ledgerSchema = 1

type ledgerFile struct {
	Schema int    `json:"schema"`
	Bundle string `json:"bundle"`
	// Series names the first change of the first file. Later files of another series are left from a ledger that somebody removed.
	Series  string            `json:"series,omitempty"`
	Changes []journal.Carried `json:"changes"`
}

// Open costs one op of root, one more of others (where is home?) unless the folder is given, and one more for each file of changes that
// are unsettled.
func (l *HostLedger) Open(ctx context.Context) (transport.Path, []journal.Carried, error) {
	state, err := l.state(ctx)
	if err != nil {
		return "", nil, err
	}
	l.file, l.n, l.last = state.Join("unsettled", ledgerName(l.opts.Bundle)), 0, ledgerFile{}
	all := newCarriedList(nil)
	for n := 0; ; n++ {
		f, err := l.read(ctx, l.fileOf(n))
		if err != nil {
			return state, nil, err
		}
		if f == nil || n > 0 && f.Series != l.last.Series {
			return state, all.list, nil
		}
		l.n, l.last = n, *f
		for _, c := range f.Changes {
			all.put(c)
		}
	}
}

// fileOf is where a file of the ledger is.
func (l *HostLedger) fileOf(n int) transport.Path {
	if n == 0 {
		return l.file
	}
	return l.more().Join(strconv.Itoa(n) + ".json")
}

// more is the folder of all files but the first.
func (l *HostLedger) more() transport.Path {
	return transport.Path(strings.TrimSuffix(string(l.file), ".json") + ".more")
}

// read reads a file of the ledger; nil when there is none.
func (l *HostLedger) read(ctx context.Context, file transport.Path) (*ledgerFile, error) {
	b, err := ReadState(ctx, l.host, file)
	if err != nil || b == nil {
		return nil, err
	}
	var f ledgerFile
	if err := json.Unmarshal(b, &f); err != nil || f.Schema != ledgerSchema {
		if err == nil {
			err = fmt.Errorf("it has schema %d; written by another version of fabgo?", f.Schema)
		}
		return nil, &transport.Error{
			Kind: transport.Refused, Path: file, Message: fmt.Sprintf("read unsettled changes from %s: %v", file, err), Err: err,
			Hint: "remove the file to forget the changes of runs that did not reach their end; what hangs on them then does not happen",
		}
	}
	return &f, nil
}

func (l *HostLedger) state(ctx context.Context) (transport.Path, error) {
	switch {
	case l.opts.Dir != "":
		return transport.NewPath(string(l.opts.Dir))
	case l.opts.User == "" || l.opts.User == "root":
		return rootState, nil
	}
	rows, err := transport.Do[transport.Rows](ctx, l.host, transport.Lookup{Table: transport.Users, Keys: []transport.Text{transport.Text(l.opts.User)}})
	if err != nil {
		return "", fmt.Errorf("find the home folder of %s: %w", l.opts.User, err)
	}
	row, _ := rows.Get(transport.Text(l.opts.User))
	home, err := transport.NewPath(string(row.Fields["home"]))
	if err != nil {
		return "", &transport.Error{
			Kind: transport.NotFound, Message: fmt.Sprintf("find the home folder of %s: there is none", l.opts.User),
			Hint: "fabgo keeps its state there; FABGO_STATE_DIR names another folder on the host",
		}
	}
	return home.Join(".local", "state", "fabgo", "state"), nil
}

// Add writes the file that is being filled, or begins the next.
func (l *HostLedger) Add(ctx context.Context, changes []journal.Carried) error {
	n, f := l.n, l.last
	if len(f.Changes) > 0 && len(f.Changes)+len(changes) > ledgerLength {
		n, f.Changes = n+1, nil
	}
	f.Changes = slices.Clone(f.Changes)
	for _, c := range changes {
		i := slices.IndexFunc(f.Changes, func(o journal.Carried) bool {
			return o.Step == c.Step && o.Run == c.Run && o.Builtin == c.Builtin && o.Resource == c.Resource
		})
		if i < 0 {
			f.Changes = append(f.Changes, c)
		} else {
			f.Changes[i] = c
		}
	}
	return l.write(ctx, n, f)
}

func (l *HostLedger) write(ctx context.Context, n int, f ledgerFile) error {
	f.Schema, f.Bundle = ledgerSchema, l.opts.Bundle
	if n == 0 {
		f.Series = origin(f.Changes[0].Run, f.Changes[0].Step)
	}
	b, err := encodeState(f)
	if err != nil {
		return err
	}
	if err := WriteState(ctx, l.host, l.fileOf(n), b); err != nil {
		return err
	}
	l.n, l.last = n, f
	return nil
}

// Save writes the first file, or removes it where nothing is left to remember. A run that is cut off within it leaves changes unsettled that
// were settled, never the reverse.
func (l *HostLedger) Save(ctx context.Context, unsettled []journal.Carried) error {
	had := l.n
	if len(unsettled) > 0 {
		if err := l.write(ctx, 0, ledgerFile{Changes: unsettled}); err != nil {
			return err
		}
	}
	if had > 0 {
		if err := l.remove(ctx, transport.Remove{Path: l.more(), Recursive: true}); err != nil {
			return err
		}
	}
	if len(unsettled) > 0 {
		return nil
	}
	l.n, l.last = 0, ledgerFile{}
	return l.remove(ctx, transport.Remove{Path: l.file})
}

func (l *HostLedger) remove(ctx context.Context, op transport.Remove) error {
	_, err := transport.Do[transport.Done](ctx, l.host, op)
	if transport.KindOf(err) == transport.NotFound {
		return nil
	}
	return err
}

// ledgerName is the file's name for a bundle: "web1.json". Bytes other than letters, digits and ._- are written %XX.
func ledgerName(bundle string) string {
	name := strings.TrimSuffix(strings.TrimPrefix(bundle, "//"), ".star")
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if b.Len() > 200 { // file names end at 255 bytes
		return strings.TrimPrefix(string(transport.DigestOf([]byte(bundle))), "sha256:") + ".json"
	}
	return b.String() + ".json"
}

func encodeState(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return unprintable(b.Bytes()), err
}

// unprintable escapes the characters of JSON texts that nothing assigns. The tokens of secrets are made of them: what is remembered of a step whose
// name has one in it is the token, and the host is to take it for no token.
func unprintable(b []byte) []byte {
	if !token.InBytes(b) {
		return b
	}
	var out bytes.Buffer
	for _, r := range string(b) {
		if r >= 0xf0000 {
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		} else {
			out.WriteRune(r)
		}
	}
	return out.Bytes()
}

// ReadState reads a file of the state folder; nil when there is none. In a plan, what is not there is not unknown: the commands of a
// bundle do not write there.
func ReadState(ctx context.Context, h transport.Host, p transport.Path) ([]byte, error) {
	d, err := transport.Do[transport.Data](ctx, h, transport.Read{Path: p})
	switch {
	case transport.KindOf(err) == transport.NotFound, CauseOf(err) != nil:
		return nil, nil
	case err != nil:
		return nil, err
	case d.More:
		return nil, &transport.Error{Kind: transport.Refused, Path: p, Message: fmt.Sprintf("read %s: it is larger than fabgo ever writes it", p)}
	}
	b, err := d.Content.ReadAll(transport.ReadLimit)
	if err == nil && b == nil {
		b = []byte{} // empty is not absent
	}
	return b, err
}

// WriteState writes a file of the state folder, which nobody else may look into. In the usual case, where its folder is there, it is
// one op.
func WriteState(ctx context.Context, h transport.Host, p transport.Path, b []byte) error {
	op := transport.Write{Path: p, Content: transport.Bytes(b), Mode: "0600"}
	_, err := transport.Do[transport.Written](ctx, h, op)
	if transport.KindOf(err) != transport.NotFound {
		return err
	}
	for _, dir := range []transport.Path{p.Dir().Dir(), p.Dir()} {
		_, err := transport.Do[transport.Done](ctx, h, transport.Mkdir{Path: dir, Mode: "0700", Parents: true})
		if transport.KindOf(err) == transport.Refused { // most likely it is there; the write tells what else is wrong
			continue
		}
		if err != nil {
			return err
		}
	}
	_, err = transport.Do[transport.Written](ctx, h, op)
	return err
}
