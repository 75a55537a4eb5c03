package report

import (
	"fmt"
	"slices"
	"strings"

	"fabgo/internal/journal"
)

// column is a status as a column of the recap.
type column struct {
	status journal.Status
	word   string
	style
}

// recap is a row for each host and their sum. Its lines begin like those of the steps, with the host.
func (t *Terminal) recap() string {
	hosts, idle := t.recapHosts()
	quiet := t.opts.Verbosity < 0
	if quiet {
		hosts = slices.DeleteFunc(hosts, func(h HostSummary) bool { return h.Verdict == journal.Finished || h.Verdict == journal.Partial })
	}
	if len(hosts) == 0 && len(idle) == 0 {
		return ""
	}
	total := HostSummary{Host: "total", Counts: map[journal.Status]int{}}
	planning := false
	for _, h := range hosts {
		planning = planning || h.Mode == journal.Planning
		total.Millis = max(total.Millis, h.Millis)
		for s, n := range h.Counts {
			total.Counts[s] += n
		}
	}
	many := len(hosts)+len(idle) > 1
	pad := 0
	for _, h := range hosts {
		pad = max(pad, columns(Escape(h.Host))+1)
	}
	for _, name := range idle {
		pad = max(pad, columns(Escape(name))+1)
	}
	if many && !quiet {
		pad = max(pad, len("total:"))
	}
	cols := t.columns(planning, total)
	var b strings.Builder
	for _, h := range hosts {
		word, s := verdictWord(h.Verdict)
		switch h.Verdict {
		case journal.Finished:
			word = ""
		case journal.Partial:
			word = "the plan stopped here: the rest depends on what the run finds"
		case journal.Invalid:
			word = "error in the bundle"
		case "":
			word = "did not finish"
		}
		b.WriteString(t.row(h, pad, cols, total, t.in(s, word)))
		if h.Lost != "" {
			b.WriteString(t.in(alarm, "    lost: "+Escape(h.Lost)+": a change was sent and no answer came; nobody knows whether it happened") + "\n")
		}
	}
	for _, name := range idle {
		b.WriteString(left(Escape(name)+":", pad) + "  " + t.in(dim, "not started") + "\n")
	}
	if many && !quiet {
		b.WriteString(t.row(total, pad, cols, total, t.in(bold, t.tally(hosts, idle))))
	}
	if acting := unprivileged(hosts); acting != "" {
		b.WriteString("planned as " + Escape(acting) + ", not as root: steps that need root will fail. Over SSH, --sudo makes fabgo root.\n")
	}
	return b.String()
}

// unprivileged is who planned changes on a host without being root there, the first of them.
func unprivileged(hosts []HostSummary) string {
	for _, h := range hosts {
		if h.Acting != "" && h.Pending() {
			return h.Acting
		}
	}
	return ""
}

// recapHosts are the hosts that have said anything, those of the run first and in its order, and those that have not begun.
func (t *Terminal) recapHosts() (hosts []HostSummary, idle []string) {
	all := t.sum.Hosts()
	for _, name := range t.opts.Hosts {
		i := slices.IndexFunc(all, func(h HostSummary) bool { return h.Host == name })
		if i < 0 {
			idle = append(idle, name)
			continue
		}
		hosts = append(hosts, all[i])
		all = slices.Delete(all, i, i+1)
	}
	return append(hosts, all...), idle
}

func (t *Terminal) columns(planning bool, total HostSummary) []column {
	cols := []column{{journal.OK, "ok", green}}
	word, _ := words(journal.Changed, journal.Running)
	if planning {
		word, _ = words(journal.Changed, journal.Planning)
	}
	cols = append(cols, column{journal.Changed, word, yellow}, column{journal.Failed, "failed", alarm})
	if planning || total.Counts[journal.Unknown] > 0 {
		cols = append(cols, column{journal.Unknown, "unknown", magenta})
	}
	return append(cols, column{journal.Skipped, "skipped", ""})
}

func (t *Terminal) row(h HostSummary, pad int, cols []column, widest HostSummary, end string) string {
	s := left(Escape(h.Host)+":", pad)
	for _, c := range cols {
		n := h.Counts[c.status]
		cell := fmt.Sprintf("%*d %s", len(fmt.Sprint(widest.Counts[c.status])), n, c.word)
		switch {
		case n == 0:
			cell = t.in(dim, cell)
		case c.style != "":
			cell = t.in(c.style, cell)
		}
		s += "  " + cell
	}
	s += "  " + duration(h.Millis)
	if end != "" {
		s += "  " + end
	}
	return s + "\n"
}

// tally is how many hosts did not end well, in a few words.
func (t *Terminal) tally(hosts []HostSummary, idle []string) string {
	n := map[string]int{}
	var order []string
	add := func(word string) {
		if n[word] == 0 {
			order = append(order, word)
		}
		n[word]++
	}
	for _, h := range hosts {
		word, _ := verdictWord(h.Verdict)
		if h.Verdict == "" {
			word = "not finished"
		}
		if h.Verdict != journal.Finished {
			add(word)
		}
	}
	for range idle {
		add("not started")
	}
	for i, word := range order {
		order[i] = fmt.Sprintf("%d %s", n[word], word)
	}
	if len(order) == 0 {
		return plural(len(hosts), "host")
	}
	return fmt.Sprintf("%s: %s", plural(len(hosts)+len(idle), "host"), strings.Join(order, ", "))
}

func left(s string, width int) string { return s + strings.Repeat(" ", max(0, width-columns(s))) }
