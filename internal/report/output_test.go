package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fabgo/internal/journal"
	"fabgo/transport"
)

func TestJSON(t *testing.T) {
	recs := finished(aRun("web1", journal.Running))
	for verbose, want := range map[bool]string{false: "end finish note start", true: "end finish intent note op start step"} {
		var b bytes.Buffer
		if err := Play(NewJSON(&b, JSONOptions{Verbose: verbose}), recs); err != nil {
			t.Fatal(err)
		}
		types := map[string]bool{}
		var back []journal.Record
		for line := range strings.SplitSeq(strings.TrimSuffix(b.String(), "\n"), "\n") {
			var r journal.Record
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			same, _ := r.MarshalJSON()
			if string(same) != line {
				t.Errorf("not as the journal has it: %s", line)
			}
			if !strings.HasPrefix(line, `{"type":"`) || strings.Contains(line, `": `) && r.Body.Type() == "finish" {
				t.Errorf("not compact: %s", line)
			}
			types[r.Body.Type()] = true
			back = append(back, r)
			if e, ok := r.Body.(journal.End); ok && (!strings.Contains(line, `"changed":`) || !strings.Contains(line, `"status":"`+string(e.Status))) {
				t.Errorf("an end without changed and status: %s", line)
			}
		}
		for _, typ := range strings.Fields(want) {
			if !types[typ] {
				t.Errorf("verbose %v: no %s", verbose, typ)
			}
			delete(types, typ)
		}
		if len(types) != 0 {
			t.Errorf("verbose %v: also %v", verbose, types)
		}
		if verbose && len(back) != len(recs) {
			t.Errorf("%d of %d records", len(back), len(recs))
		}
	}
}

func TestSummary(t *testing.T) {
	var s Summary
	if len(s.Hosts()) != 0 || s.Count(journal.Finished) != 0 {
		t.Error("an empty summary has hosts")
	}
	if err := Play(&s, finished(aRun("web1", journal.Planning)), aFailure("db1"), aDeath("dead")); err != nil {
		t.Fatal(err)
	}
	hosts := s.Hosts()
	if len(hosts) != 3 {
		t.Fatalf("got %v", hosts)
	}
	db, dead, web := hosts[0], hosts[1], hosts[2]
	if web.Host != "web1" || web.Verdict != journal.Finished || web.Changed() != 7 || web.Counts[journal.OK] != 1 || !web.Pending() || web.Millis != 4210 || web.Lost != "" {
		t.Errorf("got %+v", web)
	}
	if db.Verdict != journal.Broken || db.Counts[journal.Failed] != 1 || db.Error == nil || db.Pending() {
		t.Errorf("got %+v", db)
	}
	if dead.Verdict != "" || dead.Lost != "file.put /etc/motd" || dead.Millis != 30 {
		t.Errorf("got %+v", dead)
	}
	if s.Count(journal.Broken) != 1 || s.Count(journal.Unreachable) != 0 {
		t.Error("verdicts are not counted")
	}
	web.Counts[journal.OK] = 99
	if s.Hosts()[2].Counts[journal.OK] != 1 {
		t.Error("the counts of a summary can be changed from outside")
	}
	var idle Summary
	if err := Play(&idle, finished(tell("a", journal.Planning))); err != nil || idle.Hosts()[0].Pending() {
		t.Error("a plan without changes is pending")
	}
}

func TestProblems(t *testing.T) {
	ps := []Problem{
		{Pos: "web1.star:4:9", Column: 9, Source: "    file.putt(\"/etc/motd\")", Message: "file has no field putt", Hint: "did you mean put?"},
		{Pos: "lib/x.star:2:4", Column: 4, Source: "\tä = b\x1b", Message: "undefined: b\nsecond line", Chain: []string{"web1.star:1:1"}},
		{Pos: "web1.star:9:2", Column: 99, Source: "short", Message: "a column that is not there"},
		{Pos: "web1.star:9:2", Column: 3, Source: "世界 = 1", Message: "wide"},
		{Message: "variables are missing: db_name", Hint: "--set db_name=VALUE\nor a file in vars/"},
		{},
	}
	for name, color := range map[string]bool{"problems": false, "problems-color": true} {
		var b bytes.Buffer
		if err := Problems(&b, color, ps...); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
	}
}

