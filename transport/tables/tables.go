// Package tables answers transport.Lookup out of a host's own files and commands.
//
// The one rule: what comes from a host is bytes, not truth. Every parser is a pure function that skips the lines it cannot read and
// never fails, so a damaged or hostile file costs rows, not the run.
//
// The trap: a file is not the whole table. Users may live in LDAP, so a name that /etc/passwd lacks is asked of getent; a unit's state
// lives in systemd, not in its file.
//
// The promise: one Lookup costs a few reads and at most one command for all of its keys, whatever their number, and every Host that
// answers through this package answers in the same rows.
package tables

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"fabgo/transport"
)

// Reader answers the Lookups of one host. Its methods are safe for concurrent use when its Source is.
type Reader struct {
	src Source

	packages packageFiles
	users    kept[*userFile]
	groups   kept[*groupFile]
	shadow   kept[map[string]Shadow]
	services kept[map[string][]string] // of the name service, by database
}

// NewReader makes a Reader over src.
func NewReader(src Source) *Reader { return &Reader{src: src} }

// Lookup answers op once, without a memory between calls.
func Lookup(ctx context.Context, src Source, op transport.Lookup) (transport.Rows, error) {
	return NewReader(src).Lookup(ctx, op)
}

// Lookup answers op. Its errors: Unsupported where the host lacks the table, else those of the Source.
func (r *Reader) Lookup(ctx context.Context, op transport.Lookup) (transport.Rows, error) {
	switch op.Table {
	case transport.Packages:
		return r.lookupPackages(ctx, op.Keys)
	case transport.Users:
		return r.lookupUsers(ctx, op.Keys)
	case transport.Groups:
		return r.lookupGroups(ctx, op.Keys)
	case transport.Units:
		return r.lookupUnits(ctx, op.Keys)
	case transport.Mounts:
		return lookupMounts(ctx, r.src, op.Keys)
	case transport.Sysctls:
		return lookupSysctls(ctx, r.src, op.Keys)
	}
	return transport.Rows{}, &transport.Error{Kind: transport.Unsupported, Message: fmt.Sprintf("lookup: there is no table %q", op.Table)}
}

// pick answers keys out of a function that finds a row, or all rows sorted.
func pick(keys []transport.Text, all func() []transport.Row, find func(transport.Text) (transport.Row, bool)) transport.Rows {
	rows := []transport.Row{}
	if len(keys) == 0 {
		rows = append(rows, all()...)
		slices.SortFunc(rows, func(a, b transport.Row) int { return strings.Compare(string(a.Key), string(b.Key)) })
		return transport.Rows{Rows: rows}
	}
	for _, k := range keys {
		if row, ok := find(k); ok {
			rows = append(rows, row)
		}
	}
	return transport.Rows{Rows: rows}
}

// observe runs a command. A host without the program answers ok false.
func observe(ctx context.Context, src Source, argv []string) (out transport.Output, ok bool, err error) {
	out, err = src.Exec(ctx, transport.Exec{Argv: transport.Texts(argv...), Limit: 64 << 20})
	if k := transport.KindOf(err); k == transport.NotFound || k == transport.Denied {
		return out, false, nil
	}
	return out, err == nil, err
}

func unsupported(msg, hint string, cause error) error {
	e := &transport.Error{Kind: transport.Unsupported, Message: msg, Hint: hint, Err: cause}
	if te, ok := errors.AsType[*transport.Error](cause); ok {
		e.Message += ": " + te.Message
	}
	return e
}

// lines calls f for every line of b, without the end of line.
func lines(b []byte, f func(line string)) {
	for line := range strings.Lines(string(b)) {
		f(strings.TrimRight(line, "\r\n"))
	}
}

func flag(b bool) transport.Text {
	if b {
		return "yes"
	}
	return "no"
}

// list is a list as a column holds it: sorted, without doubles, joined by commas.
func list(ss []string) transport.Text {
	ss = slices.Clone(ss)
	slices.Sort(ss)
	return transport.Text(strings.Join(slices.Compact(ss), ","))
}

// isID reports whether s is a user or group id in digits.
func isID(s string) bool {
	if s == "" || len(s) > 10 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
