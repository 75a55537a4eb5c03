package builtins

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"
)

type cronVariableArgs struct {
	common
	Name   string  `arg:"name"`
	Value  *string `arg:"value"`
	User   owner   `arg:"user"`
	Absent bool    `arg:"absent"`
}

func (a *cronVariableArgs) check() error {
	if a.User == "" {
		a.User = "root"
	}
	switch {
	case !variableName().MatchString(a.Name):
		return fmt.Errorf("name: %q is no name of a variable", a.Name)
	case a.Absent == (a.Value != nil):
		return fmt.Errorf("give value, or absent = True")
	case a.Value != nil && strings.Contains(*a.Value, `"`) && strings.Contains(*a.Value, "'"):
		return fmt.Errorf("value: %q holds both kinds of quotes, which a crontab cannot", *a.Value)
	case a.Value != nil:
		if err := oneLine("value", *a.Value); err != nil {
			return err
		}
	}
	return accountName("user", string(a.User))
}

// cronVariableLine writes a variable so that cron takes blanks at its ends.
func cronVariableLine(name, value string) string {
	q := `"`
	if strings.Contains(value, q) {
		q = "'"
	}
	return name + "=" + q + value + q
}

// isCronVariable reports whether a line of a crontab sets the variable.
func isCronVariable(line, name string) bool {
	k, _, ok := strings.Cut(line, "=")
	return ok && strings.Trim(k, " \t\"'") == name
}

func cronVariable(c *call, a cronVariableArgs) (starlark.Value, error) {
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("cron.variable: %w", err)
	}
	at := crontab{user: string(a.User), make: !a.Absent}
	return c.converge(at.edited("cron:"+string(a.User)+"/"+a.Name, func(l *lines) error {
		there, mark := false, 0
		for i := 0; i < len(l.text); i++ {
			t := strings.TrimSpace(l.text[i])
			switch {
			case strings.HasPrefix(t, "#") && i == mark && !strings.HasPrefix(t, cronMark("")) && !strings.HasPrefix(t, ansibleMark):
				mark = i + 1 // the comments at the top
			case !isCronVariable(t, a.Name):
			case there || a.Absent:
				l.remove(i, i+1)
				i--
			default:
				there = true
				if line := cronVariableLine(a.Name, *a.Value); t != line && t != a.Name+"="+*a.Value {
					l.set(i, line)
				}
			}
		}
		if !there && !a.Absent { // it holds for what stands below it
			l.insert(mark, cronVariableLine(a.Name, *a.Value))
		}
		return nil
	}))
}
