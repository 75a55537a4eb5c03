package tables

import (
	"context"
	"slices"
	"strings"

	"fabgo/transport"
)

// User is a line of a passwd file.
type User struct{ Name, UID, GID, Gecos, Home, Shell string }

// ParsePasswd reads the lines of a passwd file, or of getent's answer. Lines of other shapes (comments, NIS markers) are skipped.
func ParsePasswd(b []byte) []User {
	var users []User
	lines(b, func(line string) {
		f := strings.Split(line, ":")
		if len(f) != 7 || f[0] == "" || strings.ContainsAny(f[0][:1], "#+-") || !isID(f[2]) || !isID(f[3]) {
			return
		}
		users = append(users, User{Name: f[0], UID: f[2], GID: f[3], Gecos: f[4], Home: f[5], Shell: f[6]})
	})
	return users
}

// Group is a line of a group file.
type Group struct {
	Name, GID string
	Members   []string
}

// ParseGroup reads the lines of a group file, or of getent's answer.
func ParseGroup(b []byte) []Group {
	var groups []Group
	lines(b, func(line string) {
		f := strings.Split(line, ":")
		if len(f) != 4 || f[0] == "" || strings.ContainsAny(f[0][:1], "#+-") || !isID(f[2]) {
			return
		}
		g := Group{Name: f[0], GID: f[2]}
		for m := range strings.SplitSeq(f[3], ",") {
			if m = strings.TrimSpace(m); m != "" {
				g.Members = append(g.Members, m)
			}
		}
		groups = append(groups, g)
	})
	return groups
}

// Shadow is a line of a shadow file. Expires is in days since 1970, "" for never.
type Shadow struct{ Name, Password, Expires string }

// Locked reports whether no password can open the account, as `passwd -S` does: the field begins with "!" or "*".
func (s Shadow) Locked() bool {
	return strings.HasPrefix(s.Password, "!") || strings.HasPrefix(s.Password, "*")
}

// ParseShadow reads the lines of a shadow file.
func ParseShadow(b []byte) []Shadow {
	var out []Shadow
	lines(b, func(line string) {
		f := strings.Split(line, ":")
		if len(f) < 8 || f[0] == "" || f[0][0] == '#' {
			return
		}
		out = append(out, Shadow{Name: f[0], Password: f[1], Expires: f[7]})
	})
	return out
}

// userFile is a passwd file, findable; of several lines with one name or id the first counts.
type userFile struct {
	all          []User
	byName, byID map[string]int
}

func newUserFile(b []byte) *userFile {
	all := ParsePasswd(b)
	f := &userFile{all: all, byName: make(map[string]int, len(all)), byID: make(map[string]int, len(all))}
	for i, u := range all {
		first(f.byName, u.Name, i)
		first(f.byID, u.UID, i)
	}
	return f
}

// groupFile is a group file, findable.
type groupFile struct {
	all          []Group
	byName, byID map[string]int
	of           map[string][]int // the groups that name a user as a member
}

func newGroupFile(b []byte) *groupFile {
	all := ParseGroup(b)
	f := &groupFile{all: all, byName: make(map[string]int, len(all)), byID: make(map[string]int, len(all)), of: map[string][]int{}}
	for i, g := range all {
		first(f.byName, g.Name, i)
		first(f.byID, g.GID, i)
		for _, m := range g.Members {
			f.of[m] = append(f.of[m], i)
		}
	}
	return f
}

func newShadowFile(b []byte) map[string]Shadow {
	out := map[string]Shadow{}
	for _, s := range ParseShadow(b) {
		if _, ok := out[s.Name]; !ok {
			out[s.Name] = s
		}
	}
	return out
}

func first(m map[string]int, key string, i int) {
	if _, ok := m[key]; !ok {
		m[key] = i
	}
}

// find finds a key that may be a name or an id: names first, as chown(1) and others do.
func find(byName, byID map[string]int, key string) (int, bool) {
	i, ok := byName[key]
	if !ok && isID(key) {
		i, ok = byID[canonicalID(key)]
	}
	return i, ok
}

// accounts are the local users and groups, with what the name service knew about keys that the files lack.
type accounts struct {
	users      *userFile
	groups     *groupFile
	shadow     map[string]Shadow
	moreUsers  []User
	moreGroups []Group
	extra      map[string][]string // the groups of moreUsers
}

func (a *accounts) user(key transport.Text) (User, bool) {
	k := string(key)
	if i, ok := find(a.users.byName, a.users.byID, k); ok {
		return a.users.all[i], true
	}
	i := slices.IndexFunc(a.moreUsers, func(u User) bool { return u.Name == k })
	if i < 0 && isID(k) {
		i = slices.IndexFunc(a.moreUsers, func(u User) bool { return u.UID == canonicalID(k) })
	}
	if i < 0 {
		return User{}, false
	}
	return a.moreUsers[i], true
}

func (a *accounts) group(key transport.Text) (Group, bool) {
	k := string(key)
	if i, ok := find(a.groups.byName, a.groups.byID, k); ok {
		return a.groups.all[i], true
	}
	i := slices.IndexFunc(a.moreGroups, func(g Group) bool { return g.Name == k })
	if i < 0 && isID(k) {
		i = slices.IndexFunc(a.moreGroups, func(g Group) bool { return g.GID == canonicalID(k) })
	}
	if i < 0 {
		return Group{}, false
	}
	return a.moreGroups[i], true
}

