package bench

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestInterleaveTakesTurns(t *testing.T) {
	var order []string
	mark := func(s string) func() error { return func() error { order = append(order, s); return nil } }
	a, b := &Case{Name: "a", Before: mark("before a"), Run: mark("a")}, &Case{Name: "b", Run: mark("b")}
	if err := Interleave(2, a, b); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(order, ", "), "before a, a, b, before a, a, b"; got != want {
		t.Errorf("got %s; want %s", got, want)
	}
	if a.Rounds() != 2 || b.Rounds() != 2 {
		t.Errorf("%d and %d rounds", a.Rounds(), b.Rounds())
	}
	if err := Interleave(1, a, &Case{Name: "c", Run: func() error { return errors.New("broken") }}); err == nil || err.Error() != "c: broken" {
		t.Errorf("a case that fails: %v", err)
	}
}

func TestRatiosAreOfTheirRounds(t *testing.T) {
	// The machine is ten times as slow in the second round, which the medians of the times do not see.
	a, b := &Case{times: []time.Duration{20, 200, 22}}, &Case{times: []time.Duration{10, 100, 11}}
	if got := a.Times(b); got != 2 {
		t.Errorf("got %v times, want 2", got)
	}
	if got := a.Median(); got != 22 {
		t.Errorf("the median is %v, want 22", got)
	}
	if got := (&Case{times: []time.Duration{4, 1, 3, 2}}).Median(); got != 2 {
		t.Errorf("the median of four is %v, want 2 (2.5)", got)
	}
	if got := (&Case{}).Median(); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
}

func TestTable(t *testing.T) {
	table := Table{Title: "Häuser", Columns: []string{"what", "is"}}
	table.Add("short", Seconds(99400*time.Microsecond))
	table.Add("läng", Seconds(1234*time.Millisecond))
	var b strings.Builder
	if err := table.Write(&b); err != nil {
		t.Fatal(err)
	}
	want := "## Häuser\n\n| what  | is     |\n| ----- | ------ |\n| short | 99 ms  |\n| läng  | 1.23 s |\n\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
