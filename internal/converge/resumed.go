package converge

import (
	"context"

	"fabgo/internal/journal"
	"fabgo/transport"
)

// resumedLedger is the ledger of a session that goes on: what it began with is in its first record, since by now the host remembers what
// it has done itself.
type resumedLedger struct {
	then journal.Start
	host Ledger
	live func() bool
}

// ResumedLedger is the host's ledger for a session that is evaluated again up to where live reports true.
func ResumedLedger(then journal.Start, host Ledger, live func() bool) Ledger {
	return &resumedLedger{then, host, live}
}

// Open opens the host's ledger and answers from the first record.
func (l *resumedLedger) Open(ctx context.Context) (transport.Path, []journal.Carried, error) {
	if _, _, err := l.host.Open(ctx); err != nil {
		return "", nil, err
	}
	return transport.Path(l.then.State), l.then.Carried, nil
}

// Add adds what is new.
func (l *resumedLedger) Add(ctx context.Context, changes []journal.Carried) error {
	if !l.live() {
		return nil
	}
	return l.host.Add(ctx, changes)
}

// Save saves what is new.
func (l *resumedLedger) Save(ctx context.Context, unsettled []journal.Carried) error {
	if !l.live() {
		return nil
	}
	return l.host.Save(ctx, unsettled)
}
