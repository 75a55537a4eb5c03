package converge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"fabgo/internal/journal"
	"fabgo/transport"
)

// Ledger is the host's memory of changes that no run has settled yet. It passes beside the recorder: what it holds is of runs, not of
// the bundle, and the bundle cannot ask for it.
type Ledger interface {
	// Open finds the folder in which fabgo keeps what it has to remember on the host, and reads what is unsettled. It changes nothing.
	Open(ctx context.Context) (state transport.Path, carried []journal.Carried, err error)
	// Save makes these, and no others, the unsettled changes. When it returns they survive the host's loss of power.
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
type HostLedger struct {
	host transport.Host
	opts LedgerOptions
	file transport.Path
}

var _ Ledger = (*HostLedger)(nil)

// NewLedger is the ledger of a bundle on a host. h is the host itself, below recorder and controller.
func NewLedger(h transport.Host, o LedgerOptions) *HostLedger { return &HostLedger{host: h, opts: o} }

// ledgerSchema is the version of the file. Fields are only ever added within a version.
const ledgerSchema = 1

type ledgerFile struct {
	Schema  int               `json:"schema"`
	Bundle  string            `json:"bundle"`
	Changes []journal.Carried `json:"changes"`
}

// Open costs one op of root, one more of others (where is home?) unless the folder is given.
func (l *HostLedger) Open(ctx context.Context) (transport.Path, []journal.Carried, error) {
	state, err := l.state(ctx)
	if err != nil {
		return "", nil, err
	}
	l.file = state.Join("unsettled", ledgerName(l.opts.Bundle))
	b, err := ReadState(ctx, l.host, l.file)
	if err != nil || b == nil {
		return state, nil, err
	}
	var f ledgerFile
	if err := json.Unmarshal(b, &f); err != nil || f.Schema != ledgerSchema {
		if err == nil {
			err = fmt.Errorf("it has schema %d; written by another version of fabgo?", f.Schema)
		}
		return state, nil, &transport.Error{
			Kind: transport.Refused, Path: l.file, Message: fmt.Sprintf("read unsettled changes from %s: %v", l.file, err), Err: err,
			Hint: "remove the file to forget the changes of runs that did not reach their end; what hangs on them then does not happen",
		}
	}
	return state, f.Changes, nil
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

// Save writes the file, or removes it where nothing is left to remember.
func (l *HostLedger) Save(ctx context.Context, unsettled []journal.Carried) error {
	if len(unsettled) == 0 {
		_, err := transport.Do[transport.Done](ctx, l.host, transport.Remove{Path: l.file})
		if transport.KindOf(err) == transport.NotFound {
			return nil
		}
		return err
	}
	b, err := encodeState(ledgerFile{Schema: ledgerSchema, Bundle: l.opts.Bundle, Changes: unsettled})
	if err != nil {
		return err
	}
	return WriteState(ctx, l.host, l.file, b)
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
	return b.Bytes(), err
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
