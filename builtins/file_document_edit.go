package builtins

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"go.starlark.net/starlark"
)

// documentEdit is what a document is to hold, or not to hold.
type documentEdit struct {
	path            []any
	value           starlark.Value
	tree            any
	element, absent bool
}

// documentChange is one change of the text.
type documentChange struct {
	op    documentOp
	at    []any // the value that is replaced or removed, or the list or object that gets one more
	key   string
	value starlark.Value
}

type documentOp int

const (
	replaceValue documentOp = iota
	removeValue
	addMember  // to an object
	addElement // to a list, at its end
)

// apply changes the text, and holds the result against the document that is wanted.
func (e *documentEdit) apply(old []byte, format documentFormat) ([]byte, error) {
	root, err := format.parse(old)
	if err != nil {
		return nil, err
	}
	changes, wanted, err := e.resolve(root)
	if err != nil {
		return nil, err
	}
	now := old
	for _, ch := range changes {
		if now, err = format.change(now, ch); err != nil {
			return nil, err
		}
	}
	if len(changes) == 0 {
		return old, nil
	}
	got, err := format.parse(now)
	if err != nil {
		return nil, fmt.Errorf("the edit would break the file, which is left as it is: %w", err)
	}
	if !reflect.DeepEqual(got, wanted) {
		return nil, fmt.Errorf("the edit of %s would change more than that in this file, which is left as it is: write the part around it in another style, or use file.template", pathText(e.path))
	}
	return now, nil
}

// resolve finds what is to be changed and what the document is then.
func (e *documentEdit) resolve(root any) ([]documentChange, any, error) {
	at, rest, err := e.walk(root)
	if err != nil {
		return nil, nil, err
	}
	node := lookup(root, at)
	if len(rest) > 0 {
		if e.absent {
			return nil, root, nil
		}
		return e.add(root, at, rest, node)
	}
	switch list, isList := node.([]any); {
	case e.element && e.absent && node == nil:
		return nil, root, nil
	case e.element && !isList && node != nil:
		return nil, nil, fmt.Errorf("%s is %s, not a list, so it has no elements", pathText(at), kindOf(node))
	case e.element && e.absent:
		var changes []documentChange
		for i, x := range slices.Backward(list) {
			if reflect.DeepEqual(x, e.tree) {
				changes = append(changes, documentChange{op: removeValue, at: append(slices.Clone(at), i)})
			}
		}
		kept := slices.DeleteFunc(slices.Clone(list), func(x any) bool { return reflect.DeepEqual(x, e.tree) })
		return changes, with(root, at, func(any) any { return kept }), nil
	case e.element && node == nil:
		return []documentChange{{op: replaceValue, at: at, value: starlark.NewList([]starlark.Value{e.value})}}, with(root, at, func(any) any { return []any{e.tree} }), nil
	case e.element && slices.ContainsFunc(list, func(x any) bool { return reflect.DeepEqual(x, e.tree) }):
		return nil, root, nil
	case e.element:
		return []documentChange{{op: addElement, at: at, value: e.value}}, with(root, at, func(any) any { return append(slices.Clone(list), e.tree) }), nil
	case e.absent:
		name, ok := at[len(at)-1].(string)
		if !ok { // the next run would remove the one behind it
			return nil, nil, fmt.Errorf("%s is an element of a list, whose number is another one when it is gone: say which value is not to be there, with element = True and the key of the list", pathText(at))
		}
		return []documentChange{{op: removeValue, at: at}}, with(root, at[:len(at)-1], func(parent any) any {
			m := maps.Clone(parent.(map[string]any))
			delete(m, name)
			return m
		}), nil
	case reflect.DeepEqual(node, e.tree):
		return nil, root, nil
	}
	return []documentChange{{op: replaceValue, at: at, value: e.value}}, with(root, at, func(any) any { return e.tree }), nil
}

