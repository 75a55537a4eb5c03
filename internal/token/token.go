// Package token makes the texts that stand for secrets wherever a bundle, a template, a journal or a terminal has to do with one.
//
// The one rule: a token says which secret is meant and what is done to it, never what it is. Only the edge, just above the host, makes bytes
// of it (package internal/secrets).
//
// The trap: to a bundle a token is a text, and texts are cut, joined, searched and converted. What is cut or converted by something that does not
// know tokens must be noticed, or half a secret gets into a file: all of a token lies in a block of characters that no text has for anything
// else, and every one of them outside of a whole token is damage.
//
// The promise: tokens are the same in every run, so that what is compared from run to run can be compared by them.
package token

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"unicode/utf8"
)

// A token is begin, a canary that no change of case leaves as it is, its payload with four bytes of checksum in front, one character for each byte, and
// end. All but the canary are of a private block of Unicode: U+F0000 to U+F00FF for the bytes, then begin and end.
const (
	block  = 0xF0000
	begin  = "\U000F0100"
	end    = "\U000F0101"
	canary = "\U00010428\U00010400" // a small and a capital letter of Deseret: upper, lower, title and capitalize all change them
	lead   = "\xf3\xb0"             // of every character of the block in UTF-8, and of 3,838 others that nothing assigns
	start  = begin + canary
)

// plain is the payload's first byte of a token that stands for a secret as it is; others name how it is encoded.
const plain = '='

// Of is the token of a secret.
func Of(name string) string { return build(plain, name) }

func build(how byte, payload string) string {
	body := string(how) + payload
	sum := crc32.ChecksumIEEE([]byte(body))
	body = string([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}) + body
	var b strings.Builder
	b.Grow(4*len(body) + 16)
	b.WriteString(start)
	for i := range len(body) {
		b.WriteRune(block + rune(body[i]))
	}
	b.WriteString(end)
	return b.String()
}

// In reports whether a text has a token in it, or the rest of one.
func In(s string) bool { return strings.Contains(s, lead) && next(s) >= 0 }

// InBytes is In.
func InBytes(b []byte) bool { return bytes.Contains(b, []byte(lead)) && In(string(b)) }

// Planted reports whether a text from elsewhere looks like a token: whoever wrote it there would be handed the secret in the next step.
func Planted(s string) bool { return strings.Contains(s, start) }

// next is where the first character of the block is; -1: nowhere.
func next(s string) int {
	for at := 0; ; {
		i := strings.Index(s[at:], lead)
		if i < 0 {
			return -1
		}
		at += i
		r, n := utf8.DecodeRuneInString(s[at:])
		if inBlock(r) || r == utf8.RuneError && n <= 1 && len(s)-at < utf8.UTFMax { // a character that was cut in two
			return at
		}
		at += max(n, 1)
	}
}

func inBlock(r rune) bool { return r >= block && r <= block+0x101 }

// ErrDamaged is the error of a text with a part of a token.
var ErrDamaged = errors.New("a secret was cut or converted, and what is left of it is nobody's: use it whole, and encode it with json.encode or a filter that knows secrets")

// part is a stretch of a text: a token or what lies between two.
type part struct {
	text    string // as it stands
	how     byte   // 0: no token
	payload string
}

// parts takes a text apart.
func parts(s string) ([]part, error) {
	var out []part
	for s != "" {
		i := next(s)
		if i < 0 {
			return append(out, part{text: s}), nil
		}
		if i > 0 {
			out, s = append(out, part{text: s[:i]}), s[i:]
		}
		p, err := cut(s)
		if err != nil {
			return nil, err
		}
		out, s = append(out, p), s[len(p.text):]
	}
	return out, nil
}

// cut reads the token at the beginning of a text.
func cut(s string) (part, error) {
	rest, ok := strings.CutPrefix(s, start)
	if !ok {
		return part{}, ErrDamaged
	}
	stop := strings.Index(rest, end)
	if stop < 0 {
		return part{}, ErrDamaged
	}
	var body []byte
	for _, r := range rest[:stop] {
		if r < block || r > block+0xff {
			return part{}, ErrDamaged
		}
		body = append(body, byte(r-block))
	}
	if len(body) < 5 {
		return part{}, ErrDamaged
	}
	sum := uint32(body[0])<<24 | uint32(body[1])<<16 | uint32(body[2])<<8 | uint32(body[3])
	if sum != crc32.ChecksumIEEE(body[4:]) {
		return part{}, ErrDamaged
	}
	return part{text: s[:len(start)+stop+len(end)], how: body[4], payload: string(body[5:])}, nil
}

// Check is the error of a text in which a token is damaged.
func Check(s string) error {
	if !In(s) {
		return nil
	}
	ps, err := parts(s)
	if err != nil {
		return err
	}
	for _, p := range ps {
		if p.how != 0 && p.how != plain && p.how != masked {
			if err := Check(p.payload); err != nil {
				return err
			}
		}
	}
	return nil
}

// Names are the secrets that a text stands for, each once, in order.
func Names(s string) []string {
	var out []string
	if !In(s) {
		return nil
	}
	ps, _ := parts(s)
	for _, p := range ps {
		names := []string{p.payload}
		switch p.how {
		case 0:
			continue
		case plain, masked:
		default:
			names = Names(p.payload)
		}
		for _, n := range names {
			if !contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// Expand makes the text that is meant: every token becomes what lookup says that its secret is, encoded as the token says.
func Expand(s string, lookup func(name string) (string, error)) (string, error) {
	if !In(s) {
		return s, nil
	}
	ps, err := parts(s)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range ps {
		switch p.how {
		case 0:
			b.WriteString(p.text)
			continue
		case plain:
			v, err := lookup(p.payload)
			if err != nil {
				return "", err
			}
			b.WriteString(v)
			continue
		case masked:
			return "", fmt.Errorf("what the host said of the secret %s was hidden, and cannot be used: use secret(%q) itself", p.payload, p.payload)
		}
		encode, ok := encodings[p.how]
		if !ok {
			return "", ErrDamaged
		}
		inner, err := Expand(p.payload, lookup)
		if err != nil {
			return "", err
		}
		if inner, err = encode(inner); err != nil {
			return "", err
		}
		b.WriteString(inner)
	}
	return b.String(), nil
}

// Show is a text for people: tokens by the names of their secrets.
func Show(s string) string {
	if !In(s) {
		return s
	}
	var b strings.Builder
	for s != "" {
		i := next(s)
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		s = s[i:]
		p, err := cut(s)
		if err != nil {
			_, n := utf8.DecodeRuneInString(s)
			b.WriteString("‹part of a secret›")
			for s = s[n:]; s != ""; s = s[n:] { // one note for all that is left of it
				var r rune
				if r, n = utf8.DecodeRuneInString(s); !inBlock(r) && !strings.ContainsRune(canary, r) {
					break
				}
			}
			continue
		}
		b.WriteString("‹secret " + strings.Join(Names(p.text), ", ") + "›")
		s = s[len(p.text):]
	}
	return b.String()
}