func TestHistory(t *testing.T) {
	store := journal.Store{Dir: filepath.Join(t.TempDir(), "runs")}
	save := func(at time.Time, hosts ...[]journal.Record) *journal.Run {
		t.Helper()
		run, err := store.NewRun(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, recs := range hosts {
			w, err := run.Writer(recs[0].Host)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range recs {
				r.Time = r.Time.Add(at.Sub(noon))
				if err := w.Record(r); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
		return run
	}
	damaged := save(noon.Add(9*time.Second), aFailure("web1"))
	if err := os.WriteFile(filepath.Join(damaged.Dir(), "web1.jsonl"), []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	runs := []*journal.Run{
		save(noon.Add(8*time.Second), finished(aRun("web1", journal.Running))),
		save(noon.Add(-5*time.Minute), finished(aRun("web1", journal.Planning)), stoppedOn("db1")),
		save(noon.Add(-26*time.Hour), finished(aRun("web1", journal.Running)), aFailure("a.example.com"), aDeath("c")),
		save(noon.Add(-72*time.Hour), aDeath("web1")),
		save(noon.Add(-100*24*time.Hour), finished(tell("web1", journal.Running)), finished(tell("web2", journal.Running))),
		save(noon.Add(-101 * 24 * time.Hour)),
		damaged,
		save(noon.Add(-time.Hour), aStop("web1", journal.Unreachable, journal.Failure{Kind: transport.Lost, Message: "the connection was lost"})),
	}
	var past []Past
	for _, r := range runs {
		past = append(past, History(r))
	}
	if past[0].Changed != 7 || past[0].Verdict != journal.Finished || past[1].Verdict != journal.Partial || past[2].Verdict != journal.Broken || past[3].Verdict != "" {
		t.Errorf("got %+v", past)
	}
	if past[7].Attach != "web1" || past[3].Attach != "web1" || past[0].Attach != "" || past[1].Attach != "" {
		t.Errorf("what may have gone on: %+v", past)
	}
	if past[5].Err == nil || past[6].Err == nil || !strings.Contains(past[6].Err.Error(), "web1.jsonl:1") {
		t.Errorf("damaged runs: %v, %v", past[5].Err, past[6].Err)
	}
	for i := range past { // its digits are random, its folder is anywhere
		past[i].ID = past[i].ID[:17] + "a1b2c3"
		if past[i].Err != nil {
			past[i].Err = errors.New("read journal web1.jsonl:1: unknown record type")
		}
	}
	for name, opts := range map[string]TableOptions{"history": {Now: noon.Add(10 * time.Second)}, "history-color": {Color: true}} {
		var b bytes.Buffer
		if err := RunTable(&b, opts, past...); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
	}
}

func TestHistoryOfARunThatNeverBegan(t *testing.T) {
	run, err := journal.Store{Dir: t.TempDir()}.NewRun(noon)
	if err != nil {
		t.Fatal(err)
	}
	w, err := run.Writer("web1")
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if p := History(run); p.Verdict != "" || p.Err != nil {
		t.Errorf("a run that was killed while it connected: %+v", p)
	}
}

func stoppedOn(host string) []journal.Record {
	recs := stopped()
	for i := range recs {
		recs[i].Host = host
	}
	return recs
}

func TestColorFor(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want bool
	}{
		{nil, false},
		{map[string]string{"CLICOLOR_FORCE": "1"}, true},
		{map[string]string{"CLICOLOR_FORCE": "0"}, false},
		{map[string]string{"CLICOLOR_FORCE": "1", "TERM": "dumb"}, true},
		{map[string]string{"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, false},
		{map[string]string{"NO_COLOR": ""}, false},
	} {
		if got := ColorFor(io.Discard, func(k string) string { return c.env[k] }); got != c.want {
			t.Errorf("%v: got %v", c.env, got)
		}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if IsTerminal(null) || IsTerminal(io.Discard) || widthOf(null) != 0 {
		t.Error("that is no terminal")
	}
}

func TestDuration(t *testing.T) {
	for ms, want := range map[int64]string{0: "0.0s", 999: "1.0s", 59_940: "59.9s", 59_960: "1m00s", 65_400: "1m05s", 3_599_400: "59m59s", 3_599_600: "1h00m", 7_400_000: "2h03m"} {
		if got := duration(ms); got != want {
			t.Errorf("%d ms is %s, want %s", ms, got, want)
		}
	}
}
