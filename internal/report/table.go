package report

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fabgo/internal/journal"
)

// Past is a run of the past, in a line.
type Past struct {
	ID      string
	Time    time.Time // when it began
	Mode    journal.Mode
	Bundle  string // file name
	Tasks   []string
	Hosts   []string
	Verdict journal.Verdict // the worst of its hosts; "" where a session did not finish
	Changed int             // steps that changed, or would have
	Millis  int64           // of the slowest host
	Attach  string          // a host on which it went on, perhaps, when this journal had ended
	Err     error           // the journal cannot be read
}

// worst orders verdicts from bad to good.
var worst = []journal.Verdict{journal.Invalid, journal.Broken, journal.Unreachable, journal.Interrupted, journal.Locked, "", journal.Partial, journal.Finished}

// History reads what a run was. A journal that cannot be read is told in the Past, so that one damaged run does not hide the others.
func History(run *journal.Run) Past {
	p := Past{ID: run.ID}
	hosts, err := run.Hosts()
	if err == nil && len(hosts) == 0 {
		err = errors.New("it has no records")
	}
	p.Hosts, p.Err = hosts, err
	var sum Summary
	for _, h := range hosts {
		recs, err := run.Read(h)
		if err != nil {
			p.Err = err
			continue
		}
		for _, rec := range recs {
			sum.Record(rec)
			if s, ok := rec.Body.(journal.Start); ok && (p.Time.IsZero() || rec.Time.Before(p.Time)) {
				p.Time, p.Mode, p.Bundle, p.Tasks = rec.Time, s.Mode, filepath.Base(s.Bundle), nil
				for _, t := range s.Tasks {
					p.Tasks = append(p.Tasks, t.Name)
				}
			}
		}
	}
	at := len(worst) - 1
	if len(sum.Hosts()) < len(hosts) { // one was killed before its host had answered
		at = slices.Index(worst, "")
	}
	for _, h := range sum.Hosts() {
		p.Changed += h.Changed()
		p.Millis = max(p.Millis, h.Millis)
		if p.Attach == "" && h.leftBehind() {
			p.Attach = h.Host
		}
		if i := slices.Index(worst, h.Verdict); i < at {
			at = max(i, 0) // a verdict of a newer fabgo is no good news
		}
	}
	p.Verdict = worst[at]
	return p
}

// TableOptions say how RunTable prints.
type TableOptions struct {
	Color bool
	Now   time.Time // ages count back from it; zero: times are given instead
}

// RunTable prints the history of runs, a line each.
func RunTable(w io.Writer, opts TableOptions, runs ...Past) error {
	p := paint(opts.Color)
	rows := [][]string{{"RUN", "WHEN", "MODE", "BUNDLE", "HOSTS", "CHANGED", "TIME", "RESULT"}}
	styles := []style{bold}
	for _, r := range runs {
		word, s := verdictWord(r.Verdict)
		if r.Verdict == "" {
			word, s = "did not finish", alarm
		}
		if r.Attach != "" {
			if r.Verdict == journal.Unreachable {
				word = "connection lost"
			}
			word += "; fabgo attach " + r.Attach + " " + r.ID
		}
		if r.Err != nil {
			rows = append(rows, []string{r.ID, age(r.Time, opts.Now), "", "", "", "", "", "unreadable: " + r.Err.Error()})
			styles = append(styles, alarm)
			continue
		}
		rows = append(rows, []string{
			r.ID, age(r.Time, opts.Now), string(r.Mode), strings.Join(append([]string{r.Bundle}, r.Tasks...), " "), hostsText(r.Hosts),
			fmt.Sprint(r.Changed), duration(r.Millis), word,
		})
		styles = append(styles, s)
	}
	var widths [8]int
	for _, row := range rows {
		for i := range row {
			row[i] = Escape(row[i])
			widths[i] = max(widths[i], columns(row[i]))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			text := left(cell, widths[i])
			switch {
			case i == 5 || i == 6: // numbers
				text = strings.Repeat(" ", widths[i]-columns(cell)) + cell
			case i == len(row)-1:
				text = cell
			}
			if n == 0 || i == len(row)-1 {
				text = p.in(styles[n], text)
			}
			if i > 0 {
				b.WriteString("  ")
			}
			b.WriteString(text)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return writeError(err)
}

// hostsText names a few hosts and counts the rest.
func hostsText(hosts []string) string {
	if len(hosts) <= 2 {
		return strings.Join(hosts, " ")
	}
	return fmt.Sprintf("%s and %d more", hosts[0], len(hosts)-1)
}

func age(at, now time.Time) string {
	if at.IsZero() {
		return ""
	}
	d := now.Sub(at)
	switch {
	case now.IsZero(), d < 0, d >= 30*24*time.Hour:
		return at.UTC().Format("2006-01-02 15:04")
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	}
	return fmt.Sprintf("%dd ago", int(d.Hours()/24))
}
