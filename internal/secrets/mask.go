package secrets

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"

	"fabgo/internal/token"
)

// Shortest is how long a secret has to be, in bytes, to be known again in what a host prints: shorter ones turn up by chance.
const Shortest = 8

// mask finds secrets in texts.
type mask struct{ replacer *strings.Replacer }

func newMask(values map[string]string) *mask {
	forms := map[string]string{}
	add := func(form, tok string) {
		if _, ok := forms[form]; !ok && len(form) >= Shortest {
			forms[form] = tok
		}
	}
	names := slices.Sorted(maps.Keys(values))
	for _, name := range names { // as it is comes first: where two forms are equal, the plainer one counts
		if v := values[name]; len(v) >= Shortest {
			add(v, token.Of(name))
			add(strings.TrimRight(v, "\n"), token.Masked(name))
		}
	}
	for _, name := range names {
		v := values[name]
		if len(v) < Shortest {
			continue
		}
		tok := token.Of(name)
		for _, e := range []token.Encoding{token.JSON, token.Shell, token.Base64, token.Hex, token.URL, token.HTML} {
			t := e.Whole(tok)
			form, err := token.Expand(t, func(string) (string, error) { return v, nil })
			if err == nil {
				add(form, t)
			}
		}
		for _, t := range []string{token.SHA256.Whole(tok), token.SHA256.Whole("!" + tok)} { // of the password of an account, also of a locked one
			if form, err := token.Expand(t, func(string) (string, error) { return v, nil }); err == nil {
				add(form, t)
			}
		}
		for _, form := range otherForms(v) {
			add(form, token.Masked(name))
		}
	}
	// Of two forms that begin at one place the longer is meant.
	order := slices.SortedFunc(maps.Keys(forms), func(a, b string) int {
		if d := len(b) - len(a); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	var pairs []string
	for _, f := range order {
		pairs = append(pairs, f, forms[f])
	}
	return &mask{strings.NewReplacer(pairs...)}
}

// longLine is how long a line of a secret has to be to be hidden by itself, as a program prints it that indents or numbers lines.
const longLine = 16

// otherForms are how a secret may look in what a program prints and that cannot be used again.
func otherForms(v string) []string {
	var out []string
	url64, raw := base64.URLEncoding.EncodeToString([]byte(v)), base64.RawStdEncoding.EncodeToString([]byte(v))
	out = append(out, url64, raw, base64.RawURLEncoding.EncodeToString([]byte(v)), strings.ToUpper(hex.EncodeToString([]byte(v))))
	for shift := 1; shift < 3; shift++ { // within the base64 of a longer text: what no byte before or behind it can change
		b := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", shift) + v))
		b = b[shift+1:]
		if (len(v)+shift)%3 != 0 {
			b = b[:len(b)-1]
		}
		out = append(out, b, strings.NewReplacer("+", "-", "/", "_").Replace(b))
	}
	if (len(v))%3 != 0 {
		out = append(out, raw[:len(raw)-1])
	}
	if b, err := json.Marshal(v); err == nil { // as others write it, who leave <, > and & alone
		plain := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(b[1 : len(b)-1]))
		out = append(out, plain)
	}
	out = append(out, url.QueryEscape(v), url.PathEscape(v), strings.ReplaceAll(v, "'", `'"'"'`))
	if strings.Contains(v, "\n") {
		for line := range strings.Lines(v) {
			if line = strings.TrimSpace(line); len(line) >= longLine {
				out = append(out, line)
			}
		}
		out = append(out, strings.ReplaceAll(v, "\n", "\r\n"))
	}
	return out
}

// text swaps secrets for tokens. A nil mask knows none.
func (m *mask) text(s string) string {
	if m == nil {
		return s
	}
	return m.replacer.Replace(s)
}
