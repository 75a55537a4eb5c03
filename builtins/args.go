package builtins

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"fabgo/transport"
)

// owner is a user or a group, by name or id; "" is none.
type owner transport.Text

// command is a command: a list is an argument vector, a string goes to /bin/sh -c.
type command struct {
	argv  []string
	text  string // as it was written, for output
	shell bool
}

func (c command) given() bool { return len(c.argv) > 0 }

// forFile is the command for a validation: the host puts the name of the new file for %s. A shell gets it as a parameter, so
// that no name can become a part of its program.
func (c command) forFile() []string {
	if !c.shell {
		return c.argv
	}
	script := strings.NewReplacer(`"%s"`, `"$1"`, `'%s'`, `"$1"`, `%s`, `"$1"`).Replace(c.text)
	return []string{"/bin/sh", "-c", script, "sh", "%s"}
}

// changes are the Changes that on= names; nil when it was not given.
type changes []*Change

// data is a content given in the bundle: a string or bytes; nil when it was not given.
type data *transport.Content

// common are the arguments that every changing builtin takes.
type common struct {
	Label string `arg:"label"`
}

type field struct {
	name  string
	index []int
}

// fieldsOf reads the plan of an argument struct: its fields with the tag arg:"name".
func fieldsOf(t reflect.Type) map[string]field {
	out := map[string]field{}
	for _, f := range reflect.VisibleFields(t) {
		if name := f.Tag.Get("arg"); name != "" {
			out[name] = field{name, f.Index}
		}
	}
	return out
}

