package ssh

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"fabgo/transport"
	"fabgo/transport/tables"
)

// wholeFile is the longest file that is read for a table.
const wholeFile = 64 << 20

// source lets the tables read the host.
type tableSource struct {
	h *Host
	l *link
}

func (s *tableSource) ReadFile(ctx context.Context, p transport.Path) ([]byte, error) {
	b, err := s.h.readBytes(ctx, s.l, p, 0, wholeFile+1)
	if err == nil && len(b) > wholeFile {
		return nil, &transport.Error{Kind: transport.Protocol, Path: p, Message: fmt.Sprintf("read %s: it is longer than %d bytes", p, wholeFile)}
	}
	return b, err
}

func (s *tableSource) Exec(ctx context.Context, op transport.Exec) (transport.Output, error) {
	return s.h.exec(ctx, s.l, op)
}

// namesOf gives the names of a user and a group id, or their digits.
func (h *Host) namesOf(ctx context.Context, l *link, uid, gid int) (owner, group transport.Text, err error) {
	if err := h.loadNames(ctx, l, uid, gid); err != nil {
		return "", "", err
	}
	h.names.mu.Lock()
	defer h.names.mu.Unlock()
	return nameOr(h.names.owners, uid), nameOr(h.names.groups, gid), nil
}

func nameOr(m map[int]string, id int) transport.Text {
	if n := m[id]; n != "" {
		return transport.Text(n)
	}
	return transport.Text(strconv.Itoa(id))
}

// loadNames learns the names of these ids: all of the files' at first, then of getent what they lack. An id without a name is kept
// too, as "".
func (h *Host) loadNames(ctx context.Context, l *link, uid, gid int) error {
	h.names.mu.Lock()
	first := h.names.owners == nil
	_, okU := h.names.owners[uid]
	_, okG := h.names.groups[gid]
	h.names.mu.Unlock()
	if okU && okG {
		return nil
	}
	owners, groups := map[int]string{}, map[int]string{}
	if first {
		src := &tableSource{h, l}
		for _, file := range []transport.Path{"/etc/passwd", "/etc/group"} {
			b, err := src.ReadFile(ctx, file)
			if k := transport.KindOf(err); err != nil && k != transport.NotFound && k != transport.Denied {
				return err
			}
			if file == "/etc/passwd" {
				for _, u := range tables.ParsePasswd(b) {
					setName(owners, u.UID, u.Name)
				}
			} else {
				for _, g := range tables.ParseGroup(b) {
					setName(groups, g.GID, g.Name)
				}
			}
		}
		_, okU = owners[uid]
		_, okG = groups[gid]
	}
	if (!okU || !okG) && l.tools["getent"] {
		out, err := h.observe(ctx, l, "look up ids", fmt.Sprintf("begin ids; getent passwd %d; echo; getent group %d; exit 0", uid, gid))
		if err != nil {
			return err
		}
		for _, u := range tables.ParsePasswd([]byte(out)) {
			setName(owners, u.UID, u.Name)
		}
		for _, g := range tables.ParseGroup([]byte(out)) {
			setName(groups, g.GID, g.Name)
		}
	}
	h.names.mu.Lock()
	defer h.names.mu.Unlock()
	if h.names.owners == nil {
		h.names.owners, h.names.groups = map[int]string{}, map[int]string{}
	}
	for id, n := range owners {
		h.names.owners[id] = n
	}
	for id, n := range groups {
		h.names.groups[id] = n
	}
	if _, ok := h.names.owners[uid]; !ok {
		h.names.owners[uid] = ""
	}
	if _, ok := h.names.groups[gid]; !ok {
		h.names.groups[gid] = ""
	}
	return nil
}

// setName keeps the first name of an id, as the C library does.
func setName(m map[int]string, digits, name string) {
	id, err := strconv.Atoi(digits)
	if _, ok := m[id]; err == nil && !ok {
		m[id] = name
	}
}

// groupID finds a group by name or id.
func (h *Host) groupID(ctx context.Context, l *link, key string) (gid int, ok bool, err error) {
	if n, err := strconv.ParseUint(key, 10, 32); err == nil && n != 1<<32-1 {
		return int(n), true, nil
	}
	h.names.mu.Lock()
	gid, ok = h.names.byGroup[key]
	h.names.mu.Unlock()
	if ok {
		return gid, true, nil
	}
	if strings.ContainsAny(key, ":\n\x00") {
		return 0, false, nil
	}
	out, err := h.observe(ctx, l, "look up the group "+key, "begin group; getent group "+shellWord(key)+" 2>/dev/null || cat /etc/group; exit 0")
	if err != nil {
		return 0, false, err
	}
	for _, g := range tables.ParseGroup(bytes.TrimSpace([]byte(out))) {
		if g.Name != key {
			continue
		}
		if gid, err = strconv.Atoi(g.GID); err == nil {
			h.names.mu.Lock()
			defer h.names.mu.Unlock()
			if h.names.byGroup == nil {
				h.names.byGroup = map[string]int{}
			}
			h.names.byGroup[key] = gid
			return gid, true, nil
		}
	}
	return 0, false, nil
}
