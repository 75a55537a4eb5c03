package interp

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Task is a public top-level function of a bundle, as it can be called from the command line.
type Task struct {
	Signature
	Default bool // what runs when no task is named
}

// defaultTasks is tried in order when no task is named.
var defaultTasks = []string{"bootstrap_all", "main"}

// Tasks is the tasks of the bundle in the order of the text. The bundle is not run.
func (b *Bundle) Tasks() []Task {
	var tasks []Task
	text := newSourceText(b.main.src)
	for _, def := range publicDefs(b.main.ast) {
		tasks = append(tasks, Task{Signature: signatureOf("", def, text)})
	}
	for _, name := range defaultTasks {
		if i := slices.IndexFunc(tasks, func(t Task) bool { return t.Name == name }); i >= 0 {
			tasks[i].Default = true
			break
		}
	}
	return tasks
}

// TaskCall is a task with the arguments it was given on the command line, as text.
type TaskCall struct {
	Task Task
	Args []TaskArg
}

// TaskArg is one name=value.
type TaskArg struct{ Name, Value string }

// ParseTasks reads the words after the bundle on the command line: names of tasks, each followed by its name=value
// arguments. Without a name the default task runs; a plain script, which has none, gives no calls, and may get no
// arguments. Names may be written with dashes. Everything that can be told without running the bundle is: unknown tasks
// and arguments, missing ones, and values that do not fit a literal default.
func (b *Bundle) ParseTasks(words []string) ([]TaskCall, error) {
	tasks := b.Tasks()
	var calls []TaskCall
	for i, word := range words {
		name, value, isArg := strings.Cut(word, "=")
		switch {
		case !isArg:
			t, err := b.findTask(tasks, word)
			if err != nil {
				return nil, err
			}
			calls = append(calls, TaskCall{Task: t})
			continue
		case i == 0:
			t := slices.IndexFunc(tasks, func(t Task) bool { return t.Default })
			if t < 0 {
				return nil, fmt.Errorf("%s: the argument %s has no task to go to%s", b.Display(), word, taskList(tasks))
			}
			calls = append(calls, TaskCall{Task: tasks[t]})
		}
		call := &calls[len(calls)-1]
		if err := call.add(name, value); err != nil {
			return nil, fmt.Errorf("%s: %w", b.Display(), err)
		}
	}
	if len(words) == 0 {
		for _, t := range tasks {
			if t.Default {
				calls = append(calls, TaskCall{Task: t})
			}
		}
	}
	for _, c := range calls {
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", b.Display(), err)
		}
	}
	return calls, nil
}

func (b *Bundle) findTask(tasks []Task, word string) (Task, error) {
	name := strings.ReplaceAll(word, "-", "_")
	names := make([]string, len(tasks))
	for i, t := range tasks {
		if t.Name == name || t.Name == word {
			return t, nil
		}
		names[i] = t.Name
	}
	return Task{}, fmt.Errorf("%s has no task %q%s%s", b.Display(), word, didYouMean(name, names), taskList(tasks))
}

func taskList(tasks []Task) string {
	if len(tasks) == 0 {
		return "; it has no tasks, only a top level"
	}
	names := make([]string, len(tasks))
	for i, t := range tasks {
		names[i] = t.Name
	}
	return "; its tasks: " + strings.Join(names, ", ")
}

// add takes one argument. Dashes count as underscores here too.
func (c *TaskCall) add(name, value string) error {
	name = strings.ReplaceAll(name, "-", "_")
	var names []string
	open, known := false, false
	for _, p := range c.Task.Params {
		switch p.Kind {
		case KwArgs:
			open = true
		case Positional, KeywordOnly:
			names = append(names, p.Name)
			known = known || p.Name == name
		}
	}
	if !known && (!open || !isWord(name)) {
		has := "; it takes " + strings.Join(names, ", ")
		if len(names) == 0 {
			has = "; it takes none"
		}
		return fmt.Errorf("task %s: unknown argument %q%s%s", c.Task.Name, name, didYouMean(name, names), has)
	}
	if slices.ContainsFunc(c.Args, func(a TaskArg) bool { return a.Name == name }) {
		return fmt.Errorf("task %s: argument %q is given twice", c.Task.Name, name)
	}
	c.Args = append(c.Args, TaskArg{name, value})
	return nil
}

