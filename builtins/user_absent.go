package builtins

import (
	"context"
	"fmt"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

type userAbsentArgs struct {
	common
	Name       string `arg:"name"`
	RemoveHome bool   `arg:"remove_home"`
	Force      bool   `arg:"force"`
}

func userAbsent(c *call, a userAbsentArgs) (starlark.Value, error) {
	if err := accountName("name", a.Name); err != nil {
		return nil, fmt.Errorf("user.absent: %w", err)
	}
	if a.Name == "root" {
		return nil, fmt.Errorf("user.absent: root is not removed")
	}
	return c.converge(&userGone{a})
}

type userGone struct{ args userAbsentArgs }

func (r *userGone) Name() string { return "user:" + r.args.Name }

func (r *userGone) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	want := []converge.Object{{Key: converge.Key{Table: transport.Users, Name: r.args.Name}, Absent: true}}
	have, exists, err := row(ctx, h, transport.Users, r.args.Name)
	if err != nil && converge.CauseOf(err) == nil {
		return nil, err
	}
	if exists {
		own, err := r.takesGroup(ctx, h, have)
		if err != nil {
			return nil, err
		}
		if own {
			want = append(want, converge.Object{Key: converge.Key{Table: transport.Groups, Name: r.args.Name}, Absent: true})
		}
	}
	if !r.args.RemoveHome {
		return want, nil
	}
	if p, perr := transport.NewPath(string(have["home"])); exists && perr == nil && p != "/" && p != "/nonexistent" {
		want = append(want, converge.Object{Key: converge.FileKey(p), Absent: true})
	}
	return want, nil
}

// takesGroup reports whether userdel removes the group of the same name too: when it is the user's own and nobody else is in it
// (USERGROUPS_ENAB in login.defs(5), which Debian sets).
func (r *userGone) takesGroup(ctx context.Context, h transport.Host, have map[string]transport.Text) (bool, error) {
	if string(have["group"]) != r.args.Name {
		return false, nil
	}
	g, ok, err := row(ctx, h, transport.Groups, r.args.Name)
	if err != nil || !ok || g["members"] != "" && string(g["members"]) != r.args.Name {
		return false, err
	}
	users, err := transport.Do[transport.Rows](ctx, h, transport.Lookup{Table: transport.Users})
	if err != nil {
		return false, err
	}
	for _, u := range users.Rows {
		if string(u.Key) != r.args.Name && u.Fields["gid"] == have["gid"] && have["gid"] != "" {
			return false, nil
		}
	}
	defs, err := transport.Do[transport.Data](ctx, h, transport.Read{Path: "/etc/login.defs"})
	if transport.KindOf(err) == transport.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	b, err := defs.Content.ReadAll(transport.ReadLimit)
	return userGroups().Match(b), err
}

var userGroups = whenUsed(`(?m)^\s*USERGROUPS_ENAB\s+yes\b`)

func (r *userGone) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	argv := []string{"userdel"}
	if r.args.RemoveHome {
		argv = append(argv, "--remove")
	}
	if r.args.Force {
		argv = append(argv, "--force")
	}
	return change(ctx, h, "force = True removes an account that is logged in", nil, append(argv, r.args.Name)...)
}
