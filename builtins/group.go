package builtins

import (
	"context"
	"fmt"
	"strconv"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

func groupNatives() starlark.StringDict {
	return merge(native("group.present", groupPresent), native("group.absent", groupAbsent))
}

type groupArgs struct {
	common
	Name    string   `arg:"name"`
	GID     *int     `arg:"gid"`
	System  bool     `arg:"system"`
	Members []string `arg:"members"`
	Append  bool     `arg:"append"`
}

func groupPresent(c *call, a groupArgs) (starlark.Value, error) {
	err := accountName("name", a.Name)
	for _, m := range a.Members {
		if err == nil {
			err = accountName("members", m)
		}
	}
	switch {
	case err != nil:
	case a.GID != nil && (*a.GID < 0 || int64(*a.GID) >= 1<<32-1):
		err = fmt.Errorf("gid: %d is no id", *a.GID)
	case !a.Append && a.Members == nil:
		err = fmt.Errorf("append = False needs members, the list that is to be exact")
	}
	if err != nil {
		return nil, fmt.Errorf("group.present: %w", err)
	}
	return c.converge(&groupResource{a})
}

type groupResource struct{ args groupArgs }

func (r *groupResource) Name() string { return "group:" + r.args.Name }

func (r *groupResource) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	f := map[string]transport.Text{}
	if r.args.GID != nil {
		f["gid"] = transport.Text(strconv.Itoa(*r.args.GID))
	}
	if r.args.Members != nil {
		f["members"] = names(r.args.Members)
		if r.args.Append {
			have, _, err := row(ctx, h, transport.Groups, r.args.Name)
			if err != nil && converge.CauseOf(err) == nil {
				return nil, err
			}
			f["members"] = names(r.args.Members, split(have["members"]))
		}
	}
	return []converge.Object{{Key: converge.Key{Table: transport.Groups, Name: r.args.Name}, Fields: f}}, nil
}

func (r *groupResource) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	want, have := delta[0].Want.Fields, delta[0].Have
	gid, hasGID := want["gid"]
	if have.Absent {
		argv := []string{"groupadd"}
		if r.args.System {
			argv = append(argv, "--system")
		}
		if hasGID {
			argv = append(argv, "--gid", string(gid))
		}
		if err := change(ctx, h, "", nil, append(argv, r.args.Name)...); err != nil {
			return err
		}
	} else if hasGID && gid != have.Fields["gid"] {
		if err := change(ctx, h, "", nil, "groupmod", "--gid", string(gid), r.args.Name); err != nil {
			return err
		}
	}
	if m, ok := want["members"]; ok && m != have.Fields["members"] {
		return change(ctx, h, "members must exist before: user.present makes them", nil, "gpasswd", "--members", string(m), r.args.Name)
	}
	return nil
}

func groupAbsent(c *call, a struct {
	common
	Name string `arg:"name"`
}) (starlark.Value, error) {
	if err := accountName("name", a.Name); err != nil {
		return nil, fmt.Errorf("group.absent: %w", err)
	}
	return c.converge(&groupGone{a.Name})
}

type groupGone struct{ name string }

func (r *groupGone) Name() string { return "group:" + r.name }

func (r *groupGone) Want(context.Context, transport.Host) ([]converge.Object, error) {
	return []converge.Object{{Key: converge.Key{Table: transport.Groups, Name: r.name}, Absent: true}}, nil
}

func (r *groupGone) Apply(ctx context.Context, h transport.Host, _ []converge.Pair) error {
	return change(ctx, h, "a group that is the primary group of a user stays until the user is gone", nil, "groupdel", r.name)
}
