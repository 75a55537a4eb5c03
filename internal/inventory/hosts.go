package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"fabgo/interp"
)

// File is the name of the inventory, at the root of a repository.
const File = "inventory.yaml"

// Inventory is which hosts there are. The zero Inventory knows none.
type Inventory struct {
	Path   string // of its file, as it is shown; "" when there is none
	hosts  map[string]Host
	groups map[string]*group
}

// Host is what the inventory says of a host. What it leaves out, ssh_config says.
type Host struct {
	Name    string
	Address string
	User    string
	Port    int
	Bundle  string // from the root, with slashes
	Groups  []string
	Line    int
}

// group is a group as it is written.
type group struct {
	line    int
	members []string // hosts and groups
}

// Group is a group of a host, with all groups that hold it.
type Group struct {
	Name  string
	Above []string
}

// compare orders groups so that those which hold others come first.
func (g Group) compare(h Group) int {
	if d := len(g.Above) - len(h.Above); d != 0 {
		return d
	}
	return strings.Compare(g.Name, h.Name)
}

// Read reads the inventory of the repository at root. Shown is the root as a person names it.
func Read(root, shown string) (*Inventory, error) {
	inv := &Inventory{hosts: map[string]Host{}, groups: map[string]*group{}}
	b, err := os.ReadFile(filepath.Join(root, File))
	if errors.Is(err, fs.ErrNotExist) {
		return inv, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the inventory: %w", err)
	}
	inv.Path = filepath.Join(shown, File)
	var doc yaml.Node
	if err := onlyDocument(b, &doc); err != nil {
		return nil, fmt.Errorf("read the inventory: %s: %w", inv.Path, err)
	}
	r := reader{inv: inv, root: root}
	if len(doc.Content) > 0 {
		r.all(doc.Content[0])
	}
	if len(r.errs) == 0 {
		r.related()
	}
	if len(r.errs) > 0 {
		return nil, errors.Join(r.errs...)
	}
	return inv, nil
}

// reader turns the nodes of the file into an inventory and gathers all that is wrong with it.
type reader struct {
	inv  *Inventory
	root string
	errs []error
}

func (r *reader) fail(line int, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("read the inventory: %s:%d: %s", r.inv.Path, line, fmt.Sprintf(format, args...)))
}

// entry is a key of a mapping with its value.
type entry struct {
	key   string
	line  int
	value *yaml.Node
}

// mapping are the entries of a node; none when it is empty.
func (r *reader) mapping(what string, n *yaml.Node) (out []entry) {
	if empty(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n.Line, "%s is no mapping: want NAME: VALUE lines", what)
		return nil
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if first := seen[k.Value]; first != 0 {
			r.fail(k.Line, "%s stands there twice in %s, first on line %d: keep one", k.Value, what, first)
			continue
		}
		seen[k.Value] = k.Line
		out = append(out, entry{k.Value, k.Line, behind(n.Content[i+1])})
	}
	return out
}

