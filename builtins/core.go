package builtins

import (
	"errors"
	"fmt"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"fabgo/internal/converge"
	"fabgo/interp"
)

func coreNatives() starlark.StringDict {
	return merge(
		native("run", runCommand),
		native("query", queryCommand),
		native("note", note),
		native("attempt", attempt),
		native("retry", retry),
		native("at_end", atEnd),
		native("shell", shell),
		native("var", variable),
		native("secret", secret),
	)
}

func note(c *call, a struct {
	Text string `arg:"text"`
}) (starlark.Value, error) {
	return starlark.None, c.Session.Note(a.Text, c.step.Pos)
}

type attemptArgs struct {
	Fn     starlark.Callable `arg:"fn"`
	Args   starlark.Value    `arg:"args"`
	KwArgs starlark.Value    `arg:"kwargs"`
}

// invoke calls the function that a bundle hands to attempt or retry.
func (c *call) invoke(a attemptArgs) (starlark.Value, error) {
	args, _ := a.Args.(starlark.Tuple)
	var kwargs []starlark.Tuple
	if d, ok := a.KwArgs.(*starlark.Dict); ok {
		kwargs = d.Items()
	}
	return starlark.Call(c.thread, a.Fn, args, kwargs)
}

// attemptable reports whether an error is one that a bundle may hold: a step that failed, or its own fail(), while the evaluation may go
// on at all.
func (c *call) attemptable(err error) bool {
	if c.Stopped() != nil || interp.Stopped(c.thread) != nil {
		return false
	}
	_, failed := errors.AsType[*interp.FailError](err)
	return failed || converge.ErrAttemptable(err)
}

func attempt(c *call, a attemptArgs) (starlark.Value, error) {
	v, err := c.invoke(a)
	if err == nil {
		return outcome(v, ""), nil
	}
	if !c.attemptable(err) {
		return nil, err
	}
	msg := cause(err)
	c.Session.Forgive()
	if err := c.Session.Note("attempt: "+msg+"; going on", c.step.Pos); err != nil {
		return nil, err
	}
	return outcome(starlark.None, msg), nil
}

// cause is the message of an attemptable error without the interpreter's wrapping.
func cause(err error) string {
	if e, ok := errors.AsType[*converge.StepError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[*interp.FailError](err); ok {
		return e.Error()
	}
	return err.Error()
}

func outcome(v starlark.Value, msg string) starlark.Value {
	return starlarkstruct.FromStringDict(starlark.String("outcome"), starlark.StringDict{
		"ok": starlark.Bool(msg == ""), "value": v, "error": starlark.String(msg),
	})
}

func retry(c *call, a struct {
	attemptArgs
	Times int           `arg:"times"`
	Delay time.Duration `arg:"delay"`
}) (starlark.Value, error) {
	if a.Times < 1 || a.Times > 1000 {
		return nil, fmt.Errorf("retry: times: got %d, want 1 to 1000", a.Times)
	}
	for n := 1; ; n++ {
		v, err := c.invoke(a.attemptArgs)
		if err == nil || n == a.Times || !c.attemptable(err) {
			return v, err
		}
		c.Session.Forgive()
		if err := c.Session.Note(fmt.Sprintf("retry: try %d of %d: %s; again in %s", n, a.Times, cause(err), a.Delay), c.step.Pos); err != nil {
			return nil, err
		}
		if c.Sleep != nil {
			if err := c.Sleep(a.Delay); err != nil {
				return nil, err
			}
		}
	}
}

func atEnd(c *call, a struct {
	Fn starlark.Callable `arg:"fn"`
}) (starlark.Value, error) {
	for _, f := range c.ends {
		if same, err := starlark.Equal(f, a.Fn); err == nil && same {
			return starlark.None, nil
		}
	}
	c.ends = append(c.ends, a.Fn)
	return starlark.None, nil
}

func variable(c *call, a struct {
	Name    string         `arg:"name"`
	Default starlark.Value `arg:"default"`
	Given   bool           `arg:"has_default"`
}) (starlark.Value, error) {
	v, ok := c.Vars[a.Name]
	switch {
	case ok:
		return typedLike(v, a.Default, "var "+a.Name)
	case !a.Given:
		return nil, fmt.Errorf("variable %q is not set and has no default: --set %s=VALUE sets it, or a file in vars/", a.Name, a.Name)
	case a.Default == nil:
		return starlark.None, nil
	}
	return a.Default, nil
}

// typedLike gives a value that came as text (from --set) the type of its default.
func typedLike(v, like starlark.Value, what string) (starlark.Value, error) {
	s, ok := v.(starlark.String)
	if _, text := like.(starlark.String); !ok || like == nil || text {
		return v, nil
	}
	out, err := interp.ParseLike(string(s), like)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return out, nil
}