// check reports missing arguments, and values that do not fit a default that is written out in the def.
func (c *TaskCall) check() error {
	var missing []string
	for _, p := range c.Task.Params {
		i := slices.IndexFunc(c.Args, func(a TaskArg) bool { return a.Name == p.Name })
		if i < 0 {
			if p.Required {
				missing = append(missing, p.Name)
			}
			continue
		}
		if dflt := literalValue(p.Default); dflt != nil {
			if _, err := ParseLike(c.Args[i].Value, dflt); err != nil {
				return fmt.Errorf("task %s: argument %s: %w", c.Task.Name, p.Name, err)
			}
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("task %s: missing %s %s (write %s=...)", c.Task.Name, plural(len(missing), "argument"), quoteAll(missing), missing[0])
	}
	return nil
}

// literalValue is the value of a default that is a plain literal, or nil.
func literalValue(src string) starlark.Value {
	if src == "" || len(src) > 1000 {
		return nil
	}
	expr, err := fileOptions().ParseExpr("default", src, 0)
	if err != nil {
		return nil
	}
	var eval func(e syntax.Expr) starlark.Value
	eval = func(e syntax.Expr) starlark.Value {
		switch e := e.(type) {
		case *syntax.Literal:
			switch v := e.Value.(type) {
			case string:
				return starlark.String(v)
			case int64:
				return starlark.MakeInt64(v)
			case float64:
				return starlark.Float(v)
			}
		case *syntax.Ident:
			switch e.Name {
			case "True", "False":
				return starlark.Bool(e.Name == "True")
			}
		case *syntax.ListExpr:
			var elems []starlark.Value
			for _, x := range e.List {
				v := eval(x)
				if v == nil {
					return nil
				}
				elems = append(elems, v)
			}
			return starlark.NewList(elems)
		}
		return nil
	}
	return eval(expr)
}

// Run calls a task with its arguments. Each takes the type of its parameter's default: bool, int, float, list (of the
// type of the default's first element); a string otherwise.
func (i *Instance) Run(c TaskCall) (starlark.Value, error) {
	fn, ok := i.globals[c.Task.Name].(*starlark.Function)
	if !ok {
		return nil, fmt.Errorf("%s: %q is no task any more: the top level assigned it something else", i.bundle.Display(), c.Task.Name)
	}
	var kwargs []starlark.Tuple
	for _, a := range c.Args {
		v, err := ParseLike(a.Value, defaultOf(fn, a.Name))
		if err != nil {
			return nil, fmt.Errorf("%s: task %s: argument %s: %w", i.bundle.Display(), c.Task.Name, a.Name, err)
		}
		kwargs = append(kwargs, starlark.Tuple{starlark.String(a.Name), v})
	}
	return i.CallValue(fn, nil, kwargs)
}

// defaultOf is the value of a parameter's default, or nil.
func defaultOf(fn *starlark.Function, name string) starlark.Value {
	for i := range fn.NumParams() {
		if n, _ := fn.Param(i); n == name {
			return fn.ParamDefault(i)
		}
	}
	return nil
}

// ParseLike reads a text from the command line as a value of the type of dflt: bool, number, comma-separated list, else
// string. It is how arguments of tasks and variables become values.
func ParseLike(text string, dflt starlark.Value) (starlark.Value, error) {
	switch d := dflt.(type) {
	case starlark.Bool:
		switch strings.ToLower(text) {
		case "true", "yes", "on", "1":
			return starlark.True, nil
		case "false", "no", "off", "0":
			return starlark.False, nil
		}
		return nil, fmt.Errorf("%q is not a bool (true or false, yes or no, on or off, 1 or 0)", text)
	case starlark.Int:
		// Base 10 first: 007 is seven. Then 0x1f, 0o644 and 0b1.
		t := strings.TrimSpace(text)
		n, err := strconv.ParseInt(t, 10, 64)
		if err != nil {
			n, err = strconv.ParseInt(t, 0, 64)
		}
		if err != nil {
			return nil, fmt.Errorf("%q is not a whole number", text)
		}
		return starlark.MakeInt64(n), nil
	case starlark.Float:
		f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("%q is not a number", text)
		}
		return starlark.Float(f), nil
	case *starlark.List:
		var elem starlark.Value
		if d.Len() > 0 {
			elem = d.Index(0)
		}
		values, err := parseList(text, elem)
		return starlark.NewList(values), err
	case starlark.Tuple:
		var elem starlark.Value
		if len(d) > 0 {
			elem = d[0]
		}
		values, err := parseList(text, elem)
		return starlark.Tuple(values), err
	case starlark.String, starlark.NoneType, nil:
		return starlark.String(text), nil
	default:
		return nil, fmt.Errorf("a %s cannot be given on the command line", dflt.Type())
	}
}

// parseList reads comma-separated elements; blanks around them do not count, and nothing at all is the empty list.
func parseList(text string, elem starlark.Value) ([]starlark.Value, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	switch elem.(type) {
	case *starlark.List, starlark.Tuple:
		return nil, fmt.Errorf("a list of lists cannot be given on the command line")
	}
	var values []starlark.Value
	for _, word := range strings.Split(text, ",") {
		v, err := ParseLike(strings.TrimSpace(word), elem)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}
