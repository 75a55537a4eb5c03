package builtins

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

func alternativesNatives() starlark.StringDict {
	return merge(native("alternatives.set", alternativesSet), native("alternatives.auto", alternativesAuto), native("alternatives.absent", alternativesAbsent))
}

const (
	alternativesAdmin = transport.Path("/var/lib/dpkg/alternatives")
	alternativesLinks = transport.Path("/etc/alternatives")
	alternativeTable  = transport.Table("alternative")
)

var alternativeName = whenUsed(`^[A-Za-z0-9_][A-Za-z0-9+._-]*$`)

type alternativeArgs struct {
	common
	Name string         `arg:"name"`
	Path transport.Path `arg:"path"`
}

func (a alternativeArgs) check() error {
	if !alternativeName().MatchString(a.Name) {
		return fmt.Errorf("name: %q is no name of a group of alternatives such as \"editor\"", a.Name)
	}
	return oneLine("path", string(a.Path))
}

// slave is a link that follows the choice of its master, such as that of a manual page.
type slave struct{ name, link, path string }

type alternativesSetArgs struct {
	alternativeArgs
	Link     transport.Path `arg:"link"`
	Priority *int           `arg:"priority"`
	Slaves   starlark.Value `arg:"slaves"`
}

func (a alternativesSetArgs) slaves() ([]slave, error) {
	if a.Slaves == nil {
		return nil, nil
	}
	d, ok := a.Slaves.(*starlark.Dict)
	if !ok {
		return nil, mismatch(a.Slaves, "a dict such as {\"editor.1.gz\": [\"/usr/share/man/man1/editor.1.gz\", \"/usr/share/man/man1/vim.1.gz\"]}")
	}
	out := []slave{}
	for _, kv := range d.Items() {
		name, _ := starlark.AsString(kv[0])
		pair, err := stringsOf(kv[1])
		if !alternativeName().MatchString(name) || err != nil || len(pair) != 2 || !strings.HasPrefix(pair[0], "/") || !strings.HasPrefix(pair[1], "/") || strings.ContainsAny(pair[0]+pair[1], "\n\r\x00") {
			return nil, fmt.Errorf("%s: want a name and a list of link and path, both absolute", kv[0])
		}
		out = append(out, slave{name, pair[0], pair[1]})
	}
	slices.SortFunc(out, func(a, b slave) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

func alternativesSet(c *call, a alternativesSetArgs) (starlark.Value, error) {
	err := a.check()
	if err == nil && (a.Link == "") != (a.Priority == nil) {
		err = fmt.Errorf("link and priority belong together: they make known what is not known yet")
	}
	if err == nil && a.Slaves != nil && a.Link == "" {
		err = fmt.Errorf("slaves: they need link and priority")
	}
	if err == nil {
		err = oneLine("link", string(a.Link))
	}
	slaves, serr := a.slaves()
	if err == nil && serr != nil {
		err = fmt.Errorf("slaves: %w", serr)
	}
	if err != nil {
		return nil, fmt.Errorf("alternatives.set: %w", err)
	}
	return c.converge(&alternative{a, slaves})
}

// alternativesGroup is what update-alternatives(1) keeps of a group in its administrative folder.
type alternativesGroup struct {
	status string // auto or manual
	link   string
	slaves []slave // names and links
	paths  map[string]alternativeChoice
}

type alternativeChoice struct {
	priority string
	slaves   []slave
}

// text is the slaves of a choice as a column of its row.
func (c alternativeChoice) text() string { return slavesText(c.slaves) }

func slavesText(list []slave) string {
	var out []string
	for _, s := range list {
		if s.path != "" {
			out = append(out, s.link+" -> "+s.path)
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// parseAlternatives reads such a file: status, link, the slaves; an empty line; for each choice path, priority, and a path for each slave.
func parseAlternatives(text string) (alternativesGroup, error) {
	g := alternativesGroup{paths: map[string]alternativeChoice{}}
	l := strings.Split(strings.TrimRight(text, "\n")+"\n", "\n")
	bad := fmt.Errorf("it is not as update-alternatives writes it")
	if len(l) < 3 {
		return g, bad
	}
	g.status, g.link, l = l[0], l[1], l[2:]
	for len(l) >= 2 && l[0] != "" {
		g.slaves, l = append(g.slaves, slave{name: l[0], link: l[1]}), l[2:]
	}
	if len(l) == 0 {
		return g, bad
	}
	for l = l[1:]; len(l) > 0 && l[0] != ""; {
		n := 2 + len(g.slaves)
		if len(l) < n {
			l = append(l, make([]string, n-len(l))...) // the last slaves of the last choice may be empty
		}
		c := alternativeChoice{priority: l[1]}
		for i, s := range g.slaves {
			s.path = l[2+i]
			c.slaves = append(c.slaves, s)
		}
		g.paths[l[0]], l = c, l[n:]
	}
	return g, nil
}

// alternatives finds a group; ok is false where there is none.
func alternatives(ctx context.Context, h transport.Host, name string) (g alternativesGroup, value string, ok bool, err error) {
	p := alternativesAdmin.Join(name)
	b, err := readPieces(ctx, h, p, editLimit)
	if transport.KindOf(err) == transport.NotFound {
		return g, "", false, nil
	}
	if err != nil {
		return g, "", false, err
	}
	if g, err = parseAlternatives(string(b)); err != nil {
		return g, "", false, fmt.Errorf("read %s: %w", p, err)
	}
	fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: alternativesLinks.Join(name)})
	return g, string(fi.Target), true, err
}

// alternative is the choice of one of the programs that do the same.
type alternative struct {
	args   alternativesSetArgs
	slaves []slave
}

func (r *alternative) Name() string { return "alternative:" + r.args.Name }

func (r *alternative) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	a := r.args
	fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: a.Path, Follow: true})
	if err != nil {
		return nil, err
	}
	if fi.Type == transport.Absent {
		return nil, &transport.Error{Kind: transport.NotFound, Path: a.Path, Message: fmt.Sprintf("choose %s for %s: there is no such file", a.Path, a.Name), Hint: "a package brings it (pkg.install)"}
	}
	g, _, _, err := alternatives(ctx, h, a.Name)
	if err != nil {
		return nil, err
	}
	if _, known := g.paths[string(a.Path)]; !known && a.Link == "" {
		hint := "link and priority make it known"
		if len(g.paths) > 0 {
			hint += "; known are " + strings.Join(sortedKeys(g.paths), ", ")
		}
		return nil, &transport.Error{Kind: transport.NotFound, Path: a.Path, Message: fmt.Sprintf("choose %s for %s: it is none of the alternatives", a.Path, a.Name), Hint: hint}
	}
	f := map[string]transport.Text{"value": transport.Text(a.Path), "status": "manual"}
	if a.Priority != nil {
		f["link"], f["priority"] = transport.Text(a.Link), transport.Text(strconv.Itoa(*a.Priority))
	}
	if r.slaves != nil {
		f["slaves"] = transport.Text(slavesText(r.slaves))
	}
	return []converge.Object{{Key: converge.Key{Table: alternativeTable, Name: a.Name}, Fields: f}}, nil
}

