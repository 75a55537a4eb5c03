package report

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"fabgo/internal/journal"
	"fabgo/transport"
)

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"plain ~":                        "plain ~",
		"":                               "",
		"grüße 世界 🙂 é":                   "grüße 世界 🙂 é",
		"a\nb\tc\rd":                     `a\nb\tc\rd`,
		"\x00\x07\x1b[31m\x7f":           `\x00\x07\x1b[31m\x7f`,
		"\x1b]0;title\x07":               `\x1b]0;title\x07`,
		"\u0085\u009b31m":                `\x85\x9b31m`,
		"\x9b31m\xff":                    `\x9b31m\xff`,
		"abc\u202egnp.exe":               `abc\u202egnp.exe`,
		"\u2066\u2069\u200b\u2028\ufeff": `\u2066\u2069\u200b\u2028\ufeff`,
		"tag\U000e0041":                  `tag\U000e0041`,
		`back\slash`:                     `back\slash`,
	} {
		if got := Escape(in); got != want {
			t.Errorf("Escape(%q) = %q, want %q", in, got, want)
		}
	}
	if got := lines("a\tb\r\nc\x1b\n\n"); !reflect.DeepEqual(got, []string{"a\tb", `c\x1b`}) {
		t.Errorf("got %q", got)
	}
}

func TestCut(t *testing.T) {
	for _, s := range []string{"hello world", "世界世界世界", "a"} {
		for limit := 2; limit < 15; limit++ {
			got := cut(s, limit)
			if columns(got) > limit || !utf8.ValidString(got) || columns(s) <= limit && got != s {
				t.Errorf("cut(%q, %d) = %q", s, limit, got)
			}
		}
	}
}

// unsafe reports what in a printed text could steer a terminal, other than what this package prints itself.
func unsafe(s string) string {
	s = strings.NewReplacer(eraseLine, "", "\n", "", "\t", "").Replace(s)
	for _, st := range []style{"0", bold, dim, red, green, yellow, magenta, cyan, alarm} {
		s = strings.ReplaceAll(s, "\x1b["+string(st)+"m", "")
	}
	if !utf8.ValidString(s) {
		return "not UTF-8"
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == 0x2028 || r == 0x2029 {
			return string(r)
		}
	}
	return ""
}

const hostile = "x\x1b[2J\x1b]0;pwned\x07\u009b31m\u202e\u2066\x7f\x00\xff\r\u200b\nFAKE\n@@\n+\x1bc"

// TestHostileRecords puts bytes that steer terminals into every text of every record, and looks for any that comes out.
func TestHostileRecords(t *testing.T) {
	fill := func(s string) []journal.Record {
		f := journal.Failure{Kind: transport.Kind(s), Message: s, Hint: s, Command: []string{s, s}, Code: 1, Stderr: s, Frames: []string{s, s}, Source: s}
		b := journal.Begin{Builtin: s, Resource: s, Label: "", Pos: s}
		l := b
		l.Label = s
		text := "--- " + s + "\n+++ " + s + "\n@@ -1 +1 @@\n-" + s + "\n+" + s + "\n"
		ds := []journal.Delta{
			{Object: s, Attr: s, From: s, To: s}, {Object: s + "2", From: s, To: s}, {Object: "file:" + s, Attr: "content", From: s, To: s},
			{Object: "file:" + s, Attr: "content", Text: text}, {Object: s, From: "absent", To: s}, {Object: s, From: s, To: "absent"},
		}
		exec := json.RawMessage(transport.EncodeOp(transport.Exec{Argv: transport.Texts(s, s)}))
		var out []journal.Record
		add := func(b journal.Body) { out = append(out, journal.Record{Host: s, Time: noon, Step: 1, Body: b}) }
		add(journal.Start{Run: s, Fabgo: s, Mode: journal.Mode(s), Bundle: s, Tasks: []journal.Task{{Name: s, Args: []string{s}}}, Address: s, User: s})
		add(b)
		add(journal.Intent{Op: exec})
		add(journal.Outcome{Op: exec, Error: &transport.Error{Kind: transport.Lost, Message: s, Hint: s}})
		add(journal.Outcome{Op: json.RawMessage(`"` + "\u009b\u202e" + `"`)})
		for _, st := range []journal.Status{journal.OK, journal.Changed, journal.Failed, journal.Unknown, journal.Skipped, journal.Status(s)} {
			add(journal.End{Begin: b, Status: st, Because: s, Diff: ds, Millis: 5000})
			add(journal.End{Begin: l, Status: st, Because: "step " + s, Error: &f})
		}
		add(journal.Note{Text: s, Pos: s})
		add(l)
		add(journal.Intent{Op: exec})
		add(journal.Finish{Status: journal.Verdict(s), Error: &journal.Failure{Message: "other " + s, Frames: f.Frames, Source: s}})
		return out
	}
	for _, opts := range []TerminalOptions{
		{Color: true, Verbosity: 2, Diff: true, Hosts: []string{hostile, hostile + "2"}}, {Verbosity: -1}, {Width: 30, Diff: true}, {},
	} {
		var b bytes.Buffer
		term := newTerminal(&b, opts)
		for _, r := range fill(hostile) {
			if err := term.Record(r); err != nil {
				t.Fatal(err)
			}
			term.draw()
		}
		term.Recap()
		if bad := unsafe(b.String()); bad != "" {
			t.Errorf("%+v: %q reached the terminal", opts, bad)
		}
		if strings.Contains("\n"+b.String(), "\nFAKE") {
			t.Errorf("%+v: a text of a host stands where a status does", opts)
		}
	}
	var b bytes.Buffer
	Problems(&b, true, Problem{Pos: hostile, Column: 20, Source: hostile, Message: hostile, Hint: hostile, Chain: []string{hostile}})
	RunTable(&b, TableOptions{Color: true}, Past{ID: hostile, Bundle: hostile, Tasks: []string{hostile}, Hosts: []string{hostile}, Verdict: journal.Verdict(hostile)},
		Past{ID: hostile, Err: &transport.Error{Message: hostile}})
	if bad := unsafe(b.String()); bad != "" {
		t.Errorf("%q reached the terminal", bad)
	}
	b.Reset()
	for _, r := range fill(hostile) {
		if err := NewJSON(&b, JSONOptions{Verbose: true}).Record(r); err != nil {
			t.Fatal(err)
		}
	}
	for l := range strings.SplitSeq(strings.TrimSuffix(b.String(), "\n"), "\n") {
		if !json.Valid([]byte(l)) || !utf8.ValidString(l) {
			t.Errorf("not JSON: %q", l)
		}
	}
}

func FuzzEscape(f *testing.F) {
	f.Add(hostile, 3)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		got := Escape(s)
		if bad := unsafe(got); bad != "" || strings.ContainsAny(got, "\n\t\r\x1b") {
			t.Fatalf("Escape(%q) = %q", s, got)
		}
		if again := Escape(got); again != got {
			t.Fatalf("%q is escaped to %q and then to %q", s, got, again)
		}
		if limit >= 2 && columns(cut(got, limit)) > limit {
			t.Fatalf("cut(%q, %d) = %q", got, limit, cut(got, limit))
		}
		var b block
		b.diff(s)
		if bad := unsafe(b.text.String()); bad != "" {
			t.Fatalf("diff of %q prints %q", s, bad)
		}
	})
}
