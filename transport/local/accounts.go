//go:build linux || darwin || freebsd

package local

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"fabgo/transport"
	"fabgo/transport/tables"
)

// refreshNames reads the names of users and groups where /etc/passwd or /etc/group changed. Those that the name service knew are kept
// with them, until a command may have changed its mind.
func (h *Host) refreshNames() {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, _ := stamp("/etc/passwd")
	g, _ := stamp("/etc/group")
	if h.owners != nil && p == h.passwd && g == h.group && p != (tables.Stamp{}) && g != (tables.Stamp{}) {
		return
	}
	h.passwd, h.group, h.owners, h.groups = p, g, map[int]transport.Text{}, map[int]transport.Text{}
	if b, err := os.ReadFile("/etc/passwd"); err == nil {
		for _, u := range tables.ParsePasswd(b) {
			keep(h.owners, u.UID, u.Name)
		}
	}
	if b, err := os.ReadFile("/etc/group"); err == nil {
		for _, g := range tables.ParseGroup(b) {
			keep(h.groups, g.GID, g.Name)
		}
	}
}

// names are the names of a user and a group, or their digits.
func (h *Host) names(ctx context.Context, uid, gid int) (owner, group transport.Text) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.name(ctx, h.owners, transport.Users, uid), h.name(ctx, h.groups, transport.Groups, gid)
}

// Forget drops what the name service said. It is for who knows of a command that changes and ran elsewhere.
func (h *Host) Forget() { h.forgetNames() }

// forgetNames drops what the name service said: a command that changes may have changed that.
func (h *Host) forgetNames() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.owners, h.groups = nil, nil
}

// keep notes a name for an id, of several the first.
func keep(names map[int]transport.Text, id, name string) {
	n, err := strconv.Atoi(id)
	if _, taken := names[n]; err == nil && !taken {
		names[n] = transport.Text(name)
	}
}

func (h *Host) name(ctx context.Context, known map[int]transport.Text, t transport.Table, id int) transport.Text {
	if n, ok := known[id]; ok {
		return n
	}
	name := transport.Text(strconv.Itoa(id))
	rows, err := h.tables.Lookup(ctx, transport.Lookup{Table: t, Keys: []transport.Text{name}})
	if err == nil && len(rows.Rows) == 1 {
		name = rows.Rows[0].Key
	}
	if err == nil && known != nil {
		known[id] = name
	}
	return name
}

// account is a user as a process needs it.
type account struct {
	name, home, shell string
	uid, gid          int
	groups            []int // the primary one among them
}

// account finds a user by name or id. ok is false where there is none.
func (h *Host) account(ctx context.Context, key transport.Text) (a account, ok bool, err error) {
	rows, err := h.tables.Lookup(ctx, transport.Lookup{Table: transport.Users, Keys: []transport.Text{key}})
	if err != nil || len(rows.Rows) == 0 {
		return account{}, false, err
	}
	row := rows.Rows[0]
	a = account{name: string(row.Key), home: string(row.Fields["home"]), shell: string(row.Fields["shell"])}
	if a.uid, err = strconv.Atoi(string(row.Fields["uid"])); err != nil {
		return account{}, false, err
	}
	if a.gid, err = strconv.Atoi(string(row.Fields["gid"])); err != nil {
		return account{}, false, err
	}
	a.groups = []int{a.gid}
	var others []transport.Text
	for g := range strings.SplitSeq(string(row.Fields["groups"]), ",") {
		if g != "" {
			others = append(others, transport.Text(g))
		}
	}
	if len(others) > 0 {
		rows, err := h.tables.Lookup(ctx, transport.Lookup{Table: transport.Groups, Keys: others})
		if err != nil {
			return account{}, false, err
		}
		for _, r := range rows.Rows {
			if gid, err := strconv.Atoi(string(r.Fields["gid"])); err == nil {
				a.groups = append(a.groups, gid)
			}
		}
	}
	return a, true, nil
}

// keepID says to leave an owner or group as it is, as chown(2) does.
const keepID = -1

// ids resolves the owner and group of an op: keepID for "". primary is the owner's primary group where it has one.
func (h *Host) ids(ctx context.Context, what string, p transport.Path, owner, group transport.Text) (uid, gid, primary int, err error) {
	uid, gid, primary = keepID, keepID, keepID
	if owner != "" {
		a, ok, err := h.account(ctx, owner)
		n, digits := number(owner)
		switch {
		case err != nil:
			return 0, 0, 0, fail(what, p, err)
		case ok:
			uid, primary = a.uid, a.gid
		case digits:
			uid = n
		default:
			return 0, 0, 0, &transport.Error{Kind: transport.NotFound, Path: p, Message: fmt.Sprintf("%s %s: there is no user %q", what, show(p), owner)}
		}
	}
	if group != "" {
		rows, err := h.tables.Lookup(ctx, transport.Lookup{Table: transport.Groups, Keys: []transport.Text{group}})
		n, digits := number(group)
		switch {
		case err != nil:
			return 0, 0, 0, fail(what, p, err)
		case len(rows.Rows) == 1:
			if gid, err = strconv.Atoi(string(rows.Rows[0].Fields["gid"])); err != nil {
				return 0, 0, 0, fail(what, p, err)
			}
		case digits:
			gid = n
		default:
			return 0, 0, 0, &transport.Error{Kind: transport.NotFound, Path: p, Message: fmt.Sprintf("%s %s: there is no group %q", what, show(p), group)}
		}
	}
	return uid, gid, primary, nil
}

// number reads an id in digits. The largest is chown's word for "leave", so it is none.
func number(s transport.Text) (int, bool) {
	n, err := strconv.ParseUint(string(s), 10, 32)
	return int(n), err == nil && n != 1<<32-1
}
