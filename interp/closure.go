package interp

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"go.starlark.net/syntax"
)

// File is one file of a closure.
type File struct {
	Name    string // canonical: "//web1.star", "//lib/x.star", "@fab//postgresql.star"
	Display string // as messages name it where the closure was read
	Content string
}

// Closure is a bundle with everything it loads, as it was when it was opened: enough to evaluate it anywhere.
type Closure struct {
	Bundle string // the canonical name of the bundle
	Files  []File // sorted by name
}

// Digest identifies the closure: sha256, in hexadecimal, over the bundle's name and every file's name and content. How
// the files are displayed does not count.
func (c Closure) Digest() string {
	h := sha256.New()
	fmt.Fprintf(h, "fabgo closure 1\n%q\n", c.Bundle)
	files := slices.Clone(c.Files)
	sort.Slice(files, func(i, j int) bool { return files[i].Name < files[j].Name })
	for _, f := range files {
		fmt.Fprintf(h, "%q %x\n", f.Name, sha256.Sum256([]byte(f.Content)))
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// memory is a closure as a source.
type memory map[string]File

func (m memory) read(name string) (text, hint string, err error) {
	if f, ok := m[name]; ok {
		return f.Content, "", nil
	}
	return "", "", fmt.Errorf("the closure holds no file %s", name)
}

func (m memory) display(name string) string {
	if f := m[name]; f.Display != "" {
		return f.Display
	}
	return strings.TrimPrefix(name, "//")
}

// grant has nothing to refuse: what a closure holds was granted when it was made.
func (m memory) grant(string, string) (hint string, err error) { return "", nil }

func newMemory(c Closure) (memory, error) {
	m := memory{}
	for _, f := range c.Files {
		module, file := splitName(f.Name)
		if file == "" || f.Name != joinName(module, file) || path.Clean(file) != file || strings.HasPrefix(file, "../") || strings.HasPrefix(file, "/") {
			return nil, fmt.Errorf("open closure: %q is not the name of a file", f.Name)
		}
		if _, twice := m[f.Name]; twice {
			return nil, fmt.Errorf("open closure: %s is there twice", f.Name)
		}
		m[f.Name] = f
	}
	if _, ok := m[c.Bundle]; !ok {
		return nil, fmt.Errorf("open closure: it does not hold its bundle %q", c.Bundle)
	}
	return m, nil
}

// scanner follows the load statements from a bundle.
type scanner struct {
	in       *Interp
	src      source
	units    map[string]*unit
	order    []*unit // dependencies first
	active   []*unit // the files being scanned, outermost first
	problems Problems
	bytes    int
	files    int
	full     bool // a limit was reached and reported
}

// scan reads and compiles a closure. Every problem is collected: a file that is wrong does not hide what is wrong in
// the others.
func (in *Interp) scan(src source, bundle string) (*scanner, Problems) {
	s := &scanner{in: in, src: src, units: map[string]*unit{}}
	text, hint, err := src.read(bundle)
	if err != nil {
		return s, Problems{{Msg: "open bundle: " + err.Error(), Hint: hint, Err: err}}
	}
	s.visit(bundle, text, nil, Position{})
	return s, s.problems
}

func (s *scanner) visit(name, text string, from *unit, fromPos Position) {
	u := &unit{name: name, display: s.src.display(name), src: text, loads: map[string]string{}, from: from, fromPos: fromPos}
	s.units[name] = u
	s.files++
	s.bytes += len(text)
	if s.in.opts.Trace != nil {
		s.in.opts.Trace(Position{File: u.display})
	}
	opts := fileOptions()
	f, err := parseFile(opts, u.display, text)
	if err != nil {
		p := err.(*Problem)
		p.Chain = u.chain()
		s.problems = append(s.problems, p)
		return
	}
	u.ast = f
	s.active = append(s.active, u)
	for _, stmt := range u.loadStmts() {
		raw := stmt.Module.Value.(string)
		pos := position(stmt.Module.TokenPos)
		target, hint, err := resolveLoad(name, raw)
		if err != nil {
			s.report(u, pos, err.Error(), hint)
			continue
		}
		from, _ := splitName(name)
		module, _ := splitName(target)
		if hint, err := s.src.grant(from, module); err != nil {
			s.report(u, pos, fmt.Sprintf("load of %q: %v", raw, err), hint)
			continue
		}
		u.loads[raw] = target
		s.follow(u, pos, raw, target)
	}
	s.active = s.active[:len(s.active)-1]

	sc := s.in.library
	if len(s.active) == 0 {
		sc = s.in.bundle
	}
	s.problems = append(s.problems, u.compile(sc, sc.has)...)
	s.checkLoadedNames(u)
	s.order = append(s.order, u)
}

// follow visits the file that a load statement names, unless it was visited before.
func (s *scanner) follow(u *unit, pos Position, raw, target string) {
	for i, a := range s.active {
		if a.name == target {
			s.report(u, pos, s.cycle(i, target), "move what both need into a third file")
			delete(u.loads, raw)
			return
		}
	}
	if s.units[target] != nil || s.full {
		return
	}
	text, hint, err := s.src.read(target)
	if err != nil {
		s.report(u, pos, fmt.Sprintf("load of %q: %v", raw, err), hint)
		return
	}
	switch {
	case s.files >= maxClosureFiles:
		s.full = true
		s.report(u, pos, fmt.Sprintf("more than %s files are loaded", grouped(maxClosureFiles)), "")
		return
	case s.bytes+len(text) > maxClosureBytes:
		s.full = true
		s.report(u, pos, fmt.Sprintf("the files loaded have more than %s bytes together", grouped(maxClosureBytes)), "")
		return
	}
	s.visit(target, text, u, pos)
}

// cycle tells the whole way round, with the position of each load.
func (s *scanner) cycle(start int, target string) string {
	var b strings.Builder
	b.WriteString("load cycle: ")
	for i := start; i < len(s.active); i++ {
		u := s.active[i]
		next := target
		if i+1 < len(s.active) {
			next = s.active[i+1].name
		}
		for _, stmt := range u.loadStmts() {
			if to, _, err := resolveLoad(u.name, stmt.Module.Value.(string)); err == nil && to == next {
				fmt.Fprintf(&b, "%s loads %s, ", position(stmt.Module.TokenPos), s.src.display(next))
				break
			}
		}
	}
	return strings.TrimSuffix(b.String(), ", ")
}

func (s *scanner) report(u *unit, pos Position, msg, hint string) {
	s.problems = append(s.problems, u.problem(pos, msg, hint))
}

// checkLoadedNames reports names that the loaded file does not define.
func (s *scanner) checkLoadedNames(u *unit) {
	for _, stmt := range u.loadStmts() {
		lib := s.units[u.loads[stmt.Module.Value.(string)]]
		if lib == nil || lib.ast == nil || lib.ast.Module == nil {
			continue
		}
		var public []string
		for _, g := range lib.globals() {
			if !strings.HasPrefix(g, "_") {
				public = append(public, g)
			}
		}
		for _, from := range stmt.From {
			// The resolver has refused private names already.
			if slices.Contains(public, from.Name) || strings.HasPrefix(from.Name, "_") || from.Name == "" {
				continue
			}
			hint := ""
			if n := Nearest(from.Name, public); n != "" {
				hint = fmt.Sprintf("did you mean %q?", n)
			} else if len(public) > 0 && len(public) <= 8 {
				sort.Strings(public)
				hint = "it defines " + strings.Join(public, ", ")
			}
			for _, l := range lib.loadStmts() {
				if slices.ContainsFunc(l.To, func(id *syntax.Ident) bool { return id.Name == from.Name }) {
					hint = fmt.Sprintf("that file loads it from %q: load it from there", l.Module.Value)
				}
			}
			s.report(u, position(from.NamePos), fmt.Sprintf("%s does not define %q", lib.display, from.Name), hint)
		}
	}
}
