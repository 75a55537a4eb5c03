package converge

import (
	"context"
	"errors"
	"fmt"

	"fabgo/internal/journal"
	"fabgo/transport"
)

// Resource is a thing with a wanted state.
type Resource interface {
	// Name identifies it in output: "file:/etc/motd".
	Name() string
	// Want tells the objects that it wants, in the order in which they are to be made. It may look at the host through h, where a
	// plan shows what earlier steps would have done.
	Want(ctx context.Context, h transport.Host) ([]Object, error)
	// Apply makes the objects in delta so. They are those that differ; it is called in runs only.
	Apply(ctx context.Context, h transport.Host, delta []Pair) error
}

// Opaque is a Resource whose Apply does more than its objects tell, such as installing a package.
type Opaque interface {
	Resource
	Opaque() Scope
}

// Concealer is a Resource whose Apply lets something else be seen in some places than what a plan can look at: a file system that is mounted.
type Concealer interface {
	Resource
	// Conceals are the places, each with all below it, when the objects in delta are made so.
	Conceals(delta []Pair) []Object
}

// Reacher is a Resource of files that knows where it reaches also when what it wants there is not known: the places of the files that it
// may make, change or remove, each with all below it. Folders that it makes above them do not count: where a place is not known to be
// there, neither is a folder above it that is missing.
type Reacher interface {
	Resource
	Reach() []Object
}

// Passer is a Resource or an Action that leaves a mark on the host also when there is nothing to do. Plans do not call Pass.
type Passer interface {
	Pass(ctx context.Context, h transport.Host) error
}

// Pair is an object as it is wanted and as it was found.
type Pair struct{ Want, Have Object }

// Converge makes a resource so, or predicts it.
func (s *Session) Converge(st Step, r Resource) (Change, error) {
	if err := s.begin(st, r.Name(), false); err != nil {
		return Change{}, err
	}
	c, err := s.converge(st, r)
	c.Resource = r.Name()
	if err == nil && !c.Changed {
		s.unsettled.inherit(st.Builtin, &c)
	}
	return s.end(st, c, err)
}

func (s *Session) converge(st Step, r Resource) (Change, error) {
	want, err := r.Want(s.ops, s.host)
	if err != nil {
		return s.blind(st, r, err)
	}
	for i, w := range want {
		if w.Hidden && w.File != nil && w.File.Content != nil {
			s.Hide(*w.File.Content)
		}
		if w.File != nil && w.File.Content != nil && w.File.Content.Secret {
			if want[i], err = secretive(w); err != nil {
				return Change{}, err
			}
		}
	}
	have, err := probeAs(s.ops, s.host, r, want)
	if err != nil {
		return Change{}, err
	}
	delta, deltas, cause, err := s.compare(r, want, have)
	if err != nil {
		return Change{}, err
	}
	if len(delta) == 0 {
		return Change{Status: journal.OK, want: want, have: have}, s.pass(r)
	}
	c := Change{Status: journal.Changed, Changed: true, Diff: deltas}
	if cause != nil {
		c.Status, c.Because = journal.Unknown, cause.String()
	}
	if s.Planning() {
		for i, w := range want {
			have[i] = merge(w, have[i])
		}
		c.want, c.have = want, have
		return c, s.predict(st, r, delta)
	}
	if err := s.keep(st, r.Name()); err != nil {
		return c, err
	}
	if err := r.Apply(s.ops, s.host, delta); err != nil {
		return c, err
	}
	if _, ok := r.(Opaque); ok {
		s.changes++
	}
	c.want = want
	c.have, err = s.verify(r, want)
	return c, err
}

func (s *Session) keep(st Step, resource string) error {
	return s.unsettled.keep(s.ops, journal.Carried{Builtin: st.Builtin, Resource: resource, Step: s.rec.Step()})
}

func (s *Session) pass(r any) error {
	if p, ok := r.(Passer); ok && !s.Planning() {
		return p.Pass(s.ops, s.host)
	}
	return nil
}

