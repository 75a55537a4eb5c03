package builtins

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/internal/token"
	"fabgo/transport"
)

func userNatives() starlark.StringDict {
	return merge(native("user.present", userPresent), native("user.absent", userAbsent))
}

type userArgs struct {
	common
	Name         string         `arg:"name"`
	UID          *int           `arg:"uid"`
	Group        owner          `arg:"group"`
	Groups       []string       `arg:"groups"`
	Append       bool           `arg:"append"`
	Comment      *string        `arg:"comment"`
	Home         transport.Path `arg:"home"`
	CreateHome   *bool          `arg:"create_home"`
	MoveHome     bool           `arg:"move_home"`
	Shell        transport.Path `arg:"shell"`
	System       bool           `arg:"system"`
	PasswordHash *string        `arg:"password_hash"`
	Locked       *bool          `arg:"locked"`
	Expires      *string        `arg:"expires"`
}

func (a userArgs) check() error {
	if err := accountName("name", a.Name); err != nil {
		return err
	}
	for _, g := range a.Groups {
		if err := accountName("groups", g); err != nil {
			return err
		}
	}
	if a.UID != nil && (*a.UID < 0 || int64(*a.UID) >= 1<<32-1) {
		return fmt.Errorf("uid: %d is no id", *a.UID)
	}
	if a.Comment != nil && strings.ContainsAny(*a.Comment, ":\n\x00") {
		return fmt.Errorf("comment: %q holds a colon or a line break, which /etc/passwd cannot", *a.Comment)
	}
	if !a.Append && a.Groups == nil {
		return fmt.Errorf("append = False needs groups, the list that is to be exact")
	}
	for _, p := range []transport.Path{a.Home, a.Shell} {
		if strings.ContainsAny(string(p), ":\n") {
			return fmt.Errorf("%q holds a colon or a line break, which /etc/passwd cannot", p)
		}
	}
	if h := a.PasswordHash; h != nil && !token.In(*h) && (!strings.HasPrefix(*h, "$") && *h != "*" && *h != "!" || strings.ContainsAny(*h, ":\n\x00 ")) {
		return fmt.Errorf("password_hash: it is no crypt(3) hash: make one with `openssl passwd -6`")
	}
	_, err := a.expiry()
	return err
}

// expiry is the day of expires as days since 1970, "" for never.
func (a userArgs) expiry() (string, error) {
	if a.Expires == nil || *a.Expires == "never" || *a.Expires == "" {
		return "", nil
	}
	d, err := time.Parse("2006-01-02", *a.Expires)
	if err != nil {
		return "", fmt.Errorf("expires: %q is neither a day such as \"2027-01-31\" nor \"never\"", *a.Expires)
	}
	return strconv.FormatInt(d.Unix()/86400, 10), nil
}

func userPresent(c *call, a userArgs) (starlark.Value, error) {
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("user.present: %w", err)
	}
	return c.converge(&userResource{args: a})
}

type userResource struct {
	args     userArgs
	ownGroup bool // a new account gets a group of its own
	homePath transport.Path
}

func (r *userResource) Name() string { return "user:" + r.args.Name }

func (r *userResource) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	a := r.args
	have, exists, err := row(ctx, h, transport.Users, a.Name)
	if err != nil && converge.CauseOf(err) == nil {
		return nil, err
	}
	f := map[string]transport.Text{}
	if a.UID != nil {
		f["uid"] = transport.Text(strconv.Itoa(*a.UID))
	}
	if _, err := strconv.Atoi(string(a.Group)); a.Group != "" && err == nil {
		f["gid"] = transport.Text(a.Group)
	} else if a.Group != "" {
		f["group"] = transport.Text(a.Group)
	}
	switch {
	case a.Groups != nil && a.Append:
		f["groups"] = names(a.Groups, split(have["groups"]))
	case a.Groups != nil:
		f["groups"] = names(a.Groups)
	}
	if a.Comment != nil {
		f["gecos"] = transport.Text(*a.Comment)
	}
	if a.Home != "" {
		f["home"] = transport.Text(a.Home)
	}
	if a.Shell != "" {
		f["shell"] = transport.Text(a.Shell)
	}
	r.wantPassword(f, have)
	if a.Expires != nil {
		day, _ := a.expiry()
		f["expires"] = transport.Text(day)
	}
	if !exists && err == nil { // what useradd makes of what is left out
		if _, ok := f["home"]; !ok {
			f["home"] = transport.Text("/home/" + a.Name)
		}
		if a.Locked == nil && a.PasswordHash == nil {
			f["locked"] = "yes"
		}
	}
	want := []converge.Object{}
	if !exists && a.Group == "" {
		r.ownGroup = true
		want = append(want, converge.Object{Key: converge.Key{Table: transport.Groups, Name: a.Name}, Fields: map[string]transport.Text{}})
	}
	want = append(want, converge.Object{Key: converge.Key{Table: transport.Users, Name: a.Name}, Fields: f})
	if home := r.home(have); home != "" {
		r.homePath = home
		above, err := missingAbove(ctx, h, home)
		if err != nil {
			return nil, err
		}
		want = append(want, above...)
		dir := &converge.File{Type: transport.Dir, Follow: true}
		if !exists {
			dir.Owner = transport.Text(a.Name)
		}
		want = append(want, converge.Object{Key: converge.FileKey(home), File: dir})
	}
	return want, nil
}

