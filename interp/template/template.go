package template

import (
	"context"
	"errors"
	"maps"
	"path"
	"slices"

	"go.starlark.net/starlark"
)

// Loader reads an included file. The name is already joined with the folder of the file that includes it. An error
// that is fs.ErrNotExist makes `ignore missing` skip the file.
type Loader func(name string) ([]byte, error)

// Options of a compilation; the zero value has trim_blocks on, as Ansible has, and refuses includes.
type Options struct {
	Load         Loader
	LstripBlocks bool   // drop the blanks before a block tag that is the first of its line
	NoTrimBlocks bool   // keep the newline behind a block tag
	MaxSteps     uint64 // of work in one render; 0 means 10 million

	// Encode, when set, is asked by every filter that encodes or digests text (to_json, quote, b64encode, sha256 and
	// their like) before it does: ok says that the result stands for the encoded text. It is how a text that holds
	// the token of a secret becomes a token that is encoded where the secret is known. The filters named to_nice_json
	// and to_yaml ask with "to_json", once for each string. Renders at the same time call it at the same time.
	Encode func(filter, text string) (result string, ok bool, err error)
}

// Template is a compiled template. It is immutable.
type Template struct {
	body     []node
	fn       *function
	uses     []use
	includes []string
	opts     Options
}

// Compile reads a template and every file that it includes. names are the names that vars will provide; a name that
// neither they nor the template provide is an error, all of them joined (see Check). With nil names this is left to
// Render, which does it before it writes anything. Every error is or joins *Error.
func Compile(name string, src []byte, names []string, opts Options) (*Template, error) {
	c := &compiler{opts: opts, filters: filterTable(), tests: testTable(), functions: functionTable()}
	s := &scope{fn: &function{}, names: map[string]int{}}
	body, err := c.file(name, src, s, []string{path.Clean(name)}, nil)
	if err != nil {
		return nil, err
	}
	t := &Template{body: body, fn: s.fn, uses: c.uses, includes: c.includes, opts: opts}
	if names != nil {
		if err := t.Check(names); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// maxReports is how many undefined names one error tells of.
const maxReports = 10

// Check reports the names that the template needs and that are not among names: the first use of each, as joined
// *Error values, ten at most. A name that is used only where the template asks whether it exists (`is defined`, `default`) is not
// needed.
func (t *Template) Check(names []string) error {
	known := make(map[string]bool, len(names))
	for _, n := range names {
		known[n] = true
	}
	return t.check(func(n string) bool { return known[n] }, func() []string { return slices.Clone(names) })
}

func (t *Template) check(known func(string) bool, all func() []string) error {
	var errs []error
	seen := map[string]bool{}
	for _, u := range t.uses {
		if n := u.node.name; !known(n) && !seen[n] && len(errs) < maxReports {
			seen[n] = true
			candidates := slices.Concat(all(), u.scope.visible(), slices.Sorted(maps.Keys(functionTable())))
			errs = append(errs, u.node.report(missingf("undefined: %s%s", n, suggest(n, candidates)), true))
		}
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// Names returns the names that vars must provide, sorted.
func (t *Template) Names() []string {
	names := map[string]bool{}
	for _, u := range t.uses {
		names[u.node.name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Includes returns the files that were loaded, sorted, each once.
func (t *Template) Includes() []string {
	list := slices.Clone(t.includes)
	slices.Sort(list)
	return slices.Compact(list)
}

// Render returns the text of the template for vars, none of which is changed. Values that are not frozen must not be
// changed by others meanwhile. A failure is an *Error, or several joined when names are missing; a context that ends
// stops the render with its cause wrapped.
func (t *Template) Render(ctx context.Context, vars starlark.StringDict) (string, error) {
	if len(t.uses) > 0 {
		if err := t.check(vars.Has, vars.Keys); err != nil {
			return "", err
		}
	}
	r := &run{ctx: ctx, vars: vars, encode: t.opts.Encode, limit: t.opts.MaxSteps}
	if r.limit == 0 {
		r.limit = defaultSteps
	}
	r.thread = &starlark.Thread{Name: "template", Print: func(*starlark.Thread, string) {}}
	stop := context.AfterFunc(ctx, func() { r.thread.Cancel(context.Cause(ctx).Error()) })
	defer stop()
	r.frame = &frame{slots: make([]starlark.Value, t.fn.slots)}
	if err := r.all(t.body); err != nil {
		return "", err
	}
	return string(r.out), nil
}
