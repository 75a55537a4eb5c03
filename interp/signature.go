package interp

import (
	"strings"

	"go.starlark.net/syntax"
)

// Kind is how a parameter can be given.
type Kind string

const (
	Positional  Kind = "positional"   // by position or by name
	KeywordOnly Kind = "keyword-only" // by name
	VarArgs     Kind = "varargs"      // *args: any number, by position
	KwArgs      Kind = "kwargs"       // **kwargs: any name
)

// Param is one parameter of a function.
type Param struct {
	Name     string
	Kind     Kind
	Default  string // the source text of the default; "" without one, "..." for one that is private to its file
	Required bool
	Doc      string
}

// Signature is how a function is called and what its docstring says.
type Signature struct {
	Family  string // "file"; "" for a plain name
	Name    string // "put"
	Params  []Param
	Summary string // the first line of the docstring
	Doc     string // the text under it, sections left out
	Returns string
	Errors  string
	Example string
	Pos     Position
}

// Qualified is the name as a bundle writes it: file.put, run.
func (s Signature) Qualified() string {
	if s.Family == "" {
		return s.Name
	}
	return s.Family + "." + s.Name
}

// String is the call as one would write the def: file.put(path, *, content = None).
func (s Signature) String() string {
	var b strings.Builder
	b.WriteString(s.Qualified())
	b.WriteByte('(')
	star := false
	for i, p := range s.Params {
		if i > 0 {
			b.WriteString(", ")
		}
		switch p.Kind {
		case VarArgs:
			star = true
			b.WriteByte('*')
		case KwArgs:
			b.WriteString("**")
		case KeywordOnly:
			if !star {
				star = true
				b.WriteString("*, ")
			}
		}
		b.WriteString(p.Name)
		if p.Default != "" {
			b.WriteString(" = " + p.Default)
		}
	}
	b.WriteByte(')')
	return b.String()
}

// signatureOf reads a def. src is the text of its file, for the defaults.
func signatureOf(family string, def *syntax.DefStmt, src *sourceText) Signature {
	s := shapeOf(family, def, src)
	s.document(docOf(def.Body))
	return s
}

// document adds what a dedented docstring says.
func (s *Signature) document(doc string) {
	d := parseDocstring(doc)
	s.Summary, s.Doc, s.Returns, s.Errors, s.Example = d.Summary, d.Text, d.Returns, d.Errors, d.Example
	for i := range s.Params {
		s.Params[i].Doc = d.Args[s.Params[i].Name]
	}
}

// shapeOf is signatureOf without what the docstring says: as much as a call needs.
func shapeOf(family string, def *syntax.DefStmt, src *sourceText) Signature {
	s := Signature{Family: family, Name: def.Name.Name, Pos: position(def.Name.NamePos)}
	kind := Positional
	for _, param := range def.Params {
		var p Param
		switch x := param.(type) {
		case *syntax.Ident:
			p = Param{Name: x.Name, Kind: kind, Required: true}
		case *syntax.BinaryExpr:
			p = Param{Name: x.X.(*syntax.Ident).Name, Kind: kind, Default: src.of(x.Y)}
		case *syntax.UnaryExpr:
			id, named := x.X.(*syntax.Ident)
			switch {
			case x.Op == syntax.STARSTAR:
				p = Param{Name: id.Name, Kind: KwArgs}
			case named:
				p = Param{Name: id.Name, Kind: VarArgs}
				kind = KeywordOnly
			default: // a bare star
				kind = KeywordOnly
				continue
			}
		}
		s.Params = append(s.Params, p)
	}
	return s
}

// sourceText is a text whose positions are looked up. The starts of its lines are kept: a prelude asks a thousand times.
type sourceText struct {
	src   string
	lines []int // where each line starts
}

// newSourceText finds the lines; a carriage return ends one too, as in the scanner.
func newSourceText(src string) *sourceText {
	t := &sourceText{src: src, lines: []int{0}}
	for i := range len(src) {
		if c := src[i]; c == '\n' || c == '\r' && !strings.HasPrefix(src[i+1:], "\n") {
			t.lines = append(t.lines, i+1)
		}
	}
	return t
}