// decode fills v from keyword arguments. None leaves a field at zero.
func (c *call) decode(plan map[string]field, v reflect.Value, kwargs []starlark.Tuple) error {
	for _, kv := range kwargs {
		name := string(kv[0].(starlark.String))
		f, ok := plan[name]
		if !ok {
			return fmt.Errorf("the prelude passes %q, which the native does not take", name)
		}
		if kv[1] == starlark.None {
			continue
		}
		if err := c.assign(v.FieldByIndex(f.index), kv[1]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if name == "label" {
			c.step.Label = v.FieldByIndex(f.index).String()
		}
	}
	return nil
}

func (c *call) assign(dst reflect.Value, v starlark.Value) error {
	switch p := dst.Addr().Interface().(type) {
	case *transport.Path:
		path, err := c.path(v)
		*p = path
		return err
	case *transport.Mode:
		m, err := modeOf(v)
		*p = m
		return err
	case *owner:
		o, err := ownerOf(v)
		*p = o
		return err
	case *time.Duration:
		d, err := durationOf(v)
		*p = d
		return err
	case *command:
		cmd, err := commandOf(v)
		*p = cmd
		return err
	case *[]string:
		list, err := stringsOf(v)
		*p = list
		return err
	case *map[string]string:
		m, err := stringMapOf(v)
		*p = m
		return err
	case *changes:
		ch, err := changesOf(v)
		*p = ch
		return err
	case *data:
		d, err := dataOf(v)
		*p = d
		return err
	case *starlark.Value:
		*p = v
		return nil
	case *starlark.Callable:
		fn, ok := v.(starlark.Callable)
		if !ok {
			return mismatch(v, "a function")
		}
		*p = fn
		return nil
	}
	return assignPlain(dst, v)
}

// assignPlain fills strings, flags and numbers, and pointers to them, whose nil means that the argument was not given.
func assignPlain(dst reflect.Value, v starlark.Value) error {
	switch dst.Kind() {
	case reflect.Pointer:
		dst.Set(reflect.New(dst.Type().Elem()))
		return assignPlain(dst.Elem(), v)
	case reflect.String:
		s, ok := starlark.AsString(v)
		if !ok {
			return mismatch(v, "a string")
		}
		dst.SetString(s)
	case reflect.Bool:
		b, ok := v.(starlark.Bool)
		if !ok {
			return mismatch(v, "True or False")
		}
		dst.SetBool(bool(b))
	case reflect.Int:
		i, ok := v.(starlark.Int)
		n, exact := i.Int64()
		if !ok || !exact {
			return mismatch(v, "a whole number")
		}
		dst.SetInt(n)
	default:
		panic(fmt.Sprintf("builtins: an argument field of type %s", dst.Type()))
	}
	return nil
}

func mismatch(v starlark.Value, want string) error {
	return fmt.Errorf("got %s %s, want %s", v.Type(), v, want)
}

// path reads an absolute path; through shell(cwd=) a relative one too.
func (c *call) path(v starlark.Value) (transport.Path, error) {
	s, ok := starlark.AsString(v)
	if !ok {
		return "", mismatch(v, "a path, as a string")
	}
	if s != "" && s[0] != '/' && c.bound.cwd != "" {
		s = string(c.bound.cwd) + "/" + s
	}
	return transport.NewPath(s)
}

func modeOf(v starlark.Value) (transport.Mode, error) {
	if i, ok := v.(starlark.Int); ok {
		return "", fmt.Errorf("got the number %s: a mode is a string such as \"0640\", since a number would be read as decimal", i)
	}
	s, ok := starlark.AsString(v)
	if !ok {
		return "", mismatch(v, "a string of octal digits such as \"0640\"")
	}
	return transport.ParseMode(s)
}

func ownerOf(v starlark.Value) (owner, error) {
	switch v := v.(type) {
	case starlark.Int:
		if n, ok := v.Int64(); ok && n >= 0 && n < math.MaxUint32 {
			return owner(strconv.FormatInt(n, 10)), nil
		}
	case starlark.String:
		if s := string(v); s != "" && !strings.ContainsAny(s, ":\n\x00/") {
			return owner(s), nil
		}
	}
	return "", mismatch(v, "a name or an id")
}

func durationOf(v starlark.Value) (time.Duration, error) {
	const want = "seconds as a number, or a text such as \"90s\", \"5m\", \"2h\", \"1d\""
	switch v := v.(type) {
	case starlark.Int, starlark.Float:
		if f, ok := starlark.AsFloat(v); ok && f >= 0 && f < 1e9 {
			return time.Duration(f * float64(time.Second)), nil
		}
	case starlark.String:
		s := string(v)
		if days, ok := strings.CutSuffix(s, "d"); ok {
			if n, err := strconv.ParseFloat(days, 64); err == nil && n >= 0 && n < 1e4 {
				return time.Duration(n * 24 * float64(time.Hour)), nil
			}
		}
		if d, err := time.ParseDuration(s); err == nil && d >= 0 {
			return d, nil
		}
	}
	return 0, mismatch(v, want)
}

func commandOf(v starlark.Value) (command, error) {
	if s, ok := starlark.AsString(v); ok {
		switch {
		case strings.TrimSpace(s) == "":
			return command{}, fmt.Errorf("the command is empty")
		case strings.IndexByte(s, 0) >= 0:
			return command{}, fmt.Errorf("the command holds a NUL byte")
		}
		return command{argv: []string{"/bin/sh", "-c", s}, text: s, shell: true}, nil
	}
	argv, err := stringsOf(v)
	if err != nil {
		return command{}, mismatch(v, "a list (the program and its arguments) or a string (for /bin/sh -c)")
	}
	if len(argv) == 0 || argv[0] == "" {
		return command{}, fmt.Errorf("the command is empty")
	}
	for _, a := range argv {
		if strings.IndexByte(a, 0) >= 0 {
			return command{}, fmt.Errorf("argument %q holds a NUL byte", a)
		}
	}
	return command{argv: argv, text: strings.Join(argv, " ")}, nil
}

// stringsOf reads a list or tuple of strings; numbers in it are written as digits. One string is a list of one.
func stringsOf(v starlark.Value) ([]string, error) {
	if s, ok := starlark.AsString(v); ok {
		return []string{s}, nil
	}
	it, ok := v.(starlark.Iterable)
	if _, isDict := v.(starlark.IterableMapping); !ok || isDict {
		return nil, mismatch(v, "a list of strings")
	}
	out := []string{}
	iter := it.Iterate()
	defer iter.Done()
	for x := starlark.Value(nil); iter.Next(&x); {
		switch x := x.(type) {
		case starlark.String:
			out = append(out, string(x))
		case starlark.Int:
			out = append(out, x.String())
		case *starlark.List, starlark.Tuple: // names given as varargs and as a list
			inner, err := stringsOf(x)
			if err != nil {
				return nil, err
			}
			out = append(out, inner...)
		default:
			return nil, fmt.Errorf("got %s %s in the list, want strings", x.Type(), x)
		}
	}
	return out, nil
}

func stringMapOf(v starlark.Value) (map[string]string, error) {
	d, ok := v.(starlark.IterableMapping)
	if !ok {
		return nil, mismatch(v, "a dict")
	}
	out := map[string]string{}
	for _, kv := range d.Items() {
		k, ok := starlark.AsString(kv[0])
		if !ok {
			return nil, fmt.Errorf("key %s is not a string", kv[0])
		}
		switch x := kv[1].(type) {
		case starlark.String:
			out[k] = string(x)
		case starlark.Int, starlark.Float:
			out[k] = x.String()
		default:
			return nil, fmt.Errorf("%s: %w", k, mismatch(x, "a string or a number"))
		}
	}
	return out, nil
}

func changesOf(v starlark.Value) (changes, error) {
	out := changes{}
	add := func(v starlark.Value) error {
		ch, ok := v.(*Change)
		if !ok {
			return mismatch(v, "what a changing builtin returned, or a list of such")
		}
		out = append(out, ch)
		return nil
	}
	it, ok := v.(starlark.Iterable)
	if !ok {
		return out, add(v)
	}
	iter := it.Iterate()
	defer iter.Done()
	for x := starlark.Value(nil); iter.Next(&x); {
		if x == starlark.None { // a step that a condition left out
			continue
		}
		if err := add(x); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func dataOf(v starlark.Value) (data, error) {
	var c transport.Content
	switch v := v.(type) {
	case starlark.String:
		c = transport.String(string(v))
	case starlark.Bytes:
		c = transport.String(string(v))
	default:
		return nil, mismatch(v, "a string")
	}
	return &c, nil
}