// add is the change when only a part of the path is there.
func (e *documentEdit) add(root any, at, rest []any, node any) ([]documentChange, any, error) {
	value, tree := e.value, e.tree
	if e.element {
		value, tree = starlark.NewList([]starlark.Value{value}), []any{tree}
	}
	for _, k := range slices.Backward(rest[1:]) {
		name, ok := k.(string)
		if !ok {
			return nil, nil, fmt.Errorf("%s is not there, and neither is the list in which element %v would be: give the whole list as value of the key above it", pathText(e.path), k)
		}
		d := starlark.NewDict(1)
		if err := d.SetKey(starlark.String(name), value); err != nil {
			return nil, nil, err
		}
		value, tree = d, map[string]any{name: tree}
	}
	if _, isList := node.([]any); isList {
		return []documentChange{{op: addElement, at: at, value: value}}, with(root, at, func(n any) any { return append(slices.Clone(n.([]any)), tree) }), nil
	}
	name, ok := rest[0].(string)
	if !ok {
		return nil, nil, fmt.Errorf("%s is %s, so %v is no element of it", placeText(at), kindOf(node), rest[0])
	}
	if node == nil && len(at) > 0 {
		d := starlark.NewDict(1)
		if err := d.SetKey(starlark.String(name), value); err != nil {
			return nil, nil, err
		}
		return []documentChange{{op: replaceValue, at: at, value: d}}, with(root, at, func(any) any { return map[string]any{name: tree} }), nil
	}
	return []documentChange{{op: addMember, at: at, key: name, value: value}}, with(root, at, func(n any) any {
		m, _ := n.(map[string]any)
		if m = maps.Clone(m); m == nil {
			m = map[string]any{}
		}
		m[name] = tree
		return m
	}), nil
}

// walk goes as far along the path as the document does.
func (e *documentEdit) walk(root any) (at, rest []any, err error) {
	node := root
	for i, k := range e.path {
		switch n := node.(type) {
		case nil:
			return at, e.path[i:], nil
		case map[string]any:
			name, ok := k.(string)
			if !ok {
				return nil, nil, fmt.Errorf("%s is an object, so the name of a key is wanted, not the number %v", placeText(at), k)
			}
			child, ok := n[name]
			if !ok {
				return at, e.path[i:], nil
			}
			node, at = child, append(at, name)
		case []any:
			j, ok := k.(int)
			if s, text := k.(string); text {
				var bad error
				j, bad = strconv.Atoi(s)
				ok = bad == nil
			}
			if j < 0 {
				j += len(n)
			}
			switch {
			case !ok:
				return nil, nil, fmt.Errorf("%s is a list, so the number of an element is wanted, not %q", placeText(at), k)
			case j == len(n), e.absent && j > len(n):
				return at, e.path[i:], nil
			case j < 0 || j > len(n):
				return nil, nil, fmt.Errorf("%s has %d elements, so there is no element %v: element = True adds one at the end", placeText(at), len(n), k)
			}
			node, at = n[j], append(at, j)
		default:
			if e.absent {
				return at, e.path[i:], nil
			}
			return nil, nil, fmt.Errorf("%s is %s, which holds no %v: remove it first (absent = True), or give the whole object as its value", placeText(at), kindOf(n), k)
		}
	}
	return at, nil, nil
}

func placeText(at []any) string {
	if len(at) == 0 {
		return "the document"
	}
	return pathText(at)
}

func kindOf(node any) string {
	switch node.(type) {
	case nil:
		return "null"
	case bool:
		return "a truth"
	case number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return fmt.Sprintf("a %T", node)
}

func lookup(node any, at []any) any {
	for _, k := range at {
		if l, ok := node.([]any); ok {
			node = l[k.(int)]
		} else {
			node = node.(map[string]any)[k.(string)]
		}
	}
	return node
}

// with is a copy of the tree in which the value at the path is another one.
func with(node any, at []any, change func(any) any) any {
	if len(at) == 0 {
		return change(node)
	}
	if l, ok := node.([]any); ok {
		l = slices.Clone(l)
		l[at[0].(int)] = with(l[at[0].(int)], at[1:], change)
		return l
	}
	m := maps.Clone(node.(map[string]any))
	m[at[0].(string)] = with(m[at[0].(string)], at[1:], change)
	return m
}
