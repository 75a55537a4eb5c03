package token

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Encoding is a way to write a text that a token can carry: the edge applies it to the secret.
type Encoding byte

// The encodings. Where something stands around what they make, it is not theirs: JSON is within the quotes.
const (
	JSON   Encoding = 'j' // within the double quotes of JSON, or of YAML
	Shell  Encoding = 's' // within the single quotes of a POSIX shell
	URL    Encoding = 'u' // in an address: all but letters, digits and -_.~ as %XX
	HTML   Encoding = 'h'
	Base64 Encoding = 'b' // standard, with padding
	Unbase Encoding = 'B' // what a base64 text stands for
	Hex    Encoding = 'x'
	MD5    Encoding = '5' // digests in hexadecimal
	SHA1   Encoding = '1'
	SHA224 Encoding = '4'
	SHA256 Encoding = '2'
	SHA384 Encoding = '3'
	SHA512 Encoding = '8'
	// With a backslash before backslashes and the quotation mark around; line breaks and tabs as \n, \r and \t.
	DoubleQuoted Encoding = 'd'
	SingleQuoted Encoding = 'e'
	nothing      Encoding = 0
)

// masked stands where a host printed a secret in a form that cannot be used again.
const masked = '?'

var encodings = map[byte]func(string) (string, error){
	byte(JSON):         pure(quoteJSON),
	byte(Shell):        pure(func(s string) string { return strings.ReplaceAll(s, "'", `'\''`) }),
	byte(URL):          pure(escapeURL),
	byte(HTML):         pure(strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&#39;", `"`, "&#34;").Replace),
	byte(Base64):       pure(func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }),
	byte(Unbase):       unbase64,
	byte(Hex):          pure(func(s string) string { return hex.EncodeToString([]byte(s)) }),
	byte(DoubleQuoted): pure(strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace),
	byte(SingleQuoted): pure(strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace),
	byte(MD5):          digest(func(b []byte) []byte { d := md5.Sum(b); return d[:] }),
	byte(SHA1):         digest(func(b []byte) []byte { d := sha1.Sum(b); return d[:] }),
	byte(SHA224):       digest(func(b []byte) []byte { d := sha256.Sum224(b); return d[:] }),
	byte(SHA256):       digest(func(b []byte) []byte { d := sha256.Sum256(b); return d[:] }),
	byte(SHA384):       digest(func(b []byte) []byte { d := sha512.Sum384(b); return d[:] }),
	byte(SHA512):       digest(func(b []byte) []byte { d := sha512.Sum512(b); return d[:] }),
}

func pure(f func(string) string) func(string) (string, error) {
	return func(s string) (string, error) { return f(s), nil }
}

func digest(f func([]byte) []byte) func(string) (string, error) {
	return pure(func(s string) string { return hex.EncodeToString(f([]byte(s))) })
}

func unbase64(s string) (string, error) {
	b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		return "", errors.New("a secret is no base64 text, and was to be decoded as one")
	}
	return string(b), nil
}

func escapeURL(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// quoteJSON escapes, beyond what JSON asks, what a reader of YAML takes for the end of a line.
func quoteJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return ""
	}
	var out strings.Builder
	for _, c := range string(b[1 : len(b)-1]) {
		if c >= 0x7f && c <= 0x9f || c == 0xfeff {
			fmt.Fprintf(&out, `\u%04x`, c)
		} else {
			out.WriteRune(c)
		}
	}
	return out.String()
}

// Whole is a token for the encoding of all of a text, in which there are tokens.
func (e Encoding) Whole(s string) string { return build(byte(e), s) }

// Parts encodes a text piece by piece: what lies between the tokens at once, and of each token it makes one of the encoding. It is for encodings
// of a text that are those of its pieces, one after the other.
func (e Encoding) Parts(s string) (string, error) { return e.parts(s, encodings[byte(e)]) }

// Within gives every token of a text the encoding and leaves the rest, which has it already.
func (e Encoding) Within(s string) (string, error) {
	if !In(s) {
		return s, nil
	}
	return e.parts(s, pure(func(s string) string { return s }))
}

func (e Encoding) parts(s string, f func(string) (string, error)) (string, error) {
	ps, err := parts(s)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range ps {
		text := build(byte(e), p.text)
		if p.how == 0 {
			if text, err = f(p.text); err != nil {
				return "", err
			}
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// Masked stands for a secret that was met in a form from which it cannot be made again.
func Masked(name string) string { return build(masked, name) }

// Filter encodes a text with tokens as a filter of templates does: json.encode and to_json, quote, urlencode, escape, b64encode, b64decode and the
// digests. ok is false where the text has no token in it.
func Filter(name, s string) (out string, ok bool, err error) {
	if !In(s) {
		return "", false, nil
	}
	if err := Check(s); err != nil {
		return "", true, err
	}
	switch name {
	case "to_json":
		out, err = JSON.Parts(s)
		return `"` + out + `"`, true, err
	case "quote":
		out, err = Shell.Parts(s)
		return "'" + out + "'", true, err
	case "urlencode":
		out, err = URL.Parts(s)
		return out, true, err
	case "escape":
		out, err = HTML.Parts(s)
		return out, true, err
	}
	e := map[string]Encoding{
		"b64encode": Base64, "b64decode": Unbase, "md5": MD5, "sha1": SHA1, "sha224": SHA224, "sha256": SHA256, "sha384": SHA384, "sha512": SHA512,
	}[name]
	if e == nothing {
		return "", true, fmt.Errorf("%s cannot encode a secret", name)
	}
	return e.Whole(s), true, nil
}