// missingAbove are the folders above p that are not there, the uppermost first.
func missingAbove(ctx context.Context, h transport.Host, p transport.Path) ([]converge.Object, error) {
	var out []converge.Object
	for d := p.Dir(); d != "/"; d = d.Dir() {
		fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: d, Follow: true})
		if converge.CauseOf(err) != nil {
			return out, nil
		}
		if err != nil || fi.Type != transport.Absent {
			return out, err
		}
		out = append([]converge.Object{{Key: converge.FileKey(d), File: &converge.File{Type: transport.Dir}}}, out...)
	}
	return out, nil
}

// wantPassword adds the columns of the shadow file: the digest of the field as it is to be, with the mark of a lock.
func (r *userResource) wantPassword(f, have map[string]transport.Text) {
	a := r.args
	if a.PasswordHash != nil {
		field := *a.PasswordHash
		locked := have["locked"] == "yes"
		if a.Locked != nil {
			locked = *a.Locked
		}
		if a.Locked != nil && locked && !strings.HasPrefix(field, "!") {
			field = "!" + field
		}
		f["password"] = transport.Text(transport.DigestOf([]byte(field)))
		if token.In(field) { // the host's answer has this token where the digest is that of the secret
			f["password"] = transport.Text("sha256:" + token.SHA256.Whole(field))
		}
	}
	if a.Locked != nil {
		f["locked"] = "no"
		if *a.Locked {
			f["locked"] = "yes"
		}
	}
}

// home is the folder that must exist, or "".
func (r *userResource) home(have map[string]transport.Text) transport.Path {
	a := r.args
	create := !a.System || a.Home != ""
	if a.CreateHome != nil {
		create = *a.CreateHome
	} else if have != nil && a.Home == "" {
		return "" // an account that is there keeps the folder it has, or has not
	}
	switch {
	case !create:
		return ""
	case a.Home != "":
		return a.Home
	case have["home"] != "":
		p, err := transport.NewPath(string(have["home"]))
		if err != nil {
			return ""
		}
		return p
	}
	return transport.Path("/home/" + a.Name)
}

