// Package bench compares fabgo with what it has to be measured by: what a connection costs by itself, a shell script written by hand, rsync,
// and its peers. Its test on real machines does the measuring (make bench) and writes docs/benchmarks.md.
//
// The one rule: what is compared is measured in the same rounds, one after the other, so that a machine that is busy with other things is
// busy for both.
//
// The trap: medians of few runs on a shared machine move by a tenth. A ratio says more than the times that it is made of.
//
// The promise: what the report says was measured in that run, and what does not hold is said like what does.
package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Case is something that is measured, once a round.
type Case struct {
	Name string
	// Before is what has to be done before each time, and is not measured; it may be nil.
	Before func() error
	Run    func() error

	times []time.Duration
}

// Interleave measures cases in rounds: each of them once, then each of them again.
func Interleave(rounds int, cases ...*Case) error {
	for range rounds {
		for _, c := range cases {
			if c.Before != nil {
				if err := c.Before(); err != nil {
					return fmt.Errorf("before %s: %w", c.Name, err)
				}
			}
			start := time.Now()
			if err := c.Run(); err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
			c.times = append(c.times, time.Since(start))
		}
	}
	return nil
}

// Median is the middle one of the times.
func (c *Case) Median() time.Duration { return median(c.times) }

// Rounds is how often the case was measured.
func (c *Case) Rounds() int { return len(c.times) }

// Times is how many times as long as another one it took: the median of the ratios in each round.
func (c *Case) Times(than *Case) float64 {
	var ratios []float64
	for i := range min(len(c.times), len(than.times)) {
		ratios = append(ratios, float64(c.times[i])/float64(than.times[i]))
	}
	return median(ratios)
}

func median[T time.Duration | float64](of []T) T {
	if len(of) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(of))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// Table is what was measured, for people.
type Table struct {
	Title   string
	Columns []string
	Rows    [][]string
}

// Add appends a row.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// Write writes the table as Markdown, aligned, so that it can be read as it is too.
func (t *Table) Write(w io.Writer) error {
	widths := make([]int, len(t.Columns))
	for _, row := range slices.Concat([][]string{t.Columns}, t.Rows) {
		for i, c := range row {
			widths[i] = max(widths[i], len([]rune(c)))
		}
	}
	var b strings.Builder
	if t.Title != "" {
		b.WriteString("## " + t.Title + "\n\n")
	}
	line := func(cells []string) {
		b.WriteString("|")
		for i, width := range widths {
			c := ""
			if i < len(cells) {
				c = cells[i]
			}
			b.WriteString(" " + c + strings.Repeat(" ", width-len([]rune(c))) + " |")
		}
		b.WriteString("\n")
	}
	line(t.Columns)
	var rule []string
	for _, width := range widths {
		rule = append(rule, strings.Repeat("-", width))
	}
	line(rule)
	for _, row := range t.Rows {
		line(row)
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// Seconds writes a time as tables show it.
func Seconds(d time.Duration) string {
	if d < 100*time.Millisecond {
		return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
