package converge

import (
	"context"

	"fabgo/internal/journal"
	"fabgo/transport"
)

// Wait is a step that changes nothing: it looks until the host is as it is to be.
type Wait interface {
	Name() string
	// Look reports whether the host is so; why says what was seen instead. An error ends the wait.
	Look(ctx context.Context, h transport.Host) (ok bool, why string, err error)
	// Again pauses after a look in vain. An error, which says what was seen last, ends the wait.
	Again(why string) error
}

// Await looks until the host is as it is to be. A plan looks once: what is not so yet it cannot tell, since what a step or somebody else will do
// may bring it about.
func (s *Session) Await(st Step, w Wait) error {
	if err := s.begin(st, w.Name(), false); err != nil {
		return err
	}
	c := Change{Resource: w.Name(), Status: journal.OK}
	for {
		ok, why, err := w.Look(s.ops, s.host)
		if s.Planning() && (CauseOf(err) != nil || err == nil && !ok) {
			if c.Status, c.Because = journal.Unknown, why; err != nil {
				c.Because = err.Error()
			}
			ok, err = true, nil
		}
		if !ok && err == nil {
			if err = w.Again(why); s.ctx.Err() != nil { // which may be what broke the pause off
				err = &transport.Error{Kind: transport.Interrupted, Message: "the wait was broken off: " + context.Cause(s.ctx).Error(), Err: s.ctx.Err()}
			}
		}
		if ok || err != nil {
			_, err = s.end(st, c, err)
			return err
		}
	}
}