func (r *userResource) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	for _, p := range delta {
		var err error
		switch {
		case p.Want.Key.Table == transport.Users && p.Have.Absent:
			err = r.add(ctx, h, p.Want.Fields)
		case p.Want.Key.Table == transport.Users:
			err = r.modify(ctx, h, p.Want.Fields, p.Have.Fields)
		case p.Want.File != nil:
			err = r.makeFolder(ctx, h, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

const accountHint = "groups must exist before: group.present makes them"

func (r *userResource) add(ctx context.Context, h transport.Host, f map[string]transport.Text) error {
	a := r.args
	argv := []string{"useradd"}
	if a.System {
		argv = append(argv, "--system")
	}
	switch {
	case a.Group != "":
		argv = append(argv, "--gid", string(a.Group))
	case r.ownGroup:
		_, exists, err := row(ctx, h, transport.Groups, a.Name)
		if err != nil {
			return err
		}
		if exists {
			argv = append(argv, "--gid", a.Name)
		} else {
			argv = append(argv, "--user-group")
		}
	}
	if r.home(nil) != "" {
		argv = append(argv, "--create-home")
	} else {
		argv = append(argv, "--no-create-home")
	}
	argv = append(argv, accountFlags(f)...)
	if err := change(ctx, h, accountHint, nil, append(argv, a.Name)...); err != nil {
		return err
	}
	return r.setPassword(ctx, h, f)
}

func accountFlags(f map[string]transport.Text) []string {
	var argv []string
	for _, o := range []struct{ column, flag string }{
		{"uid", "--uid"}, {"gecos", "--comment"}, {"home", "--home-dir"}, {"shell", "--shell"}, {"groups", "--groups"},
	} {
		if v, ok := f[o.column]; ok && !(o.column == "groups" && v == "") {
			argv = append(argv, o.flag, string(v))
		}
	}
	if v, ok := f["expires"]; ok && v != "" {
		argv = append(argv, "--expiredate", dayOf(v))
	}
	return argv
}

func dayOf(days transport.Text) string {
	n, err := strconv.ParseInt(string(days), 10, 64)
	if err != nil {
		return ""
	}
	return time.Unix(n*86400, 0).UTC().Format("2006-01-02")
}

// modify passes usermod what differs.
func (r *userResource) modify(ctx context.Context, h transport.Host, want, have map[string]transport.Text) error {
	argv := []string{"usermod"}
	for _, o := range []struct{ column, flag string }{
		{"uid", "--uid"}, {"gid", "--gid"}, {"group", "--gid"}, {"gecos", "--comment"}, {"home", "--home"}, {"shell", "--shell"}, {"groups", "--groups"},
	} {
		if v, ok := want[o.column]; ok && v != have[o.column] {
			argv = append(argv, o.flag, string(v))
			if o.column == "home" && r.args.MoveHome {
				argv = append(argv, "--move-home")
			}
		}
	}
	if v, ok := want["expires"]; ok && v != have["expires"] {
		argv = append(argv, "--expiredate", dayOf(v))
	}
	if len(argv) > 1 {
		if err := change(ctx, h, accountHint, nil, append(argv, r.args.Name)...); err != nil {
			return err
		}
	}
	for _, column := range []string{"password", "locked"} {
		if v, ok := want[column]; ok && v != have[column] {
			return r.setPassword(ctx, h, want)
		}
	}
	return nil
}

// setPassword hands the hash over on standard input, where no list of processes shows it.
func (r *userResource) setPassword(ctx context.Context, h transport.Host, f map[string]transport.Text) error {
	a := r.args
	if a.PasswordHash != nil {
		line := transport.String(a.Name + ":" + *a.PasswordHash + "\n")
		if err := change(ctx, h, "", &line, "chpasswd", "--encrypted"); err != nil {
			return err
		}
	}
	if a.Locked == nil {
		return nil
	}
	now, _, err := row(ctx, h, transport.Users, a.Name)
	if err != nil || now["locked"] == f["locked"] && (a.PasswordHash == nil || now["password"] == f["password"]) {
		return err
	}
	if *a.Locked {
		return change(ctx, h, "", nil, "usermod", "--lock", a.Name)
	}
	return change(ctx, h, "an account without a password cannot be unlocked: give password_hash", nil, "usermod", "--unlock", a.Name)
}

// makeFolder makes the home, or a folder above it.
func (r *userResource) makeFolder(ctx context.Context, h transport.Host, p converge.Pair) error {
	if r.homePath != transport.Path(p.Want.Key.Name) {
		fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: transport.Path(p.Want.Key.Name), Follow: true})
		if err != nil || fi.Type == transport.Dir { // useradd made it
			return err
		}
		return converge.ApplyFile(ctx, h, p, converge.FileOptions{})
	}
	return r.makeHome(ctx, h, p)
}

// makeHome makes the folder for an account that has none; useradd has made that of a new one.
func (r *userResource) makeHome(ctx context.Context, h transport.Host, p converge.Pair) error {
	path := transport.Path(p.Want.Key.Name)
	fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: path, Follow: true})
	if err != nil || fi.Type == transport.Dir {
		return err
	}
	u, _, err := row(ctx, h, transport.Users, r.args.Name)
	if err != nil {
		return err
	}
	_, err = transport.Do[transport.Done](ctx, h, transport.Mkdir{Path: path, Mode: "0700", Owner: transport.Text(r.args.Name), Group: u["gid"], Parents: true})
	return err
}
