package report

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"fabgo/internal/journal"
	"fabgo/transport"
)

// Summary counts what happened on each host; exit codes and the recap come from it. It is a journal.Sink and safe for concurrent use.
// The zero Summary is ready.
type Summary struct {
	mu    sync.Mutex
	hosts map[string]*HostSummary
}

// HostSummary is what a journal says of one host as a whole.
type HostSummary struct {
	Host    string
	Mode    journal.Mode
	Verdict journal.Verdict        // "" when the session has not ended, or its journal ends in the middle
	Counts  map[journal.Status]int // of steps; of quiet ones only those that failed or met an unknown
	Error   *journal.Failure       // of the session
	Millis  int64
	// Lost says which change was sent last without an answer being recorded; nobody knows whether it happened. "" is none.
	Lost string
	// Acting is the user that a plan looked as, when that is not root, and so has not seen what only root may do. "" is none.
	Acting string

	step journal.Begin
}

// Changed is the number of steps that changed the host, or would.
func (h HostSummary) Changed() int { return h.Counts[journal.Changed] }

// Pending reports whether a plan expects changes, or cannot exclude them.
func (h HostSummary) Pending() bool {
	return h.Mode == journal.Planning && h.Counts[journal.Changed]+h.Counts[journal.Unknown] > 0
}

// leftBehind reports whether the run may have gone on beside its host when the journal here ended: attach tells.
func (h HostSummary) leftBehind() bool {
	lost := h.Verdict == journal.Unreachable && h.Error != nil && h.Error.Kind == transport.Lost
	return h.Mode == journal.Running && !strings.HasPrefix(h.Host, "@") && (h.Verdict == "" || lost)
}

// Record counts.
func (s *Summary) Record(rec journal.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hosts == nil {
		s.hosts = map[string]*HostSummary{}
	}
	h := s.hosts[rec.Host]
	if h == nil {
		h = &HostSummary{Host: rec.Host, Counts: map[journal.Status]int{}}
		s.hosts[rec.Host] = h
	}
	switch b := rec.Body.(type) {
	case journal.Start:
		h.Mode = b.Mode
		if b.Mode == journal.Planning && b.User != "root" {
			h.Acting = b.User
		}
	case journal.Begin:
		h.step = b
	case journal.Intent:
		h.Lost = title(h.step)
	case journal.Outcome:
		if b.Error == nil || b.Error.Kind != transport.Lost {
			h.Lost = ""
		} else if h.Lost == "" {
			h.Lost = title(h.step)
		}
	case journal.End:
		if !b.Quiet || b.Status != journal.OK {
			h.Counts[b.Status]++
		}
		h.Millis += b.Millis // until Finish tells the whole
	case journal.Finish:
		h.Verdict, h.Error, h.Millis = b.Status, b.Error, b.Millis
		if len(b.Counts) > 0 { // they know which failures the bundle held
			h.Counts = maps.Clone(b.Counts)
		}
	}
	return nil
}

// Keep keeps nothing.
func (s *Summary) Keep(transport.Content) error { return nil }

// Sync does nothing.
func (s *Summary) Sync() error { return nil }

// Hosts are the hosts that have said anything, by name.
func (s *Summary) Hosts() []HostSummary {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]HostSummary, 0, len(s.hosts))
	for _, h := range s.hosts {
		c := *h
		c.Counts = make(map[journal.Status]int, len(h.Counts))
		for k, n := range h.Counts {
			c.Counts[k] = n
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b HostSummary) int { return strings.Compare(a.Host, b.Host) })
	return out
}

// Count is the number of hosts with a verdict.
func (s *Summary) Count(v journal.Verdict) int {
	n := 0
	for _, h := range s.Hosts() {
		if h.Verdict == v {
			n++
		}
	}
	return n
}