// blind ends a step whose wanted state cannot be told before the run. Its effect is not known either: where it reaches is veiled, or,
// when it does not say where, what it would touch is dark.
func (s *Session) blind(st Step, r Resource, err error) (Change, error) {
	if CauseOf(err) == nil || s.overlay == nil {
		return Change{}, err
	}
	c, by := Change{Status: journal.Unknown, Changed: true, Because: err.Error()}, s.cause(st, r.Name())
	if reacher, ok := r.(Reacher); ok {
		for _, o := range reacher.Reach() {
			if err := s.overlay.Veil(s.ops, o, by); err != nil {
				return Change{}, err
			}
		}
		return c, nil
	}
	scope := Scope{}
	if o, ok := r.(Opaque); ok {
		scope = o.Opaque()
		scope.Listed = false // nothing was
	}
	s.overlay.Darken(scope, by)
	s.changes++
	return c, nil
}

// Previewer is a Resource that can have the contents of many objects ready at once, before their lines are compared.
type Previewer interface {
	Preview(ctx context.Context, h transport.Host, shown []Pair) error
}

// mostShown is how many objects of a step have their differences told in full. Of more a person reads no lines: it is told which they are.
const mostShown = 100

func (s *Session) compare(r Resource, want, have []Object) (delta []Pair, deltas []journal.Delta, cause *Cause, err error) {
	for i, w := range want {
		if satisfied(w, have[i]) {
			continue
		}
		if err := possible(w, have[i]); err != nil {
			return nil, nil, nil, err
		}
		if err := emptied(s.ops, s.host, w, have[i]); err != nil {
			return nil, nil, nil, err
		}
		if c := unsure(w, have[i]); c != nil && cause == nil {
			cause = c
		}
		delta = append(delta, Pair{w, have[i]})
	}
	shown := delta[:min(len(delta), mostShown)]
	if p, ok := r.(Previewer); ok && len(shown) > 0 {
		if err := p.Preview(s.ops, s.host, shown); err != nil {
			return nil, nil, nil, err
		}
	}
	tell := diff
	for i, p := range delta {
		if i == len(shown) {
			tell = brief
		}
		ds, err := tell(s.ops, s.host, p.Want, p.Have)
		if err != nil {
			return nil, nil, nil, err
		}
		deltas = append(deltas, ds...)
	}
	return delta, deltas, cause, nil
}

func (s *Session) cause(st Step, resource string) Cause {
	return Cause{Step: s.rec.Step(), What: st.Builtin + " " + resource, Pos: st.Pos}
}

func (s *Session) predict(st Step, r Resource, delta []Pair) error {
	by := s.cause(st, r.Name())
	for _, p := range delta {
		if err := s.parent(p.Want); err != nil {
			return err
		}
		if err := s.overlay.Put(s.ops, merge(p.Want, p.Have), by); err != nil {
			return err
		}
	}
	if c, ok := r.(Concealer); ok {
		for _, o := range c.Conceals(delta) {
			if err := s.overlay.Veil(s.ops, o, by); err != nil {
				return err
			}
		}
	}
	if o, ok := r.(Opaque); ok {
		s.overlay.Darken(o.Opaque(), by)
		s.changes++
	}
	return nil
}

// parent foresees the most common way in which writing a file fails: there is no folder for it.
func (s *Session) parent(w Object) error {
	if w.File == nil {
		return nil
	}
	p := transport.Path(w.Key.Name)
	if w.File.Follow {
		q, err := followed(s.ops, s.host, p)
		if err != nil && CauseOf(err) == nil {
			return err
		}
		p = q
	}
	dir := p.Dir()
	fi, err := transport.Do[transport.FileInfo](s.ops, s.host, transport.Stat{Path: dir, Follow: true})
	switch {
	case CauseOf(err) != nil:
		return nil
	case err != nil:
		return err
	case fi.Type == transport.Absent:
		return noFolder(p)
	case fi.Type != transport.Dir:
		return &transport.Error{Kind: transport.Refused, Path: dir, Message: fmt.Sprintf("write %s: %s is a %s, not a folder", p, dir, noun(fi.Type))}
	}
	return nil
}

func noFolder(p transport.Path) error {
	return &transport.Error{
		Kind: transport.NotFound, Path: p, Message: fmt.Sprintf("write %s: there is no folder %s", p, p.Dir()),
		Hint: fmt.Sprintf("make it before: file.dir(%q)", string(p.Dir())),
	}
}

