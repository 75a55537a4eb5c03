package builtins

import (
	"context"
	"slices"
	"time"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

// runningUnit is a unit that runs, and, with on=, runs with what the named steps left.
type runningUnit struct {
	systemctl
	on     handler
	settle time.Duration
}

func (r *runningUnit) Name() string { return "unit:" + r.unit }

// loadedTable holds, for the output and for the later steps of a plan, as of which steps a unit runs.
const loadedTable transport.Table = "loaded"

func (r *runningUnit) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	f, err := r.row(ctx, h)
	if err != nil && converge.CauseOf(err) == nil {
		return nil, err
	}
	if f["load"] == "masked" {
		return nil, r.masked()
	}
	want := []converge.Object{{Key: r.key(), Fields: map[string]transport.Text{"active": "active"}}}
	if len(r.on.of) > 0 {
		want = append(want, converge.Object{
			Key:    converge.Key{Table: loadedTable, Name: r.unit + " as of step " + r.on.of.steps()},
			Fields: map[string]transport.Text{"state": "current"},
		})
	}
	return want, nil
}

// Probe finds a unit that does not run current: it reads everything when it starts.
func (r *runningUnit) Probe(ctx context.Context, h transport.Host, want []converge.Object) ([]converge.Object, error) {
	have, err := converge.Find(ctx, h, want[:1])
	if err != nil || len(want) == 1 {
		return have, err
	}
	due, err := r.on.due(ctx, h)
	if err != nil {
		return nil, err
	}
	state := converge.Object{Key: want[1].Key, Fields: want[1].Fields}
	if active := have[0].Fields["active"]; len(due) > 0 && active != "inactive" && active != "failed" {
		state.Fields = map[string]transport.Text{"state": transport.Text("older than " + due.names())}
	}
	return append(have, state), nil
}

func (r *runningUnit) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	f, err := r.row(ctx, h)
	if err != nil {
		return err
	}
	verb := "start"
	if slices.ContainsFunc(delta, func(p converge.Pair) bool { return p.Want.Key.Table == loadedTable }) { // it does run
		verb = "restart"
	}
	if err := r.do(ctx, h, f, verb); err != nil {
		return err
	}
	if err := r.settled(ctx, h, r.settle); err != nil {
		return err
	}
	return r.on.save(ctx, h, r.on.loads())
}

// Pass keeps what on= names for the first time.
func (r *runningUnit) Pass(ctx context.Context, h transport.Host) error {
	return r.on.save(ctx, h, r.on.meets())
}

func serviceRunning(c *call, a struct {
	serviceArgs
	On     changes       `arg:"on"`
	Settle time.Duration `arg:"settle"`
}) (starlark.Value, error) {
	s, err := c.systemctl(a.Name)
	if err != nil {
		return nil, err
	}
	r := &runningUnit{systemctl: s, on: handler{rt: c.Runtime, unit: s.unit, of: a.On, starts: true}, settle: a.Settle}
	ch, err := c.Session.Converge(c.step, r)
	if err != nil {
		return nil, err
	}
	r.on.foresee(ch)
	return &Change{ch}, nil
}
