package helper

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"fabgo/internal/journal"
	"fabgo/transport/wire"
)

func TestRecordsWaitForOthersAndNothingElseDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		c := wire.New(r, io.Discard, r.Close, wire.Options{})
		defer c.Close()
		defer w.Close()
		h := newHub()
		start := time.Now()
		later := func(d time.Duration, f func()) { time.AfterFunc(d, f) }
		record := func() { _ = h.Line("note", []byte("{}")) }
		next := func(from, want int, at time.Duration, last string) {
			t.Helper()
			batch, ok := h.next(c, from)
			if !ok || len(batch) != want || batch[len(batch)-1].topic != last {
				t.Fatalf("from %d on came %d messages (%v), want %d with a %s as the last", from, len(batch), ok, want, last)
			}
			if took := time.Since(start); took != at {
				t.Errorf("they came after %s, want %s", took, at)
			}
		}
		record()
		later(5*time.Millisecond, record)
		later(19*time.Millisecond, record)
		next(0, 3, gather, TopicRecord)

		start = time.Now()
		later(2*time.Millisecond, record)
		later(4*time.Millisecond, func() { h.notice("somebody waits for this") })
		next(3, 2, 4*time.Millisecond, TopicNotice)

		start = time.Now()
		record()
		later(time.Millisecond, func() { h.end(Done{Verdict: journal.Finished}) })
		next(5, 2, time.Millisecond, TopicDone)
	})
}
