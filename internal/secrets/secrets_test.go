package secrets

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"fabgo/internal/token"
	"fabgo/transport"
)

const value = "pa'ss \"w0rd &\n<x>+line that is long enough\n"

// world is a host below the decorator: it notes what it is asked and answers as it is told.
type world struct {
	asked  []transport.Op
	answer func(op transport.Op) (transport.Result, error)
	secret map[string]string
}

func (w *world) Do(_ context.Context, op transport.Op) (transport.Result, error) {
	if a, ok := op.(transport.Ask); ok && a.What == transport.AskSecret {
		s, ok := w.secret[string(a.Name)]
		if !ok {
			return nil, &transport.Error{Kind: transport.NotFound, Message: "there is no secret " + string(a.Name)}
		}
		w.asked = append(w.asked, op)
		return transport.Data{Content: transport.String(s)}, nil
	}
	w.asked = append(w.asked, op)
	if w.answer == nil {
		return transport.Done{}, nil
	}
	return w.answer(op)
}

func newWorld() (*world, *Host) {
	w := &world{secret: map[string]string{"db": value, "short": "1234", "second": "another one", "hash": "$6$salt$hashhash"}}
	return w, Over(w)
}

func bytesOf(t *testing.T, c transport.Content) string {
	t.Helper()
	b, err := c.ReadAll(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTokensGoDownAsBytes(t *testing.T) {
	w, h := newWorld()
	d, err := transport.Do[transport.Data](t.Context(), h, transport.Ask{What: transport.AskSecret, Name: "db"})
	if err != nil || bytesOf(t, d.Content) != token.Of("db") {
		t.Fatalf("%v, %v", d, err)
	}
	text := transport.String("a " + token.Of("db") + token.Of("second"))
	if !text.Secret {
		t.Fatal("the content is not marked")
	}
	for _, op := range []transport.Op{
		transport.Write{Path: "/f", Content: text},
		transport.Stat{Path: "/f", Against: &text},
		transport.Exec{Argv: transport.Texts("cat"), Stdin: &text},
	} {
		w.asked = nil
		if _, err := h.Do(t.Context(), op); err != nil {
			t.Fatal(err)
		}
		n := 0
		transport.BindOp(w.asked[len(w.asked)-1], func(c transport.Content) transport.Content {
			if n++; bytesOf(t, c) != "a "+value+"another one" || c.Secret {
				t.Errorf("%s: %q", op.Kind(), bytesOf(t, c))
			}
			return c
		})
		if n != 1 {
			t.Errorf("%s: %d contents", op.Kind(), n)
		}
	}
	// A content that is not marked is what somebody has written there.
	plain := transport.Source(text.Digest, text.Size, text.Open)
	w.asked = nil
	if _, err := h.Do(t.Context(), transport.Write{Path: "/f", Content: plain}); err != nil || w.asked[0].(transport.Write).Content.Digest != plain.Digest {
		t.Errorf("%v, %v", w.asked, err)
	}
}

// TestAskedAgain: who does not know a secret any more, as after a restart, asks for it when a token comes.
func TestAskedAgain(t *testing.T) {
	w, h := newWorld()
	for range 2 {
		if _, err := h.Do(t.Context(), transport.Write{Path: "/f", Content: transport.String(token.Of("db"))}); err != nil {
			t.Fatal(err)
		}
	}
	var kinds []string
	for _, op := range w.asked {
		kinds = append(kinds, op.Kind())
	}
	if strings.Join(kinds, " ") != "ask write write" {
		t.Errorf("%q", kinds)
	}
	_, err := h.Do(t.Context(), transport.Write{Path: "/f", Content: transport.String(token.Of("nosuch"))})
	if transport.KindOf(err) != transport.NotFound {
		t.Errorf("%v", err)
	}
}

func TestRefused(t *testing.T) {
	w, h := newWorld()
	db := token.Of("db")
	text, path := transport.Text(db), transport.Path("/"+db)
	damaged := transport.String("x" + db[:30])
	for _, op := range []transport.Op{
		transport.Exec{Argv: transport.Texts("echo", "-p"+db)},
		transport.Exec{Argv: transport.Texts("true"), Env: map[string]transport.Text{"PW": text}},
		transport.Exec{Argv: transport.Texts("true"), Env: map[string]transport.Text{db: "x"}},
		transport.Exec{Argv: transport.Texts("true"), User: text},
		transport.Exec{Argv: transport.Texts("true"), Dir: path},
		transport.Exec{Argv: transport.Texts("true"), Stdin: &damaged},
		transport.Stat{Path: path}, transport.List{Path: path}, transport.Read{Path: path},
		transport.Lookup{Table: transport.Users, Keys: []transport.Text{text}},
		transport.Write{Path: path}, transport.Write{Path: "/f", Backup: path}, transport.Write{Path: "/f", Owner: text}, transport.Write{Path: "/f", Validate: transport.Texts("x", db)},
		transport.Write{Path: "/f", Content: damaged},
		transport.Write{Path: "/f", Content: transport.String(strings.ToUpper(db))},
		transport.Write{Path: "/f", Content: transport.String(token.Masked("db"))},
		transport.Unpack{Path: path}, transport.Unpack{Path: "/f", Owner: text}, transport.Mkdir{Path: path}, transport.Link{Path: "/f", Target: text}, transport.Link{Path: path}, transport.Remove{Path: path}, transport.SetAttr{Path: path}, transport.SetAttr{Path: "/f", Group: text},
	} {
		w.asked = nil
		_, err := h.Do(t.Context(), op)
		if transport.KindOf(err) != transport.Refused {
			t.Errorf("%+v: %v", op, err)
			continue
		}
		for _, o := range w.asked {
			if o.Kind() != "ask" {
				t.Errorf("%+v reached the host", op)
			}
		}
		if strings.Contains(err.Error(), db) || strings.Contains(err.Error(), "pa'ss") {
			t.Errorf("%v", err)
		}
	}
}

// TestAnswersAreHidden: a secret that the host prints, in whatever form, is none when it comes up.
func TestAnswersAreHidden(t *testing.T) {
	w, h := newWorld()
	for _, name := range []transport.Text{"db", "hash", "short"} {
		if _, err := h.Do(t.Context(), transport.Ask{What: transport.AskSecret, Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	std := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, said := range map[string]string{
		"as it is": value, "within": "x" + value + "y", "its line": "  2: <x>+line that is long enough", "without the last line's end": strings.TrimSuffix(value, "\n"),
		"json": `{"a":"pa'ss \"w0rd \u0026\n\u003cx\u003e+line that is long enough\n"}`, "json of others": `{"a":"pa'ss \"w0rd &\n<x>+line that is long enough\n"}`,
		"base64": std(value), "raw base64": strings.TrimRight(std(value), "="), "base64 of more": std("u:" + value), "of more still": std("us:" + value + "behind"), "url base64": base64.URLEncoding.EncodeToString([]byte(value)),
		"hex": hex.EncodeToString([]byte(value)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(value))),
		"query": url.QueryEscape(value), "path": url.PathEscape(value), "shell": strings.ReplaceAll(value, "'", `'\''`), "python's": strings.ReplaceAll(value, "'", `'"'"'`), "dos": strings.ReplaceAll(value, "\n", "\r\n"),
	} {
		w.answer = func(op transport.Op) (transport.Result, error) {
			switch op.(type) {
			case transport.Exec:
				return transport.Output{Code: 1, Stdout: transport.Text(said), Stderr: transport.Text(said)}, nil
			case transport.Read:
				return transport.Data{Content: transport.String(said)}, nil
			case transport.Lookup:
				return transport.Rows{Rows: []transport.Row{{Key: "k", Fields: map[string]transport.Text{"f": transport.Text(said)}}}}, nil
			case transport.Write:
				return transport.Written{Validation: &transport.Output{Stdout: transport.Text(said)}}, nil
			}
			return nil, &transport.Error{Kind: transport.IO, Message: "failed: " + said, Hint: said, Err: errors.New(said)}
		}
		for _, op := range []transport.Op{transport.Exec{}, transport.Read{Path: "/f"}, transport.Lookup{Table: transport.Users}, transport.Write{Path: "/f"}, transport.Remove{Path: "/f"}} {
			res, err := h.Do(t.Context(), op)
			all := fmt.Sprintf("%+v %v", res, err)
			switch r := res.(type) {
			case transport.Data:
				all += bytesOf(t, r.Content)
			case transport.Written:
				all += fmt.Sprintf("%+v", *r.Validation)
			}
			for _, part := range []string{"w0rd", "line that is long", std(value)[8:20], hex.EncodeToString([]byte(value))[4:20], "bGluZSB0aGF0IG", "xpbmUgdGhhdCBpc", "saW5lIHRoYXQg"} {
				if strings.Contains(strings.ToLower(all), strings.ToLower(part)) {
					t.Errorf("%s: %s shows %q: %s", name, op.Kind(), part, token.Show(all))
				}
			}
			if err != nil && errors.Unwrap(err) != nil {
				t.Errorf("%s: the cause is still there: %v", name, errors.Unwrap(err))
			}
		}
	}
	w.answer = func(transport.Op) (transport.Result, error) {
		return transport.Output{Stdout: "the code is 1234 " + value}, nil
	}
	out, err := transport.Do[transport.Output](t.Context(), h, transport.Exec{})
	if err != nil || string(out.Stdout) != "the code is 1234 "+token.Of("db") { // a short one is met by chance
		t.Errorf("%s, %v", token.Show(string(out.Stdout)), err)
	}
	// What comes up as a token goes down as what it was.
	if _, err := h.Do(t.Context(), transport.Write{Path: "/f", Content: transport.String(string(out.Stdout))}); err != nil {
		t.Error(err)
	}
	if got := bytesOf(t, w.asked[len(w.asked)-1].(transport.Write).Content); got != "the code is 1234 "+value {
		t.Errorf("%q", got)
	}
	// The digest of a password is that of its token.
	for _, prefix := range []string{"", "!"} {
		w.answer = func(transport.Op) (transport.Result, error) {
			return transport.Rows{Rows: []transport.Row{{Key: "app", Fields: map[string]transport.Text{"password": transport.Text(transport.DigestOf([]byte(prefix + "$6$salt$hashhash")))}}}}, nil
		}
		rows, err := transport.Do[transport.Rows](t.Context(), h, transport.Lookup{Table: transport.Users})
		if want := "sha256:" + token.SHA256.Whole(prefix+token.Of("hash")); err != nil || string(rows.Rows[0].Fields["password"]) != want {
			t.Errorf("%s, %v", token.Show(fmt.Sprint(rows)), err)
		}
	}
}

// TestPlantedTokens: a host cannot have a secret handed to it by printing the form of one.
func TestPlantedTokens(t *testing.T) {
	w, h := newWorld()
	planted := "x" + token.Of("second")
	for _, res := range []transport.Result{
		transport.Output{Stdout: transport.Text(planted)}, transport.Output{Stderr: transport.Text(planted)},
		transport.Data{Content: transport.String(planted)},
		transport.Rows{Rows: []transport.Row{{Key: "k", Fields: map[string]transport.Text{"f": transport.Text(planted)}}}},
	} {
		w.answer = func(transport.Op) (transport.Result, error) { return res, nil }
		if _, err := h.Do(t.Context(), transport.Read{Path: "/f"}); transport.KindOf(err) != transport.Refused && transport.KindOf(err) != transport.Protocol {
			t.Errorf("%T: %v", res, err)
		}
	}
}
