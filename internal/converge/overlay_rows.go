package converge

import (
	"context"
	"maps"
	"slices"
	"strings"

	"fabgo/transport"
)

func (o *Overlay) putRow(ctx context.Context, obj Object, by Cause) error {
	clear(o.names)
	obj.Fields = maps.Clone(obj.Fields)
	var err error
	switch obj.Key.Table {
	case transport.Users:
		err = o.putUser(ctx, obj, by)
	case transport.Groups:
		err = o.putGroup(ctx, obj, by)
	case transport.Units:
		err = o.completeUnit(ctx, obj)
	}
	o.setRow(obj, by)
	return err
}

func (o *Overlay) setRow(obj Object, by Cause) {
	o.rows[obj.Key] = &prediction{obj: obj, by: by, since: len(o.dark)}
}

// setColumns predicts the columns of a row that is there, known in part as it was.
func (o *Overlay) setColumns(k Key, f map[string]transport.Text, by Cause) {
	obj := Object{Key: k, Fields: f}
	if p := o.rows[k]; p != nil {
		obj.Cause = p.obj.Cause
	}
	o.setRow(obj, by)
}

// current is a row as it is predicted so far; nil where there is none, or where it is not known.
func (o *Overlay) current(ctx context.Context, t transport.Table, key string) (map[string]transport.Text, error) {
	rows, err := o.lookup(ctx, transport.Lookup{Table: t, Keys: []transport.Text{transport.Text(key)}})
	if CauseOf(err) != nil {
		return nil, nil
	}
	if err != nil || len(rows.Rows) == 0 {
		return nil, err
	}
	return rows.Rows[0].Fields, nil
}

// putUser foresees what a user's row says of groups: they name their members, and a primary group has a name and an id.
func (o *Overlay) putUser(ctx context.Context, obj Object, by Cause) error {
	name, f := obj.Key.Name, obj.Fields
	old, err := o.current(ctx, transport.Users, name)
	if err != nil {
		return err
	}
	if !obj.Absent {
		if f["group"] != old["group"] {
			g, err := o.current(ctx, transport.Groups, string(f["group"]))
			if err != nil {
				return err
			}
			setOrDrop(f, "gid", g["gid"])
		} else if f["gid"] != old["gid"] {
			rows, err := o.lookup(ctx, transport.Lookup{Table: transport.Groups, Keys: []transport.Text{f["gid"]}})
			if err != nil && CauseOf(err) == nil {
				return err
			}
			delete(f, "group")
			if len(rows.Rows) > 0 {
				f["group"] = rows.Rows[0].Key
			}
		}
	}
	return o.crossPut(ctx, transport.Groups, "members", name, old["groups"], f["groups"], by)
}

// putGroup foresees what a group's row says of users.
func (o *Overlay) putGroup(ctx context.Context, obj Object, by Cause) error {
	old, err := o.current(ctx, transport.Groups, obj.Key.Name)
	if err != nil {
		return err
	}
	if gid := obj.Fields["gid"]; old["gid"] != "" && gid != "" && gid != old["gid"] { // users follow
		users, err := o.lookup(ctx, transport.Lookup{Table: transport.Users})
		if err != nil && CauseOf(err) == nil {
			return err
		}
		for _, u := range users.Rows {
			if u.Fields["gid"] == old["gid"] {
				f := maps.Clone(u.Fields)
				f["gid"] = gid
				o.setColumns(Key{transport.Users, string(u.Key)}, f, by)
			}
		}
	}
	return o.crossPut(ctx, transport.Users, "groups", obj.Key.Name, old["members"], obj.Fields["members"], by)
}

// crossPut keeps the two sides of a membership alike: in the rows of t that a list gained or lost, column gains or loses name.
func (o *Overlay) crossPut(ctx context.Context, t transport.Table, column, name string, before, after transport.Text, by Cause) error {
	was, is := members(before), members(after)
	for _, other := range slices.Concat(was, is) {
		lost, gained := !slices.Contains(is, other), !slices.Contains(was, other)
		if !lost && !gained {
			continue
		}
		f, err := o.current(ctx, t, other)
		if err != nil {
			return err
		}
		if f == nil {
			continue
		}
		list := slices.DeleteFunc(members(f[column]), func(m string) bool { return m == name })
		if gained {
			list = append(list, name)
		}
		slices.Sort(list)
		f = maps.Clone(f)
		f[column] = transport.Text(strings.Join(list, ","))
		o.setColumns(Key{t, other}, f, by)
	}
	return nil
}

