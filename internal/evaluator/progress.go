package evaluator

import (
	"time"

	"fabgo/internal/journal"
)

// progress is what the records of a session tell of it so far: enough to end it in its stead.
type progress struct {
	job      Job
	started  bool
	finished bool
	opened   time.Time
	step     int
	begin    *journal.Begin // of the step that is open
	since    time.Time
	counts   map[journal.Status]int
}

// wants reports whether the body of a record matters here.
func (s *progress) wants(typ string) bool {
	switch typ {
	case journal.Start{}.Type(), journal.Begin{}.Type(), journal.End{}.Type(), journal.Finish{}.Type():
		return true
	}
	return false
}

func (s *progress) add(r journal.Record) {
	switch b := r.Body.(type) {
	case journal.Start:
		s.started, s.opened, s.counts = true, r.Time, map[journal.Status]int{}
	case journal.Begin:
		s.step, s.begin, s.since = r.Step, &b, r.Time
	case journal.End:
		s.begin = nil
		if !b.Quiet || b.Status != journal.OK {
			s.counts[b.Status]++
		}
	case journal.Finish:
		s.finished = true
	}
}

// close is what is missing of a session that ended without saying so.
func (s *progress) close(now time.Time, v journal.Verdict, f journal.Failure) []journal.Record {
	if s.finished {
		return nil
	}
	var out []journal.Record
	rec := func(step int, b journal.Body) {
		out = append(out, journal.Record{Host: s.job.Info.Name, Time: now, Step: step, Body: b})
	}
	if !s.started {
		start := s.job.Start
		start.Schema, start.Mode = journal.Schema, s.job.Mode
		start.Address, start.Login, start.User = s.job.Info.Address, s.job.Info.User, s.job.Info.Acting
		s.opened = now
		rec(0, start)
	}
	if s.begin != nil {
		s.count(journal.Failed)
		rec(s.step, journal.End{Begin: *s.begin, Status: journal.Failed, Error: &f, Millis: now.Sub(s.since).Milliseconds()})
	}
	rec(0, journal.Finish{Status: v, Counts: s.counts, Error: &f, Millis: now.Sub(s.opened).Milliseconds()})
	return out
}

func (s *progress) count(st journal.Status) {
	if s.counts == nil {
		s.counts = map[journal.Status]int{}
	}
	s.counts[st]++
}
