package converge

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"fabgo/internal/journal"
	"fabgo/transport"
)

// Unsettled is what a session knows of changes that no run has settled.
type Unsettled struct {
	Run     string            // the run that this session belongs to
	Tasks   []journal.Task    // what it was asked for
	State   transport.Path    // the state folder of the host; "": that of root
	Carried []journal.Carried // changes of runs that did not reach their end
	Ledger  Ledger            // where this session's own are kept; nil: nowhere
}

// Open reads from the ledger what earlier runs left.
func (u *Unsettled) Open(ctx context.Context) (err error) {
	if u.Ledger == nil {
		return nil
	}
	if u.State, u.Carried, err = u.Ledger.Open(ctx); err != nil {
		return unkept("nothing was begun, because it cannot be known what earlier runs left unsettled", err)
	}
	return nil
}

// unsettled follows the changes of a session until it settles them.
//
// A change is written down before it is made, so that it is not lost either when the host goes away in the middle of the step. It is
// settled when the session reaches its end and the bundle was told of it. What the bundle was not told stays: a step that failed and was
// held by attempt, whose change may have been made all the same, and one that this run did not come to, as it was asked for other tasks.
// A step to which a run with the same tasks did not come any more is forgotten, aloud.
type unsettled struct {
	Unsettled
	carried carriedList     // those of Carried
	saved   carriedList     // as the host has them
	told    map[string]bool // by key
	done    []string        // keys of saved that were told since the host last heard of any
}

// key is what a change is known by from run to run. A file is a file, whichever builtin writes it: a bundle is mended between two runs.
// Of other resources each builtin has a state of its own (a unit runs, is enabled, was restarted).
func key(builtin, resource string) string {
	if resource = journal.Readable(resource); strings.HasPrefix(resource, string(FileTable)+":") {
		return resource
	}
	return builtin + " " + resource
}

func keyOf(c journal.Carried) string { return key(c.Builtin, c.Resource) }

// Carry tells the session which changes it inherits and where it keeps its own. It is called before the first step.
func (s *Session) Carry(u Unsettled) {
	s.unsettled = unsettled{Unsettled: u, carried: newCarriedList(u.Carried), saved: newCarriedList(u.Carried), told: map[string]bool{}}
}

// State is the folder on the host in which fabgo keeps what it has to remember there.
func (s *Session) State() transport.Path {
	if s.unsettled.State == "" {
		return rootState
	}
	return s.unsettled.State
}

// origin names the change that a step makes.
func (u *unsettled) origin(step int) string { return origin(u.Run, step) }

func origin(run string, step int) string { return fmt.Sprintf("%s#%d", run, step) }

// keep writes a change down on the host before it is made. What cannot be kept is not done.
func (u *unsettled) keep(ctx context.Context, c journal.Carried) error {
	c.Run, c.Tasks, c.Builtin, c.Resource = u.Run, u.Tasks, journal.Readable(c.Builtin), journal.Readable(c.Resource)
	delete(u.told, keyOf(c))
	if u.Ledger == nil {
		return nil
	}
	if err := u.add(ctx, append(u.certain(), c)); err != nil {
		return unkept("the change was not made, because it could not be kept for the case that this run fails", err)
	}
	return nil
}

// certain are the changes of which the host does not know yet that they are done.
func (u *unsettled) certain() (changes []journal.Carried) {
	for _, k := range u.done {
		if c, ok := u.saved.get(k); ok && u.told[k] && !c.Done {
			c.Done = true
			changes = append(changes, c)
		}
	}
	return changes
}

// add tells the host of changes.
func (u *unsettled) add(ctx context.Context, changes []journal.Carried) error {
	if err := u.Ledger.Add(ctx, changes); err != nil {
		return err
	}
	for _, c := range changes {
		u.saved.put(c)
	}
	u.done = nil
	return nil
}

// inherit makes a step that found nothing to do changed, where a run that did not reach its end changed it.
func (u *unsettled) inherit(builtin string, c *Change) {
	from, ok := u.carried.get(key(builtin, c.Resource))
	if !ok {
		return
	}
	why := fmt.Sprintf("carried over from run %s: that run did not reach its end", from.Run)
	if from.Failed {
		why = fmt.Sprintf("carried over from run %s: the step failed there", from.Run)
	}
	if c.Status == journal.OK {
		c.Status = journal.Changed
	} else {
		why = c.Because + "; changed: " + why
	}
	c.Changed, c.Carried, c.Because, c.Origin = true, from.Run, why, origin(from.Run, from.Step)
}

