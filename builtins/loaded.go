package builtins

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"fabgo/internal/converge"
	"fabgo/internal/journal"
	"fabgo/transport"
)

// loaded is what the host remembers of a unit: the states of other steps' objects with which it was last started, restarted or reloaded
// because of an on=. It is a file of the state folder, which the steps that use it read and write as any file, so that a replay and a
// plan find the same in it.
type loaded struct {
	path     transport.Path
	Schema   int             `json:"schema"`
	Unit     string          `json:"unit"`
	Reloaded map[string]mark `json:"reloaded"`  // by what on= named; a restart counts too
	Started  map[string]mark `json:"restarted"` // restarts and starts only
}

// mark is the state of one step's objects.
type mark struct {
	Changes []string `json:"changes,omitempty"` // the last ones that the unit knows of (converge.Change.Origin); of one run
	State   []string `json:"state,omitempty"`   // converge.Change.Fingerprint
}

const loadedSchema = 1

// readLoaded reads the record of a unit, once in a session: nothing else writes it.
func (rt *Runtime) readLoaded(ctx context.Context, h transport.Host, unit string) (*loaded, error) {
	if l := rt.loaded[unit]; l != nil {
		return l, nil
	}
	l := &loaded{path: rt.Session.State().Join("loaded", strings.ReplaceAll(unit, `\`, "%5C")+".json")}
	b, err := converge.ReadState(ctx, h, l.path)
	if err != nil {
		return nil, fmt.Errorf("find out what %s was loaded with: %w", unit, err)
	}
	if b != nil {
		if err := json.Unmarshal(b, l); err != nil || l.Schema != loadedSchema {
			if err == nil {
				err = fmt.Errorf("it has schema %d; written by another version of fabgo?", l.Schema)
			}
			return nil, &transport.Error{
				Kind: transport.Refused, Path: l.path, Message: fmt.Sprintf("read what %s was loaded with from %s: %v", unit, l.path, err), Err: err,
				Hint: "remove the file: then the unit counts as loaded with what is there now",
			}
		}
	}
	l.Schema, l.Unit = loadedSchema, unit
	rt.remember(l)
	return l, nil
}

func (rt *Runtime) remember(l *loaded) {
	if rt.loaded == nil {
		rt.loaded = map[string]*loaded{}
	}
	rt.loaded[l.Unit] = l
}

// handler is the on= of a step that loads a unit.
type handler struct {
	rt     *Runtime
	unit   string
	of     changes
	starts bool // a reload is not enough

	was *loaded
}

// known are the marks that count for this step.
func (d *handler) known() map[string]mark {
	if d.starts {
		return d.was.Started
	}
	return d.was.Reloaded
}

// due reads the record and says which of the changes the unit does not know of yet; none when it knows all. A step that on= names for the
// first time counts as known, unless it changed.
func (d *handler) due(ctx context.Context, h transport.Host) (out changes, err error) {
	if len(d.of) == 0 {
		return nil, nil
	}
	if d.was, err = d.rt.readLoaded(ctx, h, d.unit); err != nil {
		return nil, err
	}
	for _, c := range d.of {
		k := loadedKey(c)
		m, ok := d.known()[k]
		if !ok && !c.Changed { // what it was only reloaded with tells as much
			m, ok = d.was.Reloaded[k]
		}
		switch {
		case !ok && !c.Changed:
		case ok && (!c.Changed || slices.Contains(m.Changes, c.Origin)) && m.holds(c.Fingerprint()):
		default:
			out = append(out, c)
		}
	}
	return out, nil
}

func loadedKey(c *Change) string { return c.Builtin + " " + c.Resource }

// holds reports whether no part of a state is new.
func (m mark) holds(state []string) bool {
	for _, s := range state {
		if !slices.Contains(m.State, s) {
			return false
		}
	}
	return true
}

// loads is the record after the unit was loaded with all that on= names.
func (d *handler) loads() *loaded {
	if d.was == nil {
		return nil
	}
	l := *d.was
	l.Reloaded = learn(l.Reloaded, d.of)
	if d.starts {
		l.Started = learn(l.Started, d.of)
	}
	return &l
}

// meets is the record after a step with nothing to do, which may have met a name for the first time.
func (d *handler) meets() *loaded {
	if d.was == nil {
		return nil
	}
	known := d.known()
	fresh := slices.DeleteFunc(slices.Clone(d.of), func(c *Change) bool { _, ok := known[loadedKey(c)]; return ok })
	l := *d.was
	if d.starts {
		l.Started = learn(l.Started, fresh)
	} else {
		l.Reloaded = learn(l.Reloaded, fresh)
	}
	return &l
}

// misses is the record after a unit could not be loaded with what is due: of what it never knew it knows that it is another state.
func (d *handler) misses(due changes) *loaded {
	l := *d.was
	l.Reloaded = maps.Clone(l.Reloaded)
	for _, c := range due {
		if _, ok := l.Reloaded[loadedKey(c)]; !ok {
			if l.Reloaded == nil {
				l.Reloaded = map[string]mark{}
			}
			l.Reloaded[loadedKey(c)] = mark{}
		}
	}
	return &l
}

// learn adds the states of changes. Of a file that several steps edit, each left another state: the unit was loaded with the last one,
// and every later run finds that one for all of them.
func learn(known map[string]mark, on changes) map[string]mark {
	out := maps.Clone(known)
	if out == nil {
		out = map[string]mark{}
	}
	again := map[string]bool{}
	for _, c := range on {
		k := loadedKey(c)
		m := mark{Changes: out[k].Changes, State: c.Fingerprint()}
		if again[k] {
			m.State = union(m.State, out[k].State)
		}
		if c.Changed {
			run, _, _ := strings.Cut(c.Origin, "#")
			same := slices.DeleteFunc(slices.Clone(m.Changes), func(o string) bool { return !strings.HasPrefix(o, run+"#") })
			m.Changes = union(same, []string{c.Origin})
		}
		out[k], again[k] = m, true
	}
	return out
}

func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// save writes a record where it differs from what is there.
func (d *handler) save(ctx context.Context, h transport.Host, l *loaded) error {
	if l == nil {
		return nil
	}
	was, err := d.was.encode()
	if err != nil {
		return err
	}
	now, err := l.encode()
	if err != nil || bytes.Equal(was, now) {
		return err
	}
	if err := converge.WriteState(ctx, h, l.path, now); err != nil {
		return fmt.Errorf("remember what %s was loaded with: %w", d.unit, err)
	}
	d.rt.remember(l)
	return nil
}

// foresee makes a plan go on as if the unit had been loaded.
func (d *handler) foresee(ch converge.Change) {
	if l := d.loads(); l != nil && d.rt.Session.Planning() && ch.Status == journal.Changed && ch.Carried == "" {
		d.rt.remember(l)
	}
}

func (l *loaded) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(l)
	return b.Bytes(), err
}

// doubtful says why it is uncertain that a unit has to be loaded because of what is due, or "".
func (cs changes) doubtful() string {
	if slices.ContainsFunc(cs, func(c *Change) bool { return !c.Changed }) { // the record says so
		return ""
	}
	return cs.doubt()
}

// steps are the numbers of the steps of changes.
func (cs changes) steps() string {
	var out []string
	for _, c := range cs {
		out = append(out, strconv.Itoa(c.Step))
	}
	return strings.Join(out, ", ")
}

// names are the resources of changes, for sentences.
func (cs changes) names() string {
	var out []string
	for _, c := range cs {
		if !slices.Contains(out, c.Resource) {
			out = append(out, c.Resource)
		}
	}
	return strings.Join(out, ", ")
}
