package builtins

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/internal/journal"
	"fabgo/transport"
)

// setting is how a command is run: what run, query and the guards have in common.
type setting struct {
	User    owner             `arg:"user"`
	Cwd     transport.Path    `arg:"cwd"`
	Env     map[string]string `arg:"env"`
	Stdin   data              `arg:"stdin"`
	Timeout time.Duration     `arg:"timeout"`
	Login   bool              `arg:"login"`
	OKCodes starlark.Value    `arg:"ok_codes"`
	Check   bool              `arg:"check"`
}

type runArgs struct {
	common
	setting
	Command command        `arg:"command"`
	Creates transport.Path `arg:"creates"`
	Removes transport.Path `arg:"removes"`
	Unless  command        `arg:"unless"`
	OnlyIf  command        `arg:"only_if"`
	Asked   data           `arg:"guard_stdin"`
	On      changes        `arg:"on"`
}

type queryArgs struct {
	common
	setting
	Command command `arg:"command"`
}

// exec is the op of a command in this setting.
func (c *call) exec(cmd command, s setting) transport.Exec {
	op := transport.Exec{Argv: transport.Texts(cmd.argv...), User: transport.Text(s.User), Dir: s.Cwd, Login: s.Login, Timeout: s.Timeout}
	if op.User == "" {
		op.User = c.bound.user
	}
	if op.Dir == "" {
		op.Dir = c.bound.cwd
	}
	env := maps.Clone(c.bound.env)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, s.Env)
	for k, v := range env {
		if op.Env == nil {
			op.Env = map[string]transport.Text{}
		}
		op.Env[k] = transport.Text(v)
	}
	if s.Stdin != nil {
		op.Stdin = s.Stdin
	}
	return op
}

func okCodes(v starlark.Value) ([]int, error) {
	if v == nil {
		return []int{0}, nil
	}
	it, ok := v.(starlark.Iterable)
	if !ok {
		it = starlark.Tuple{v}
	}
	var out []int
	iter := it.Iterate()
	defer iter.Done()
	for x := starlark.Value(nil); iter.Next(&x); {
		n, err := starlark.AsInt32(x)
		if err != nil || n < 0 || n > 255 {
			return nil, fmt.Errorf("ok_codes: got %s %s, want exit codes from 0 to 255", x.Type(), x)
		}
		out = append(out, n)
	}
	return out, nil
}

func checkEnv(env map[string]string) error {
	for k := range env {
		if k == "" || strings.ContainsAny(k, "=\x00") {
			return fmt.Errorf("env: %q is no name of a variable", k)
		}
	}
	return nil
}

// commandAction is a run.
type commandAction struct {
	call  *call
	args  runArgs
	codes []int
	out   transport.Output
	ran   bool
}

func (a *commandAction) Name() string { return "run:" + a.args.Command.text }

func (a *commandAction) Needed(ctx context.Context, h transport.Host) (bool, string, error) {
	if a.args.On != nil && !a.args.On.changed() {
		return false, "nothing in on= changed", nil
	}
	for _, g := range []struct {
		path  transport.Path
		there bool
	}{{a.args.Creates, true}, {a.args.Removes, false}} {
		if g.path == "" {
			continue
		}
		fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: g.path, Follow: true})
		if err != nil {
			return false, "", err
		}
		if (fi.Type != transport.Absent) == g.there {
			if g.there {
				return false, fmt.Sprintf("creates: %s is there", g.path), nil
			}
			return false, fmt.Sprintf("removes: %s is not there", g.path), nil
		}
	}
	for _, g := range []struct {
		cmd  command
		want bool
		name string
	}{{a.args.Unless, false, "unless"}, {a.args.OnlyIf, true, "only_if"}} {
		if !g.cmd.given() {
			continue
		}
		s := a.args.setting
		s.Stdin = a.args.Asked
		out, err := transport.Do[transport.Output](ctx, h, a.call.exec(g.cmd, s))
		if err != nil {
			return false, "", fmt.Errorf("%s: %w", g.name, err)
		}
		if (out.Code == 0) != g.want {
			return false, fmt.Sprintf("%s: %s exits with %d", g.name, g.cmd.text, out.Code), nil
		}
	}
	return true, "", nil
}

func (a *commandAction) Do(ctx context.Context, h transport.Host) error {
	op := a.call.exec(a.args.Command, a.args.setting)
	op.Change = true
	out, err := transport.Do[transport.Output](ctx, h, op)
	if err != nil {
		return err
	}
	a.out, a.ran = out, true
	if a.args.Check && !slices.Contains(a.codes, out.Code) {
		return &converge.CommandError{Argv: a.args.Command.argv, Output: out}
	}
	return nil
}

func (a *commandAction) Effect() converge.Effect {
	return converge.Effect{Opaque: true, Because: a.args.On.doubt()}
}

// changed reports whether any of the changes happened, or may.
func (cs changes) changed() bool {
	return slices.ContainsFunc(cs, func(c *Change) bool { return c.Changed })
}

// changes are those that happened, or may.
func (cs changes) changes() changes {
	return slices.DeleteFunc(slices.Clone(cs), func(c *Change) bool { return !c.Changed })
}

// doubt says why it is uncertain that any of them did, or "".
func (cs changes) doubt() string {
	why := ""
	for _, c := range cs {
		switch {
		case c.Changed && c.Status != journal.Unknown:
			return ""
		case c.Changed && why == "":
			why = fmt.Sprintf("whether %s changes is unknown", c.Resource)
		}
	}
	return why
}

func runCommand(c *call, a runArgs) (starlark.Value, error) {
	codes, err := okCodes(a.OKCodes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	if err := checkEnv(a.Env); err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	if a.Asked != nil && !a.Unless.given() && !a.OnlyIf.given() {
		return nil, fmt.Errorf("%s: guard_stdin is the input of unless or only_if, and neither is given: the input of the command itself is stdin", c.name)
	}
	act := &commandAction{call: c, args: a, codes: codes}
	ch, err := c.Session.Act(c.step, act)
	if err != nil {
		return nil, err
	}
	r := &Result{out: act.out, ran: act.ran, change: &ch, ok: !act.ran || slices.Contains(codes, act.out.Code)}
	if ch.Status == journal.Skipped || act.ran {
		return r, nil
	}
	r.unknown = &converge.Unknown{What: "the output of " + a.Command.text, Cause: converge.Cause{Step: ch.Step, What: "run", Pos: c.step.Pos}}
	if !a.Check {
		r.doubt = func() { c.stop(r.unknown) }
	}
	return r, nil
}

func queryCommand(c *call, a queryArgs) (starlark.Value, error) {
	codes, err := okCodes(a.OKCodes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	if err := checkEnv(a.Env); err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	r := &Result{ran: true}
	err = c.Session.Observe(c.step, "query:"+a.Command.text, func(ctx context.Context, h transport.Host) error {
		out, err := transport.Do[transport.Output](ctx, h, c.exec(a.Command, a.setting))
		if u := unknown(err); u != nil {
			r.unknown = u
			return nil
		}
		if err != nil {
			return err
		}
		r.out, r.ok = out, slices.Contains(codes, out.Code)
		if a.Check && !r.ok {
			return &converge.CommandError{Argv: a.Command.argv, Output: out}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if r.unknown != nil {
		r.ok = true
		if !a.Check {
			r.doubt = func() { c.stop(r.unknown) }
		}
	}
	return r, nil
}