// tell remembers that the bundle got the change.
func (u *unsettled) tell(builtin, resource string) {
	if u.told == nil {
		return
	}
	k := key(builtin, resource)
	if !u.told[k] {
		u.told[k] = true
		u.done = append(u.done, k)
	}
}

// Settle ends the memory of what the bundle was told, as its run has reached its end. Plans settle nothing.
func (s *Session) Settle(ctx context.Context) error {
	u := &s.unsettled
	if u.Ledger == nil || s.Planning() {
		return nil
	}
	var left []journal.Carried
	for _, c := range u.saved.list {
		switch {
		case u.told[keyOf(c)]:
			continue
		case c.Run == u.Run:
			c.Failed = true
		case u.covers(c):
			if err := s.forget(c); err != nil {
				return err
			}
			continue
		}
		left = append(left, c)
	}
	if reflect.DeepEqual(left, u.saved.list) {
		return nil
	}
	if err := u.Ledger.Save(ctx, left); err != nil {
		return unkept("all steps are done, but their changes could not be settled, so the next run carries them over", err)
	}
	u.saved = newCarriedList(left)
	return nil
}

// Leave is for a session that ends before its end on a host that still answers: it marks which changes are certain. They are kept in any
// case, so it may fail.
func (s *Session) Leave(ctx context.Context) {
	u := &s.unsettled
	if u.Ledger == nil || s.Planning() {
		return
	}
	if changes := u.certain(); len(changes) > 0 {
		_ = u.add(ctx, changes)
	}
}

// covers reports whether the session was asked for all that the run of a change was asked for.
func (u *unsettled) covers(c journal.Carried) bool {
	for _, t := range c.Tasks {
		if !slices.ContainsFunc(u.Tasks, func(o journal.Task) bool { return o.Name == t.Name && slices.Equal(o.Args, t.Args) }) {
			return false
		}
	}
	return true
}

// forget says that nothing will hang on a change any more. A step that failed has told nobody that it changed something.
func (s *Session) forget(c journal.Carried) error {
	if !c.Done {
		return nil
	}
	return s.Note(fmt.Sprintf("%s changed %s in run %s, which did not reach its end, and this run did not come to that step: what hangs on it does not happen",
		c.Builtin, c.Resource, c.Run), "")
}

// UnkeptError says that the host's memory of unsettled changes could not be read or written.
type UnkeptError struct {
	Message string
	Err     error
}

// Error is what could not be kept, and why.
func (e *UnkeptError) Error() string { return e.Message }

// Unwrap is the cause.
func (e *UnkeptError) Unwrap() error { return e.Err }

func unkept(what string, err error) error {
	if e, ok := err.(*replayed); ok {
		return &UnkeptError{Message: e.Error(), Err: e.error}
	}
	return &UnkeptError{Message: what + ": " + err.Error(), Err: err}
}

// Failure is an error as journals keep it.
func Failure(err error) journal.Failure { return failure(err) }

// replayed is an error that the journal tells in the words of the session that met it.
type replayed struct{ error }

// ReplayLedger is the ledger of a session that is evaluated again from its journal.
type ReplayLedger struct {
	Start  journal.Start // of the recorded session
	Unkept func() error  // journal.Replay.Unkept
}

var _ Ledger = ReplayLedger{}

// Open answers from the first record.
func (l ReplayLedger) Open(context.Context) (transport.Path, []journal.Carried, error) {
	return transport.Path(l.Start.State), l.Start.Carried, l.fail()
}

// Add fails where it failed then.
func (l ReplayLedger) Add(context.Context, []journal.Carried) error { return l.fail() }

// Save fails where it failed then.
func (l ReplayLedger) Save(context.Context, []journal.Carried) error { return l.fail() }

func (l ReplayLedger) fail() error {
	if err := l.Unkept(); err != nil {
		return &replayed{err}
	}
	return nil
}
