package report

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"fabgo/internal/journal"
)

// screen is what a terminal shows that knows no more than \r, \n and erasing a line.
func screen(s string) []string {
	rows := []string{""}
	for _, l := range strings.SplitAfter(s, "\n") {
		for _, part := range strings.Split(l, eraseLine) {
			if strings.Contains(l, eraseLine) {
				rows[len(rows)-1] = ""
			}
			rows[len(rows)-1] += strings.TrimSuffix(part, "\n")
		}
		if strings.HasSuffix(l, "\n") {
			rows = append(rows, "")
		}
	}
	return rows
}

func TestLive(t *testing.T) {
	var b bytes.Buffer
	now := noon
	term := newTerminal(&b, TerminalOptions{Width: 60, Hosts: []string{"web1", "db1"}, Live: true})
	term.now = func() time.Time { return now }
	last := func() string {
		rows := screen(b.String())
		return rows[len(rows)-1]
	}
	send := func(host string, step int, body journal.Body) {
		t.Helper()
		if err := term.Record(journal.Record{Host: host, Step: step, Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	term.draw()
	if b.Len() != 0 {
		t.Errorf("drew %q before anything happened", b.String())
	}
	long := begin("pkg.install", "package:"+strings.Repeat("nginx,", 30), 1)
	send("web1", 12, long)
	if b.Len() != 0 {
		t.Errorf("a step that may be over at once is drawn: %q", b.String())
	}
	now = now.Add(8 * time.Second)
	term.draw()
	if got := last(); !strings.HasPrefix(got, "web1: step 12 pkg.install nginx,nginx") || !strings.HasSuffix(got, "… 8s") || columns(got) >= 60 {
		t.Errorf("got %q", got)
	}
	send("db1", 3, begin("run", "run:make", 2))
	now = now.Add(time.Second)
	term.draw()
	if got := last(); !strings.HasSuffix(got, " … 9s (and 1 host more)") {
		t.Errorf("got %q", got)
	}
	send("db1", 3, journal.End{Begin: begin("run", "run:make", 2), Status: journal.Changed, Changed: true})
	rows := screen(b.String())
	if len(rows) != 2 || rows[0] != "db1:  changed  run make" || !strings.HasSuffix(rows[1], "… 9s") {
		t.Errorf("a line above the status: %q", rows)
	}
	term.Aside(func() {
		if got := last(); got != "" {
			t.Errorf("a prompt would stand behind %q", got)
		}
		b.WriteString("password? \n")
	})
	term.draw()
	send("web1", 12, journal.End{Begin: long, Status: journal.OK})
	term.draw()
	if got := last(); got != "" {
		t.Errorf("nothing is under way, but %q", got)
	}
	send("web1", 13, long)
	term.draw()
	if err := term.Recap(); err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(screen(b.String()), "\n"); strings.Contains(all, "step 1") || !strings.Contains(all, "\n\nweb1:") {
		t.Errorf("the end looks like this: %q", all)
	}
}

// TestNotLive: what is no terminal gets no status line and no control character.
func TestNotLive(t *testing.T) {
	if got := play(t, TerminalOptions{}, aDeath("web1")); strings.ContainsAny(got, "\r\x1b") {
		t.Errorf("got %q", got)
	}
}

// TestLiveDraws waits for the clock of a real status line, and for Recap to end it.
func TestLiveDraws(t *testing.T) {
	drawn := make(chan string, 100)
	term := NewTerminal(writerFunc(func(p []byte) { drawn <- string(p) }), TerminalOptions{Live: true, Width: 80})
	if err := term.Record(journal.Record{Host: "web1", Step: 1, Body: begin("run", "run:make", 2)}); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-drawn:
		if !strings.Contains(got, "step 1 run make") {
			t.Errorf("drew %q", got)
		}
	case <-time.After(time.Minute):
		t.Fatal("nothing was drawn")
	}
	if err := term.Recap(); err != nil {
		t.Fatal(err)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

func TestLiveStatus(t *testing.T) {
	var b bytes.Buffer
	now := noon
	term := newTerminal(&b, TerminalOptions{Width: 60, Hosts: []string{"web1", "db1"}, Live: true})
	term.now = func() time.Time { return now }
	last := func() string {
		rows := screen(b.String())
		return rows[len(rows)-1]
	}
	term.Status("web1", "bringing the helper, 1.0 of 5.0 MB")
	now = now.Add(3 * time.Second)
	term.Status("web1", "bringing the helper, 2.1 of 5.0 MB\x1b[31m")
	term.draw()
	if got := last(); got != `web1: bringing the helper, 2.1 of 5.0 MB\x1b[31m … 3s` {
		t.Errorf("got %q", got)
	}
	if err := term.Record(journal.Record{Host: "db1", Step: 1, Body: begin("run", "run:make", 2)}); err != nil {
		t.Fatal(err)
	}
	if err := term.Record(journal.Record{Host: "web1", Body: journal.Start{}}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	term.draw()
	if got := last(); got != "db1: step 1 run make … 2s" {
		t.Errorf("after its end: got %q", got)
	}
}
