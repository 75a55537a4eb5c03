// Package hosttest is the conformance suite of transport.Host: what every host must do, whatever stands behind it.
//
// The one rule: the suite touches the host through Do alone. What it cannot bring about that way (a full disk, another umask) comes from
// the hooks of Target, and where a hook is missing those tests are skipped by name.
//
// The trap: the suite runs against real machines, as root. It works below Target.Root, and what it asks to be refused elsewhere is
// harmless if it is not.
//
// The promise: whichever op is sent, the suite also checks that op, result and error survive their encodings, so a Host that passes can
// be journaled and put behind a wire.
package hosttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"fabgo/transport"
)

// Target is a host under test.
type Target struct {
	Host transport.Host
	Root transport.Path // an empty folder that the suite may fill

	AsRoot     bool           // the acting user is root: owners can be set
	Other      transport.Text // root only: an ordinary account that commands can be run as; "" skips that
	Processes  bool           // commands are real processes: groups, signals and children in the background behave like ones
	Taps       bool           // a Tap hears what commands say while they run
	Expendable bool           // the whole host may be destroyed: dangerous refusals are tried in earnest
	Slow       bool           // an op takes many milliseconds: fewer of those that differ only in their data, and smaller ones

	// Hooks, all may be nil. They clean up after themselves with t.Cleanup.
	Umask     func(t *testing.T, mask int)               // sets the umask that the host works under
	Small     func(t *testing.T) transport.Path          // a folder on an empty file system of 1 to 4 MiB
	ReadOnly  func(t *testing.T) transport.Path          // a folder on a read-only file system, which holds a file "old" with "old\n"
	Immutable func(t *testing.T, p transport.Path)       // sets the immutable attribute
	Append    func(t *testing.T, p transport.Path)       // sets the attribute of a file that can only grow
	Mount     func(t *testing.T, folder transport.Path)  // mounts something on a folder
	Unowned   func(t *testing.T) (folder transport.Path) // not root only: a folder in which the acting user may not write
}

// Run runs the suite against the host that open makes.
func Run(t *testing.T, open func(t *testing.T) Target) {
	target := open(t)
	s := &suite{Target: target, host: checked{target.Host}}
	for _, part := range []struct {
		name  string
		tests []test
	}{
		{"Stat", statTests}, {"Read", readTests}, {"List", listTests}, {"Against", againstTests}, {"Names", nameTests}, {"Write", writeTests}, {"Unpack", unpackTests},
		{"Mkdir", mkdirTests}, {"Link", linkTests}, {"Remove", removeTests}, {"SetAttr", setAttrTests}, {"Exec", execTests}, {"Lookup", lookupTests}, {"Faults", faultTests},
	} {
		t.Run(part.name, func(t *testing.T) {
			for _, tt := range part.tests {
				t.Run(tt.name, func(t *testing.T) { tt.run(&run{T: t, suite: s}) })
			}
		})
	}
}

type test struct {
	name string
	run  func(r *run)
}

type suite struct {
	Target
	host transport.Host
	dirs atomic.Int64
}

// run is one test: its T, the host, and short words for what tests do all the time.
type run struct {
	*testing.T
	*suite
}

// checked is a Host that lets nothing pass that could not be journaled.
type checked struct{ transport.Host }

func (c checked) Do(ctx context.Context, op transport.Op) (transport.Result, error) {
	enc := transport.EncodeOp(op)
	if back, err := transport.DecodeOp(enc); err != nil || !bytes.Equal(transport.EncodeOp(back), enc) {
		return nil, fmt.Errorf("op does not survive its encoding: %s: %v", enc, err)
	}
	res, err := c.Host.Do(ctx, op)
	if err != nil {
		te, ok := errors.AsType[*transport.Error](err)
		if !ok || te.Kind == "" || te.Message == "" {
			return nil, fmt.Errorf("%s: not an error of the seam: %T %v", enc, err, err)
		}
		if res != nil {
			return nil, fmt.Errorf("%s: a result comes with an error: %v, %v", enc, res, err)
		}
		return nil, err
	}
	if res == nil {
		return nil, fmt.Errorf("%s: neither a result nor an error", enc)
	}
	b := transport.EncodeResult(res)
	back, err := transport.DecodeResult(op, b)
	if err != nil || reflect.TypeOf(back) != reflect.TypeOf(res) || !bytes.Equal(transport.EncodeResult(back), b) {
		return nil, fmt.Errorf("%s: result does not survive its encoding: %.300s: %v", enc, b, err)
	}
	return res, nil
}

// do sends an op that must be answered.
func do[R transport.Result](r *run, op transport.Op) R {
	r.Helper()
	res, err := transport.Do[R](r.Context(), r.host, op)
	if err != nil {
		r.Fatalf("%s: %v", brief(op), err)
	}
	return res
}

// refused sends an op that must end in an error of one of the kinds, and returns it.
func (r *run) refused(op transport.Op, kinds ...transport.Kind) *transport.Error {
	r.Helper()
	res, err := r.host.Do(r.Context(), op)
	if err == nil {
		r.Fatalf("%s: answered with %.200s, want an error of kind %v", brief(op), transport.EncodeResult(res), kinds)
	}
	for _, k := range kinds {
		if te, ok := errors.AsType[*transport.Error](err); ok && te.Kind == k {
			return te
		}
	}
	r.Fatalf("%s: error of kind %q, want %v: %v", brief(op), transport.KindOf(err), kinds, err)
	return nil
}