func members(t transport.Text) []string {
	if t == "" {
		return nil
	}
	return strings.Split(string(t), ",")
}

func setOrDrop(f map[string]transport.Text, column string, v transport.Text) {
	if f[column] = v; v == "" {
		delete(f, column)
	}
}

// idColumn is the column that stands for a row of the table as well as its name does, or "".
func idColumn(t transport.Table) string {
	switch t {
	case transport.Users:
		return "uid"
	case transport.Groups:
		return "gid"
	}
	return ""
}

// predicted is the prediction for a key, a name or an id.
func (o *Overlay) predicted(t transport.Table, key transport.Text) (name transport.Text, p *prediction) {
	if p := o.rows[Key{t, string(key)}]; p != nil {
		return key, p
	}
	column := idColumn(t)
	if column == "" || id(key) < 0 {
		return "", nil
	}
	for k, p := range o.rows {
		if k.Table == t && !p.obj.Absent && p.obj.Fields[column] != "" && id(p.obj.Fields[column]) == id(key) {
			return transport.Text(k.Name), p
		}
	}
	return "", nil
}

func (o *Overlay) lookup(ctx context.Context, op transport.Lookup) (transport.Rows, error) {
	if len(op.Keys) == 0 {
		below, err := transport.Do[transport.Rows](ctx, o.below, op)
		return o.merged(op.Table, below), err
	}
	ask := transport.Lookup{Table: op.Table}
	for _, k := range op.Keys {
		if _, p := o.predicted(op.Table, k); p == nil {
			ask.Keys = append(ask.Keys, k)
		}
	}
	var below transport.Rows
	if len(ask.Keys) > 0 {
		var err error
		if below, err = transport.Do[transport.Rows](ctx, o.below, ask); err != nil {
			return below, err
		}
	}
	out := transport.Rows{Rows: []transport.Row{}}
	for _, k := range op.Keys {
		row, found, err := o.row(ctx, op.Table, k, below)
		if err != nil {
			return out, err
		}
		if found {
			out.Rows = append(out.Rows, row)
		}
	}
	return out, nil
}

// row is the row for a key, given what the host answered for the keys without a prediction.
func (o *Overlay) row(ctx context.Context, t transport.Table, k transport.Text, below transport.Rows) (row transport.Row, found bool, err error) {
	key := Key{t, string(k)}
	if name, p := o.predicted(t, k); p != nil {
		if p.obj.Absent {
			return row, false, o.missing(key, p.since)
		}
		return transport.Row{Key: name, Fields: p.obj.Fields}, true, nil
	}
	i := slices.IndexFunc(below.Rows, func(r transport.Row) bool {
		column := idColumn(t)
		return r.Key == k || column != "" && id(k) >= 0 && id(r.Fields[column]) == id(k)
	})
	if i >= 0 {
		row, found = below.Rows[i], true
		if p := o.rows[Key{t, string(row.Key)}]; p != nil { // by an id that it will no longer have
			return transport.Row{}, false, nil
		}
	}
	if t == transport.Units && (!found || row.Fields["load"] == "not-found") {
		f, err := o.unitFromFile(ctx, string(k))
		if err != nil {
			return row, false, err
		}
		if f != nil {
			return transport.Row{Key: k, Fields: f}, true, nil
		}
		if err := o.missing(key, 0); err != nil {
			return row, false, err
		}
		return row, found, nil
	}
	if !found {
		return row, false, o.missing(key, 0)
	}
	return row, true, nil
}

func (o *Overlay) merged(t transport.Table, below transport.Rows) transport.Rows {
	out := transport.Rows{Rows: []transport.Row{}}
	for _, r := range below.Rows {
		if o.rows[Key{t, string(r.Key)}] == nil {
			out.Rows = append(out.Rows, r)
		}
	}
	for k, p := range o.rows {
		if k.Table == t && !p.obj.Absent {
			out.Rows = append(out.Rows, transport.Row{Key: transport.Text(k.Name), Fields: p.obj.Fields})
		}
	}
	slices.SortFunc(out.Rows, func(a, b transport.Row) int { return strings.Compare(string(a.Key), string(b.Key)) })
	return out
}