// of is the text of an expression on one line.
func (t *sourceText) of(e syntax.Expr) string {
	start, end := e.Span()
	from, to := t.offset(start), t.offset(end)
	if id, ok := e.(*syntax.Ident); from > to || ok && strings.HasPrefix(id.Name, "_") {
		return "..."
	}
	if p, ok := e.(*syntax.TupleExpr); ok && len(p.List) == 0 { // its span ends before the closing parenthesis
		return "()"
	}
	if _, literal := e.(*syntax.Literal); literal {
		return t.src[from:to] // blanks inside a string are not ours to change
	}
	return strings.Join(strings.Fields(t.src[from:to]), " ")
}

// offset is where a position lies in the text, at most the end of its line; columns count characters.
func (t *sourceText) offset(p syntax.Position) int {
	n := int(p.Line)
	if n < 1 {
		return 0
	}
	if n > len(t.lines) {
		return len(t.src)
	}
	end := len(t.src)
	if n < len(t.lines) {
		end = t.lines[n]
	}
	start, col := t.lines[n-1], int32(1)
	for i, r := range t.src[start:end] {
		if col >= p.Col {
			return start + i
		}
		if r != '\r' {
			col++
		}
	}
	return end
}

// publicDefs is the top-level functions of a file whose names have no leading underscore, in order. Of several with one
// name the last counts, as when the file runs.
func publicDefs(f *syntax.File) []*syntax.DefStmt {
	var defs []*syntax.DefStmt
	seen := map[string]int{}
	for _, stmt := range f.Stmts {
		def, ok := stmt.(*syntax.DefStmt)
		if !ok || strings.HasPrefix(def.Name.Name, "_") {
			continue
		}
		if i, ok := seen[def.Name.Name]; ok {
			defs[i] = def
			continue
		}
		seen[def.Name.Name] = len(defs)
		defs = append(defs, def)
	}
	return defs
}

// FileDoc is the documentation of one .star file: what a library offers, or the tasks of a bundle.
type FileDoc struct {
	Name      string // as it is loaded: "@fab//postgresql.star", "//lib/site.star"
	Summary   string
	Doc       string
	Functions []Signature
}

// ReadDoc reads the documentation of a .star file from its text, without running anything. name is for positions.
func ReadDoc(name, src string) (*FileDoc, error) {
	f, err := parseFile(fileOptions(), name, src)
	if err != nil {
		return nil, err
	}
	return fileDoc(name, src, f), nil
}

func fileDoc(name, src string, f *syntax.File) *FileDoc {
	doc := moduleDoc(name, docOf(f.Stmts))
	text := newSourceText(src)
	for _, def := range publicDefs(f) {
		doc.Functions = append(doc.Functions, signatureOf("", def, text))
	}
	doc.Functions = append(doc.Functions, members(f, text)...)
	return doc
}

// moduleDoc is a FileDoc without its functions, from a dedented docstring.
func moduleDoc(name, docstring string) *FileDoc {
	d := parseDocstring(docstring)
	return &FileDoc{Name: name, Summary: d.Summary, Doc: d.Text}
}

// members are the functions that a library offers as members of a struct: nginx = struct(site = _site) offers nginx.site.
func members(f *syntax.File, src *sourceText) (found []Signature) {
	defs := map[string]*syntax.DefStmt{}
	for _, stmt := range f.Stmts {
		if def, ok := stmt.(*syntax.DefStmt); ok {
			defs[def.Name.Name] = def
			continue
		}
		a, ok := stmt.(*syntax.AssignStmt)
		if !ok || a.Op != syntax.EQ {
			continue
		}
		name, ok := a.LHS.(*syntax.Ident)
		call, isCall := a.RHS.(*syntax.CallExpr)
		if !ok || !isCall || strings.HasPrefix(name.Name, "_") {
			continue
		}
		if fn, ok := call.Fn.(*syntax.Ident); !ok || fn.Name != "struct" {
			continue
		}
		for _, arg := range call.Args {
			kv, ok := arg.(*syntax.BinaryExpr)
			if !ok || kv.Op != syntax.EQ {
				continue
			}
			member, isName := kv.X.(*syntax.Ident)
			value, isDef := kv.Y.(*syntax.Ident)
			if isName && isDef && defs[value.Name] != nil {
				s := signatureOf(name.Name, defs[value.Name], src)
				s.Name = member.Name
				found = append(found, s)
			}
		}
	}
	return found
}

// positional are the names of the parameters that can be given by position.
func (s *Signature) positional() []string {
	var names []string
	for _, p := range s.Params {
		if p.Kind == Positional {
			names = append(names, p.Name)
		}
	}
	return names
}