func (r *alternative) Probe(ctx context.Context, h transport.Host, want []converge.Object) ([]converge.Object, error) {
	return probeAlternative(ctx, h, want[0].Key, string(r.args.Path))
}

// probeAlternative finds the row of a group, with the columns that tell of one of its choices.
func probeAlternative(ctx context.Context, h transport.Host, k converge.Key, path string) ([]converge.Object, error) {
	g, value, ok, err := alternatives(ctx, h, k.Name)
	o := converge.Object{Key: k, Cause: converge.CauseOf(err)}
	switch {
	case o.Cause != nil:
	case err != nil:
		return nil, err
	case !ok:
		o.Absent = true
	default:
		o.Fields = map[string]transport.Text{"value": transport.Text(value), "status": transport.Text(g.status), "link": transport.Text(g.link)}
		if c, known := g.paths[path]; known {
			o.Fields["priority"], o.Fields["slaves"] = transport.Text(c.priority), transport.Text(c.text())
		}
	}
	return []converge.Object{o}, nil
}

func (r *alternative) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	a, want, have := r.args, delta[0].Want.Fields, delta[0].Have.Fields
	differs := func(columns ...string) bool {
		return slices.ContainsFunc(columns, func(k string) bool { w, ok := want[k]; return ok && w != have[k] })
	}
	if a.Priority != nil && differs("link", "priority", "slaves") {
		argv := []string{"update-alternatives", "--install", string(a.Link), a.Name, string(a.Path), strconv.Itoa(*a.Priority)}
		for _, s := range r.slaves {
			argv = append(argv, "--slave", s.link, s.name, s.path)
		}
		if err := change(ctx, h, "", nil, argv...); err != nil {
			return err
		}
	}
	if !differs("value", "status") {
		return nil
	}
	return change(ctx, h, "", nil, "update-alternatives", "--set", a.Name, string(a.Path))
}

func alternativesAuto(c *call, a alternativeArgs) (starlark.Value, error) {
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("alternatives.auto: %w", err)
	}
	return c.converge(&alternativeLeft{a, false})
}

func alternativesAbsent(c *call, a alternativeArgs) (starlark.Value, error) {
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("alternatives.absent: %w", err)
	}
	return c.converge(&alternativeLeft{a, true})
}

// alternativeLeft is a group that chooses by priority, or of which a choice is no longer known.
type alternativeLeft struct {
	args alternativeArgs
	gone bool
}

func (r *alternativeLeft) Name() string { return "alternative:" + r.args.Name }

func (r *alternativeLeft) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	if r.gone {
		return []converge.Object{{Key: converge.Key{Table: alternativeTable, Name: r.args.Name + " " + string(r.args.Path)}, Absent: true}}, nil
	}
	_, _, ok, err := alternatives(ctx, h, r.args.Name)
	if err == nil && !ok {
		err = &transport.Error{Kind: transport.NotFound, Message: fmt.Sprintf("let %s be chosen by priority: there are no such alternatives", r.args.Name), Hint: "a package brings them (pkg.install), or alternatives.set with link and priority"}
	}
	return []converge.Object{{Key: converge.Key{Table: alternativeTable, Name: r.args.Name}, Fields: map[string]transport.Text{"status": "auto"}}}, err
}

func (r *alternativeLeft) Probe(ctx context.Context, h transport.Host, want []converge.Object) ([]converge.Object, error) {
	if !r.gone {
		return probeAlternative(ctx, h, want[0].Key, "")
	}
	g, _, _, err := alternatives(ctx, h, r.args.Name)
	o := converge.Object{Key: want[0].Key, Absent: true}
	if _, known := g.paths[string(r.args.Path)]; known {
		o.Absent, o.Fields = false, map[string]transport.Text{}
	}
	return []converge.Object{o}, err
}

func (r *alternativeLeft) Apply(ctx context.Context, h transport.Host, _ []converge.Pair) error {
	if r.gone {
		return change(ctx, h, "", nil, "update-alternatives", "--remove", r.args.Name, string(r.args.Path))
	}
	return change(ctx, h, "", nil, "update-alternatives", "--auto", r.args.Name)
}
