package builtins

import (
	"context"
	"fmt"
	"time"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

// serviceAction restarts or reloads a unit.
type serviceAction struct {
	systemctl
	on        handler
	settle    time.Duration
	reload    bool
	orRestart bool

	have map[string]transport.Text
	due  changes
	idle bool // the unit does not run, so that it reads everything when it starts
}

func (a *serviceAction) Name() string { return "unit:" + a.unit }

func (a *serviceAction) Needed(ctx context.Context, h transport.Host) (bool, string, error) {
	var err error
	if a.due, err = a.on.due(ctx, h); err != nil {
		return false, "", err
	}
	switch {
	case a.on.of == nil || len(a.due) > 0:
	case a.on.of.changed():
		return false, "it was loaded since with " + a.on.of.changes().names(), nil
	default:
		return false, "nothing in on= changed", nil
	}
	f, err := a.row(ctx, h)
	if err != nil {
		return false, "", err
	}
	a.have, a.idle = f, f["active"] == "inactive" || f["active"] == "failed"
	switch {
	case a.reload && f["active"] != "active" && f["active"] != "reloading":
		return false, "it does not run; it reads its configuration when it starts", nil
	case f["load"] == "masked":
		return false, "", a.masked()
	case a.reload && f["reload"] == "no" && !a.orRestart:
		return false, "", &transport.Error{
			Kind: transport.Unsupported, Message: fmt.Sprintf("%s cannot reload: its unit file has no ExecReload", a.unit),
			Hint: "service.restart restarts it; or_restart = True does so only where it cannot reload",
		}
	}
	return true, "", nil
}

func (a *serviceAction) Do(ctx context.Context, h transport.Host) error {
	verb := "restart"
	if a.reload && a.have["reload"] != "no" {
		verb = "reload"
	}
	if err := a.do(ctx, h, a.have, verb); err != nil {
		return err
	}
	if err := a.settled(ctx, h, a.settle); err != nil {
		return err
	}
	return a.on.save(ctx, h, a.on.loads())
}

// Pass keeps what on= names for the first time, and that a unit which does not run has nothing to reload. One on its way up or down may
// have read the old configuration: the next run reloads it.
func (a *serviceAction) Pass(ctx context.Context, h transport.Host) error {
	switch {
	case len(a.due) == 0:
		return a.on.save(ctx, h, a.on.meets())
	case a.idle:
		return a.on.save(ctx, h, a.on.loads())
	}
	return a.on.save(ctx, h, a.on.misses(a.due))
}

func (a *serviceAction) Effect() converge.Effect {
	return converge.Effect{
		Objects: []converge.Object{{Key: a.key(), Fields: map[string]transport.Text{"active": "active", "stale": "no"}}},
		Because: a.due.doubtful(),
	}
}

func (c *call) loadUnit(a *serviceAction, on changes) (starlark.Value, error) {
	a.on = handler{rt: c.Runtime, unit: a.unit, of: on, starts: !a.reload}
	ch, err := c.Session.Act(c.step, a)
	if err != nil {
		return nil, err
	}
	a.on.foresee(ch)
	return &Change{ch}, nil
}

func serviceRestart(c *call, a struct {
	serviceArgs
	On     changes       `arg:"on"`
	Settle time.Duration `arg:"settle"`
}) (starlark.Value, error) {
	s, err := c.systemctl(a.Name)
	if err != nil {
		return nil, err
	}
	return c.loadUnit(&serviceAction{systemctl: s, settle: a.Settle}, a.On)
}

func serviceReload(c *call, a struct {
	serviceArgs
	On        changes       `arg:"on"`
	OrRestart bool          `arg:"or_restart"`
	Settle    time.Duration `arg:"settle"`
}) (starlark.Value, error) {
	s, err := c.systemctl(a.Name)
	if err != nil {
		return nil, err
	}
	return c.loadUnit(&serviceAction{systemctl: s, settle: a.Settle, reload: true, orRestart: a.OrRestart}, a.On)
}