// verify looks again after Apply, and tells what it found.
func (s *Session) verify(r Resource, want []Object) ([]Object, error) {
	have, err := probeAs(s.ops, s.host, r, want)
	if err != nil {
		return nil, fmt.Errorf("look again after the change: %w", err)
	}
	var left []journal.Delta
	for i, w := range want {
		if !satisfied(w, have[i]) {
			w.Hidden = true // the difference, not the lines
			ds, err := diff(s.ops, s.host, w, have[i])
			if err != nil {
				return nil, err
			}
			left = append(left, ds...)
		}
	}
	if len(left) > 0 {
		return nil, fmt.Errorf("it did not converge: after the change %s", differences(left))
	}
	return have, nil
}

// Prober is a Resource that finds its objects itself: with fewer questions than one each, or where no Lookup has them. In a plan the
// rows that earlier steps predicted take the place of those that it found.
type Prober interface {
	Probe(ctx context.Context, h transport.Host, want []Object) ([]Object, error)
}

// Find finds objects as a resource without a Probe of its own has them found.
func Find(ctx context.Context, h transport.Host, want []Object) ([]Object, error) {
	return probe(ctx, h, want)
}

func probeAs(ctx context.Context, h transport.Host, r Resource, want []Object) ([]Object, error) {
	p, ok := r.(Prober)
	if !ok {
		return probe(ctx, h, want)
	}
	have, err := p.Probe(ctx, h, want)
	if o, ok := h.(*Overlay); ok && err == nil {
		for i, w := range want {
			if p := o.rows[w.Key]; p != nil {
				have[i] = p.obj
			}
		}
	}
	return have, err
}

// Action is a step that has no state to compare: a command, a reload.
type Action interface {
	Name() string
	// Needed asks the guards: why says, when it is not needed, what speaks against it.
	Needed(ctx context.Context, h transport.Host) (needed bool, why string, err error)
	// Do acts; runs only.
	Do(ctx context.Context, h transport.Host) error
	// Effect is what a plan predicts of it.
	Effect() Effect
}

// Effect is what a plan can say of an action.
type Effect struct {
	Opaque  bool
	Scope   Scope
	Objects []Object // wanted states that it brings about
	Because string   // it may or may not happen, and why ("" when it is certain)
}

// Act carries an action out, or predicts it.
func (s *Session) Act(st Step, a Action) (Change, error) {
	if err := s.begin(st, a.Name(), false); err != nil {
		return Change{}, err
	}
	c, err := s.act(st, a)
	c.Resource = a.Name()
	if err == nil && !c.Changed {
		s.unsettled.inherit(st.Builtin, &c)
	}
	return s.end(st, c, err)
}

func (s *Session) act(st Step, a Action) (Change, error) {
	needed, why, err := a.Needed(s.ops, s.host)
	c := Change{Status: journal.Changed, Changed: true}
	if cause := CauseOf(err); cause != nil {
		c.Status, c.Because = journal.Unknown, err.Error()
	} else if err != nil {
		return Change{}, err
	} else if !needed {
		return Change{Status: journal.Skipped, Because: why}, s.pass(a)
	}
	eff := a.Effect()
	if !s.Planning() {
		if err := s.keep(st, a.Name()); err != nil {
			return c, err
		}
		err := a.Do(s.ops, s.host)
		if eff.Opaque {
			s.changes++
		}
		return c, err
	}
	by := s.cause(st, a.Name())
	if eff.Because != "" && c.Because == "" {
		c.Status, c.Because = journal.Unknown, eff.Because
	}
	for _, w := range eff.Objects {
		o, err := probe(s.ops, s.host, []Object{w})
		if err != nil {
			return c, err
		}
		if err := s.overlay.Put(s.ops, merge(w, o[0]), by); err != nil {
			return c, err
		}
	}
	if eff.Opaque {
		s.overlay.Darken(eff.Scope, by)
		s.changes++
	}
	return c, nil
}

// ErrAttemptable reports whether attempt() may hold an error: a failed step, yes; a lost connection, an unknown outcome, an end of the
// session, no.
func ErrAttemptable(err error) bool {
	se, ok := errors.AsType[*StepError](err)
	if !ok || CauseOf(err) != nil {
		return false
	}
	switch transport.KindOf(se.Err) {
	case transport.Unreachable, transport.Lost, transport.Interrupted, transport.HostKey, transport.Auth, transport.Protocol:
		return false
	}
	return true
}