func behind(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func empty(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func (r *reader) all(n *yaml.Node) {
	for _, e := range r.mapping("the inventory", n) {
		switch e.key {
		case "hosts":
			for _, h := range r.mapping("hosts", e.value) {
				r.host(h)
			}
		case "groups":
			for _, g := range r.mapping("groups", e.value) {
				r.group(g)
			}
		default:
			r.unknown(e, "the inventory", "hosts", "groups")
		}
	}
}

func (r *reader) unknown(e entry, in string, known ...string) {
	r.fail(e.line, "%s has no %q%s", in, e.key, suggest(e.key, "it has "+strings.Join(known, ", "), known))
}

// suggest is what to say behind a name that is not known.
func suggest(name, otherwise string, known []string) string {
	if near := interp.Nearest(name, known); near != "" {
		return fmt.Sprintf(" (did you mean %s?)", near)
	}
	return " (" + otherwise + ")"
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

func (r *reader) host(e entry) {
	h := Host{Name: e.key, Line: e.line}
	if !hostName.MatchString(e.key) {
		r.fail(e.line, "%q is no name of a host: want letters, digits, dots, dashes and underscores; what is dialled goes into address", e.key)
		return
	}
	for _, f := range r.mapping("the host "+e.key, e.value) {
		switch f.key {
		case "address":
			if h.Address = r.text(f); h.Address != "" && (strings.HasPrefix(h.Address, "-") || strings.ContainsAny(h.Address, " \t\n@/")) {
				r.fail(f.line, "address %q: want a name or an IP address; user and port have lines of their own", h.Address)
			}
		case "user":
			if h.User = r.text(f); strings.ContainsAny(h.User, "\x00\r\n") {
				r.fail(f.line, "user %q holds a control character", h.User)
			}
		case "port":
			var err error
			if h.Port, err = strconv.Atoi(r.text(f)); err != nil || h.Port < 1 || h.Port > 65535 {
				r.fail(f.line, "port %s: want a number from 1 to 65535", f.value.Value)
			}
		case "bundle":
			h.Bundle = r.bundle(f)
		case "groups":
			h.Groups = r.names(f)
		default:
			r.unknown(f, "the host "+e.key, "address", "user", "port", "bundle", "groups")
		}
	}
	r.inv.hosts[h.Name] = h
}

// text is a value that is one word.
func (r *reader) text(e entry) string {
	if e.value.Kind != yaml.ScalarNode || e.value.Value == "" || empty(e.value) {
		r.fail(e.line, "%s: want one value", e.key)
		return ""
	}
	return e.value.Value
}

func (r *reader) bundle(e entry) string {
	name := r.text(e)
	if name == "" {
		return ""
	}
	clean := filepath.ToSlash(filepath.Clean(name))
	switch _, err := os.Stat(filepath.Join(r.root, filepath.FromSlash(clean))); {
	case !filepath.IsLocal(name) || !strings.HasSuffix(name, ".star"):
		r.fail(e.line, "bundle %s: want a .star file, from the root of the repository", name)
	case err != nil:
		r.fail(e.line, "bundle %s: there is no such file in the repository", name)
	}
	return clean
}

// names are the values of a list of names.
func (r *reader) names(e entry) (out []string) {
	if empty(e.value) {
		return nil
	}
	if e.value.Kind != yaml.SequenceNode {
		r.fail(e.line, "%s: want a list of names, such as [web, db]", e.key)
		return nil
	}
	for _, n := range e.value.Content {
		n = behind(n)
		switch {
		case n.Kind != yaml.ScalarNode || n.Value == "" || empty(n):
			r.fail(n.Line, "%s: want a list of names, such as [web, db]", e.key)
		case slices.Contains(out, n.Value):
			r.fail(n.Line, "%s: %s stands there twice", e.key, n.Value)
		default:
			out = append(out, n.Value)
		}
	}
	return out
}

func (r *reader) group(e entry) {
	switch {
	case e.key == "all" || e.key == "local" || e.key == "sandbox":
		r.fail(e.line, "a group cannot be called %s: @%s means something else already", e.key, e.key)
	case !hostName.MatchString(e.key):
		r.fail(e.line, "%q is no name of a group: want letters, digits, dots, dashes and underscores", e.key)
	default:
		r.inv.groups[e.key] = &group{line: e.line, members: r.names(e)}
	}
}

// related finds what is wrong between the entries: names that nothing has, and groups that hold themselves.
func (r *reader) related() {
	inv := r.inv
	groups, hosts := inv.GroupNames(), inv.Names()
	for _, name := range hosts {
		h := inv.hosts[name]
		for _, g := range h.Groups {
			switch gr := inv.groups[g]; {
			case gr == nil:
				r.fail(h.Line, "the host %s is in the group %s, which is not below groups%s", name, g, suggest(g, "a line \""+g+":\" there makes it one", groups))
			case !slices.Contains(gr.members, name):
				gr.members = append(gr.members, name)
			}
		}
	}
	for _, name := range groups {
		g := inv.groups[name]
		if h, both := inv.hosts[name]; both {
			r.fail(g.line, "the group %s has the name of the host of line %d: rename one", name, h.Line)
		}
		for _, m := range g.members {
			if _, host := inv.hosts[m]; !host && inv.groups[m] == nil {
				r.fail(g.line, "the group %s holds %s, which is neither a host nor a group%s", name, m, suggest(m, "a line \""+m+":\" below hosts makes it one", append(hosts, groups...)))
			}
		}
	}
	for _, name := range groups {
		if path := r.circle(name, []string{name}); path != nil {
			r.fail(inv.groups[name].line, "the group %s holds itself: %s", name, strings.Join(path, " > "))
			return
		}
	}
}

// circle is a way from the last group of a path back to the first one.
func (r *reader) circle(name string, path []string) []string {
	for _, m := range r.inv.groups[name].members {
		if m == path[0] {
			return append(path, m)
		}
		if r.inv.groups[m] != nil && !slices.Contains(path, m) {
			if found := r.circle(m, append(path[:len(path):len(path)], m)); found != nil {
				return found
			}
		}
	}
	return nil
}

// Names are the hosts, sorted.
func (inv *Inventory) Names() []string { return slices.Sorted(maps.Keys(inv.hosts)) }

// GroupNames are the groups, sorted.
func (inv *Inventory) GroupNames() []string { return slices.Sorted(maps.Keys(inv.groups)) }

// Host is what is known of a host.
func (inv *Inventory) Host(name string) (Host, bool) {
	h, ok := inv.hosts[name]
	return h, ok
}
