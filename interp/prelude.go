package interp

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"

	"go.starlark.net/starlark"
)

// prelude is what bundles can say, executed and frozen.
type prelude struct {
	core     starlark.StringDict // plain names
	families starlark.StringDict
	byName   map[string]*Function // qualified
	files    []*preludeFile       // sorted by the name of the family
}

// loadPrelude executes the prelude files. They share one environment that fills as they go: a function may use any
// family, whatever the order; only their top levels (defaults of parameters, say) see no more than the files before.
func loadPrelude(o Options, language starlark.StringDict) (*prelude, error) {
	p := &prelude{core: starlark.StringDict{}, families: starlark.StringDict{}, byName: map[string]*Function{}}
	if o.Prelude == nil {
		return p, nil
	}
	names, err := fs.Glob(o.Prelude, "*.star")
	if err != nil {
		return nil, err
	}
	sort.Slice(names, func(i, j int) bool { // core first
		if a, b := names[i] == o.Core, names[j] == o.Core; a != b {
			return a
		}
		return names[i] < names[j]
	})
	env := maps.Clone(language)
	for name, v := range o.Natives {
		env[name] = v
	}
	files := make([]*preludeFile, len(names))
	known := map[string]bool{}
	for name := range env {
		known[name] = true
	}
	for i, name := range names {
		f, err := readPrelude(o, name)
		if err != nil {
			return nil, err
		}
		files[i] = f
		for _, n := range f.provides() {
			if known[n] {
				return nil, fmt.Errorf("%s: the name %q is taken", preludePrefix+name, n)
			}
			known[n] = true
		}
	}
	for _, n := range o.PerHost {
		delete(known, n) // there is no host while the prelude is executed
	}
	for _, f := range files {
		if err := f.exec(env, known); err != nil {
			return nil, err
		}
		f.addTo(p, env)
		if fam, ok := p.families[f.family].(*Family); ok {
			fam.values = o.PerHostAttrs[f.family]
		}
	}
	p.files = files
	sort.Slice(p.files, func(i, j int) bool { return p.files[i].family < p.files[j].family })
	return p, nil
}

type preludeFile struct {
	unit   *unit
	family string // "" for the core
	doc    string // the module docstring as it stands in the text
	sigs   []Signature
	funcs  []*Function
}

func readPrelude(o Options, name string) (*preludeFile, error) {
	src, err := fs.ReadFile(o.Prelude, name)
	if err != nil {
		return nil, err
	}
	u := &unit{name: preludePrefix + name, display: preludePrefix + name, src: string(src)}
	if u.ast, err = parseFile(preludeOptions(), u.display, u.src); err != nil {
		return nil, err
	}
	if loads := u.loadStmts(); len(loads) > 0 {
		return nil, fmt.Errorf("%s: prelude files see each other's families and load nothing", loads[0].Load)
	}
	f := &preludeFile{unit: u, doc: rawDocOf(u.ast.Stmts)}
	if name != o.Core {
		f.family = strings.TrimSuffix(path.Base(name), ".star")
		if !isWord(f.family) {
			return nil, fmt.Errorf("%s: the name of a family is a word", u.display)
		}
	}
	text := newSourceText(u.src)
	for _, def := range publicDefs(u.ast) {
		sig := shapeOf(f.family, def, text)
		if strings.TrimSpace(rawDocOf(def.Body)) == "" {
			return nil, fmt.Errorf("%s: %s has no docstring", sig.Pos, sig.Qualified())
		}
		f.sigs = append(f.sigs, sig)
	}
	return f, nil
}

// provides is the names that the file adds to what bundles see.
func (f *preludeFile) provides() []string {
	if f.family != "" {
		return []string{f.family}
	}
	var names []string
	for _, s := range f.sigs {
		names = append(names, s.Name)
	}
	return names
}

func (f *preludeFile) exec(env starlark.StringDict, known map[string]bool) error {
	own := f.provides()
	has := func(name string) bool {
		return known[name] && !(f.family == "" && slices.Contains(own, name))
	}
	if problems := f.unit.compile(scope{values: env}, has); len(problems) > 0 {
		return problems
	}
	thread := &starlark.Thread{Name: f.unit.display}
	thread.SetMaxExecutionSteps(maxLibrarySteps)
	globals, err := f.unit.prog.Init(thread, env)
	if err != nil {
		return fmt.Errorf("%s: %w", f.unit.display, err)
	}
	globals.Freeze()
	f.unit.ast = nil // compiled; nobody reads the tree again
	for _, sig := range f.sigs {
		impl, ok := globals[sig.Name].(*starlark.Function)
		if !ok || impl.Name() != sig.Name {
			return fmt.Errorf("%s: %s is assigned something else later", sig.Pos, sig.Qualified())
		}
		f.funcs = append(f.funcs, &Function{sig: sig, impl: impl})
	}
	for name := range globals {
		if !strings.HasPrefix(name, "_") && !slices.ContainsFunc(f.sigs, func(s Signature) bool { return s.Name == name }) {
			return fmt.Errorf("%s: %s is public but not a function with a docstring; begin its name with an underscore", f.unit.display, name)
		}
	}
	return nil
}

func (f *preludeFile) addTo(p *prelude, env starlark.StringDict) {
	if f.family == "" {
		for _, fn := range f.funcs {
			p.core[fn.sig.Name], env[fn.sig.Name] = fn, fn
			p.byName[fn.sig.Name] = fn
		}
		return
	}
	fam := &Family{name: f.family, functions: map[string]*Function{}}
	for _, fn := range f.funcs {
		fam.functions[fn.sig.Name] = fn
		fam.names = append(fam.names, fn.sig.Name)
		p.byName[fn.sig.Qualified()] = fn
	}
	sort.Strings(fam.names)
	p.families[f.family], env[f.family] = fam, fam
}

// Docs is every public function of the prelude, sorted by its qualified name.
func (in *Interp) Docs() []Signature {
	var docs []Signature
	for _, fn := range in.prelude.byName {
		docs = append(docs, fn.Signature())
	}
	sort.Slice(docs, func(i, j int) bool { return docs[i].Qualified() < docs[j].Qualified() })
	return docs
}

// Families is the prelude's files with their module docstrings and functions, sorted by name; the core's Name is "".
func (in *Interp) Families() []FileDoc {
	var all []FileDoc
	for _, f := range in.prelude.files {
		doc := moduleDoc(f.family, dedent(f.doc))
		for _, fn := range f.funcs {
			doc.Functions = append(doc.Functions, fn.Signature())
		}
		all = append(all, *doc)
	}
	return all
}

// Doc is the documentation of one function by its qualified name, nil when there is none; hint is then the most similar
// name, or "".
func (in *Interp) Doc(qualified string) (sig *Signature, hint string) {
	if fn := in.prelude.byName[qualified]; fn != nil {
		s := fn.Signature()
		return &s, ""
	}
	var names []string
	for n := range in.prelude.byName {
		names = append(names, n)
	}
	return nil, Nearest(qualified, names)
}

// Function is a public function of the prelude by its qualified name, or nil. It can be called on any thread.
func (in *Interp) Function(qualified string) *Function { return in.prelude.byName[qualified] }

// Family is a family of the prelude by its name, or nil.
func (in *Interp) Family(name string) *Family {
	f, _ := in.prelude.families[name].(*Family)
	return f
}