func brief(op transport.Op) string {
	b := transport.EncodeOp(op)
	if len(b) > 300 {
		b = append(b[:300:300], "..."...)
	}
	return string(b)
}

// dir makes a new folder for this test.
func (r *run) dir() transport.Path {
	r.Helper()
	p := r.Root.Join(fmt.Sprintf("t%d", r.dirs.Add(1)))
	do[transport.Done](r, transport.Mkdir{Path: p})
	return p
}

// write puts a small file there.
func (r *run) write(p transport.Path, content string, mode transport.Mode) {
	r.Helper()
	do[transport.Written](r, transport.Write{Path: p, Content: transport.String(content), Mode: mode})
}

func (r *run) stat(p transport.Path) transport.FileInfo {
	r.Helper()
	return do[transport.FileInfo](r, transport.Stat{Path: p})
}

// content is the whole of a small file.
func (r *run) content(p transport.Path) string {
	r.Helper()
	d := do[transport.Data](r, transport.Read{Path: p})
	b, err := d.Content.ReadAll(transport.ReadLimit)
	if err != nil || d.More || transport.DigestOf(b) != d.Content.Digest || int64(len(b)) != d.Content.Size {
		r.Fatalf("read %q: %d bytes that are not what the digest names, more %v: %v", p, len(b), d.More, err)
	}
	return string(b)
}

// holds checks a file's content.
func (r *run) holds(p transport.Path, want string) {
	r.Helper()
	if got := r.content(p); got != want {
		r.Errorf("%q holds %.200q, want %.200q", p, got, want)
	}
}

// only checks that a folder holds exactly these names: nothing is missing, and no temporary file is left.
func (r *run) only(p transport.Path, want ...string) {
	r.Helper()
	got := []string{}
	for _, e := range do[transport.Listing](r, transport.List{Path: p}).Entries {
		got = append(got, string(e.Path))
	}
	if len(want) == 0 {
		want = []string{}
	}
	if !reflect.DeepEqual(got, want) {
		r.Errorf("%q holds %q, want %q", p, got, want)
	}
}

// mode checks type and mode.
func (r *run) mode(p transport.Path, typ transport.FileType, want transport.Mode) {
	r.Helper()
	if got := r.stat(p); got.Type != typ || got.Mode != want {
		r.Errorf("%q is %s %s, want %s %s", p, got.Type, got.Mode, typ, want)
	}
}

// exec runs a command that must be answered.
func (r *run) exec(argv ...string) transport.Output {
	r.Helper()
	return do[transport.Output](r, transport.Exec{Argv: transport.Texts(argv...)})
}

// needs skips a test whose hook is not there.
func (r *run) needs(there bool, what string) {
	r.Helper()
	if !there {
		r.Skip("this target has no " + what)
	}
}

// brief reports whether large tests have to be small ones.
func (r *run) brief() bool { return r.Slow || testing.Short() }

// odd are oddNames, or for slow targets those of them in which different things go wrong.
func (r *run) odd() []string {
	if !r.Slow {
		return oddNames
	}
	return []string{"plain", "-rf", " leading", "new\nline", "it's", "$(id)", "*", `back\slash`, "a:b", "\xff\xfe", strings.Repeat("'", 255)}
}

// stream is a content of size bytes that is made while it is read, so that no copy of it is in memory.
func stream(size int64) transport.Content {
	// A block of an odd length is repeated: no two pieces of a file are alike wherever it is cut.
	block := make([]byte, 1<<20+7)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range block {
		block[i] = byte(rnd.Uint32())
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(&repeat{block: block}, size)), nil }
	r, _ := open()
	return transport.Source(digest(r), size, open)
}

// digest reads r to its end.
func digest(r io.Reader) transport.Digest {
	sum := sha256.New()
	_, _ = io.Copy(sum, r) // of memory
	return transport.Digest("sha256:" + hex.EncodeToString(sum.Sum(nil)))
}

// repeat is its block, over and over.
type repeat struct {
	block []byte
	at    int
}

func (r *repeat) Read(b []byte) (int, error) {
	n := copy(b, r.block[r.at:])
	r.at = (r.at + n) % len(r.block)
	return n, nil
}

// oddNames are names that trip whoever quotes, splits, decodes or abbreviates them.
var oddNames = []string{
	"plain", "with blank", " leading", "trailing ", "-rf", "--help", "-", "new\nline", "tab\there", "cr\rhere", "it's", `dou"ble`, "back`tick`",
	"$HOME", "$(id)", "${x}", "*", "?", "[a-z]", "{a,b}", "~", "~root", "a;b", "a&b", "a|b", "a>b", "#hash", "!bang", `back\slash`, `\n`, "%s", "%d%%",
	"a:b", "a=b", "a,b", ".hidden", "...", "..a", "\x01\x02\x1b[31m\x7f", "\xff\xfe", "caf\xe9", "é", "日本", "\u202egnp", "\xed\xa0\x80",
	strings.Repeat("n", 255), strings.Repeat("é", 127), strings.Repeat("'", 255),
}
