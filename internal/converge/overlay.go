package converge

import (
	"context"

	"fabgo/transport"
)

// Overlay is a host as it would be after the steps of a plan: a Host that answers from predictions where there are any, else from
// the host below. No changing op passes it. It is used from one goroutine at a time.
type Overlay struct {
	below  transport.Host
	acting transport.Text // the user that new files belong to

	top   *place // the predicted files, by canonical path
	seen  map[transport.Path]transport.FileInfo
	rows  map[Key]*prediction
	names map[Key]account // accounts that owners of files were looked up in
	dark  []opaque
	last  *Cause // the last step that predicted a change
}

// prediction is a state that a step would bring about.
type prediction struct {
	obj   Object
	by    Cause
	since int // how many opaque changes came before it: only later ones can undo an absence
}

// NewOverlay lays an empty overlay over a host on which ops act as a user.
func NewOverlay(h transport.Host, acting string) *Overlay {
	return &Overlay{
		below: transport.ReadOnly(h), acting: transport.Text(acting), top: &place{},
		seen: map[transport.Path]transport.FileInfo{}, rows: map[Key]*prediction{}, names: map[Key]account{},
	}
}

// Put predicts a state that a step would bring about.
func (o *Overlay) Put(ctx context.Context, obj Object, by Cause) error {
	o.last = &by
	if obj.Key.Table == FileTable {
		return o.putFile(ctx, obj, by)
	}
	return o.putRow(ctx, obj, by)
}

// Darken says that a step would do what cannot be predicted.
func (o *Overlay) Darken(s Scope, by Cause) {
	o.last = &by
	o.dark = append(o.dark, opaque{s, by})
}

// missing is nil when what was absent after the first opaque changes is surely absent still, else why it is unknown.
func (o *Overlay) missing(k Key, since int) error {
	for i := len(o.dark) - 1; i >= since; i-- {
		if d := o.dark[i]; d.scope.covers(k) {
			return &Unknown{What: k.String(), Cause: d.cause}
		}
	}
	return nil
}

// Do answers an op.
func (o *Overlay) Do(ctx context.Context, op transport.Op) (transport.Result, error) {
	if o.last == nil { // nothing is predicted yet
		return o.below.Do(ctx, op)
	}
	switch op := op.(type) {
	case transport.Stat:
		return answer(o.stat(ctx, op))
	case transport.List:
		return answer(o.list(ctx, op))
	case transport.Read:
		return answer(o.read(ctx, op))
	case transport.Lookup:
		return answer(o.lookup(ctx, op))
	case transport.Exec:
		return o.exec(ctx, op)
	}
	return o.below.Do(ctx, op) // Ask; changing ops are refused there
}

func answer[R transport.Result](r R, err error) (transport.Result, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}

// exec runs an observing command on the real host. It cannot see what is only predicted, so its failure says nothing once
// something is.
func (o *Overlay) exec(ctx context.Context, op transport.Exec) (transport.Result, error) {
	res, err := o.below.Do(ctx, op)
	if op.Change {
		return res, err
	}
	if out, ok := res.(transport.Output); ok && err == nil && out.Code == 0 {
		return res, nil
	}
	switch transport.KindOf(err) {
	case "", transport.NotFound, transport.Denied, transport.Refused:
		return nil, &Unknown{What: "the outcome of " + commandLine(strs(op.Argv)), Cause: o.suspect(op)}
	}
	return nil, err
}

// suspect is the likeliest reason for which a command fails in a plan: its user or its folder are still to be made, else the last
// opaque change, else the last change.
func (o *Overlay) suspect(op transport.Exec) Cause {
	if p := o.rows[Key{transport.Users, string(op.User)}]; p != nil && op.User != "" {
		return p.by
	}
	if n := o.top.find(op.Dir); op.Dir != "" && n != nil && n.pred != nil {
		return n.pred.by
	}
	if n := len(o.dark); n > 0 {
		return o.dark[n-1].cause
	}
	return *o.last
}

func strs(ts []transport.Text) []string {
	out := make([]string, len(ts))
	for i, t := range ts {
		out[i] = string(t)
	}
	return out
}
