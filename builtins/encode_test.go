package builtins

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
	"fabgo/transport/tables"
)

// TestEncode: a text is encoded in the same way whether it is there or a secret stands for it.
func TestEncode(t *testing.T) {
	const text = "a'b\"c\\d e%f&\n\t<é>"
	for call, want := range map[string]string{
		`encode.base64(%s)`:                 "YSdiImNcZCBlJWYmCgk8w6k+",
		`encode.hex(%s)`:                    "61276222635c64206525" + "66260a093cc3a93e",
		`encode.url(%s)`:                    "a%27b%22c%5Cd%20e%25f%26%0A%09%3C%C3%A9%3E",
		`encode.shell(%s)`:                  `'a'\''b"c\d e%f&` + "\n\t<é>'",
		`encode.backslash(%s)`:              `a'b\"c\\d e%f&\n\t<é>`,
		`encode.backslash(%s, quote = "'")`: `a\'b"c\\d e%f&\n\t<é>`,
		`encode.sha256(%s)`:                 strings.TrimPrefix(string(transport.DigestOf([]byte(text))), "sha256:"),
		`encode.base64("x" + %s)`:           "eGEnYiJjXGQgZSVmJgoJPMOpPg==",
	} {
		s := newLocal(t)
		dir := t.TempDir()
		s.secret = func(string) ([]byte, error) { return []byte(text), nil }
		source := func(arg string) string {
			return fmt.Sprintf(`file.put("%s/f", content = %s, mode = "0600")`, dir, fmt.Sprintf(call, arg))
		}
		s.run(source(fmt.Sprintf("%q", text))).ok()
		plain := tree(t, dir)
		if !strings.Contains(plain, fmt.Sprintf("%q", want)) {
			t.Errorf("%s: %s, want %q", call, plain, want)
		}
		if p := s.run(source(`secret("x")`)).ok().silent(t); len(p.changedResources()) != 0 {
			t.Errorf("%s: of a secret it is %s", call, tree(t, dir))
		}
	}
	s := newLocal(t)
	s.secret = func(string) ([]byte, error) { return []byte(text), nil }
	if got := s.run(`note([encode.has_secret(x) for x in ["", "x", secret("x"), "a" + secret("x"), encode.hex(secret("x"))]])`).ok().notes(); got != "[False, False, True, True, True]" {
		t.Error(got)
	}
	for call, want := range map[string]string{`encode.shell("a\0b")`: "zero byte", `encode.backslash("a", quote = "x")`: "want \" or '", `encode.hex(1)`: "text", `encode.base64(secret("x")[1:])`: "cut or converted"} {
		s.run(call).fails(journal.Invalid, want)
	}
}

// TestFabPostgresqlSecret: the library escapes a secret that it cannot look into.
func TestFabPostgresqlSecret(t *testing.T) {
	f := fake.New(fake.Options{})
	f.PutUser(tables.User{Name: "postgres", UID: "108", GID: "33", Home: "/var/lib/postgresql", Shell: "/bin/sh"}, "!")
	var said []string
	f.OnExec("psql", func(_ context.Context, _ *fake.Fake, op transport.Exec) (transport.Output, error) {
		b, err := op.Stdin.ReadAll(1 << 20)
		said = append(said, string(b))
		if !op.Change {
			return transport.Output{Code: 3}, err
		}
		return transport.Output{}, err
	})
	s := newStage(t, f)
	s.secret = func(string) ([]byte, error) { return []byte(`pa'ss\word`), nil }
	s.run(`load("@fab//postgresql.star", "postgresql")
postgresql.user("app", password = secret("db"))`).ok().silent(t)
	all := strings.Join(said, "\n---\n")
	if !strings.Contains(all, `\set password 'pa\'ss\\word'`) || strings.Contains(all, "\U000F0100") {
		t.Errorf("psql was told\n%s", all)
	}
}