// canonicalID drops leading zeros, which the files do not have.
func canonicalID(s string) string {
	if t := strings.TrimLeft(s, "0"); t != "" {
		return t
	}
	return "0"
}

func (r *Reader) lookupUsers(ctx context.Context, keys []transport.Text) (transport.Rows, error) {
	var a accounts
	var err error
	if a.users, err = r.users.getOr(ctx, r.src, "/etc/passwd", newUserFile); err != nil {
		return transport.Rows{}, err
	}
	if a.groups, err = r.groups.getOr(ctx, r.src, "/etc/group", newGroupFile); err != nil {
		return transport.Rows{}, err
	}
	if a.shadow, err = r.shadow.getOr(ctx, r.src, "/etc/shadow", newShadowFile); err != nil {
		return transport.Rows{}, err
	}
	if err := r.askUsers(ctx, &a, keys); err != nil {
		return transport.Rows{}, err
	}
	return pick(keys, func() (rows []transport.Row) {
		for _, u := range a.users.all {
			rows = append(rows, a.userRow(u))
		}
		return rows
	}, func(k transport.Text) (transport.Row, bool) {
		u, ok := a.user(k)
		if !ok {
			return transport.Row{}, false
		}
		return a.userRow(u), true
	}), nil
}

// askUsers asks the name service for the keys that the files lack, and for what their rows need.
func (r *Reader) askUsers(ctx context.Context, a *accounts, keys []transport.Text) error {
	var missing []transport.Text
	for _, k := range keys {
		if _, ok := a.user(k); !ok {
			missing = append(missing, k)
		}
	}
	b, err := r.getent(ctx, "passwd", missing)
	if err != nil {
		return err
	}
	a.moreUsers = ParsePasswd(b)
	for _, u := range a.moreUsers {
		out, ok, err := observe(ctx, r.src, []string{"id", "-Gnz", "--", u.Name})
		if err != nil {
			return err
		}
		if !ok || out.Code != 0 {
			continue
		}
		if a.extra == nil {
			a.extra = map[string][]string{}
		}
		a.extra[u.Name] = strings.Split(strings.TrimRight(string(out.Stdout), "\x00"), "\x00")
	}
	var gids []transport.Text
	for _, k := range keys {
		if u, ok := a.user(k); ok {
			if _, ok := a.group(transport.Text(u.GID)); !ok {
				gids = append(gids, transport.Text(u.GID))
			}
		}
	}
	if b, err = r.getent(ctx, "group", gids); err != nil {
		return err
	}
	a.moreGroups = ParseGroup(b)
	return nil
}

func (a *accounts) userRow(u User) transport.Row {
	f := map[string]transport.Text{
		"uid": transport.Text(u.UID), "gid": transport.Text(u.GID), "gecos": transport.Text(u.Gecos),
		"home": transport.Text(u.Home), "shell": transport.Text(u.Shell),
	}
	var others []string
	primary, ok := a.groups.byID[u.GID]
	if ok {
		f["group"] = transport.Text(a.groups.all[primary].Name)
	} else if g, ok := a.group(transport.Text(u.GID)); ok {
		f["group"] = transport.Text(g.Name)
	}
	for _, i := range a.groups.of[u.Name] {
		if !ok || i != primary {
			others = append(others, a.groups.all[i].Name)
		}
	}
	for _, g := range a.extra[u.Name] {
		if g != string(f["group"]) && g != "" {
			others = append(others, g)
		}
	}
	f["groups"] = list(others)
	if s, ok := a.shadow[u.Name]; ok {
		f["locked"] = flag(s.Locked())
		f["password"] = ""
		if s.Password != "" {
			f["password"] = transport.Text(transport.DigestOf([]byte(s.Password)))
		}
		if s.Expires != "" {
			f["expires"] = transport.Text(s.Expires)
		}
	}
	return transport.Row{Key: transport.Text(u.Name), Fields: f}
}

func (r *Reader) lookupGroups(ctx context.Context, keys []transport.Text) (transport.Rows, error) {
	var a accounts
	var err error
	if a.groups, err = r.groups.getOr(ctx, r.src, "/etc/group", newGroupFile); err != nil {
		return transport.Rows{}, err
	}
	var missing []transport.Text
	for _, k := range keys {
		if _, ok := a.group(k); !ok {
			missing = append(missing, k)
		}
	}
	b, err := r.getent(ctx, "group", missing)
	if err != nil {
		return transport.Rows{}, err
	}
	a.moreGroups = ParseGroup(b)
	row := func(g Group) transport.Row {
		return transport.Row{Key: transport.Text(g.Name), Fields: map[string]transport.Text{"gid": transport.Text(g.GID), "members": list(g.Members)}}
	}
	return pick(keys, func() (rows []transport.Row) {
		for _, g := range a.groups.all {
			rows = append(rows, row(g))
		}
		return rows
	}, func(k transport.Text) (transport.Row, bool) {
		g, ok := a.group(k)
		if !ok {
			return transport.Row{}, false
		}
		return row(g), true
	}), nil
}
