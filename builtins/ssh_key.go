package builtins

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// publicKey is a key as OpenSSH writes it in a line: options, type, base64 and comment.
type publicKey struct {
	options string
	kind    string
	blob    string
	comment string
}

var sshKeyTypes = []string{
	"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
	"sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
}

// parsePublicKey reads a line of authorized_keys. What it takes, sshd takes: the type is a known one, and is what the key says itself.
func parsePublicKey(line string) (publicKey, error) {
	options, rest := "", strings.TrimSpace(line)
	if word, _, _ := strings.Cut(rest, " "); !isKeyType(word) {
		end := optionsEnd(rest)
		if end < 0 {
			return publicKey{}, fmt.Errorf("the options %q have a quote that is not closed", rest)
		}
		options, rest = rest[:end], strings.TrimSpace(rest[end:])
	}
	f := strings.Fields(rest)
	if len(f) < 2 || !isKeyType(f[0]) {
		what := "it has no type"
		if strings.Contains(line, "PRIVATE KEY") {
			return publicKey{}, fmt.Errorf("it is a private key: give the public one, the file that ends in .pub")
		}
		if len(f) > 0 && len(f) < 2 {
			what = fmt.Sprintf("after %q nothing follows", f[0])
		} else if len(f) > 0 {
			what = fmt.Sprintf("%q is no type", f[0])
		}
		return publicKey{}, fmt.Errorf("%q is no public key: %s; want \"TYPE BASE64 COMMENT\" with one of the types %s", shorten(line), what, strings.Join(sshKeyTypes, ", "))
	}
	k := publicKey{options: options, kind: f[0], blob: f[1], comment: strings.Join(f[2:], " ")}
	if k.kind == "ssh-dss" {
		return k, fmt.Errorf("%q is a DSA key, which OpenSSH no longer takes: make an ed25519 one", shorten(line))
	}
	if !slices.Contains(sshKeyTypes, k.kind) {
		return k, fmt.Errorf("%q: want one of the types %s", k.kind, strings.Join(sshKeyTypes, ", "))
	}
	b, err := base64.StdEncoding.DecodeString(k.blob)
	if err != nil {
		return k, fmt.Errorf("%q: its key is no base64: %v", shorten(line), err)
	}
	if err := checkKeyBlob(k.kind, b); err != nil {
		return k, fmt.Errorf("%q: %w", shorten(line), err)
	}
	return k, nil
}

// checkKeyBlob demands the form of RFC 4253, section 6.6: fields, each behind its length, the first of which is the type.
func checkKeyBlob(kind string, b []byte) error {
	var fields [][]byte
	for len(b) > 0 {
		if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
			return fmt.Errorf("its key is cut off")
		}
		n := binary.BigEndian.Uint32(b)
		fields, b = append(fields, b[4:4+n]), b[4+n:]
	}
	if len(fields) == 0 || !bytes.Equal(fields[0], []byte(kind)) {
		return fmt.Errorf("its key is of another type than the line says")
	}
	want := map[string]int{"ssh-ed25519": 2, "sk-ecdsa-sha2-nistp256@openssh.com": 4}[kind]
	if want == 0 {
		want = 3
	}
	if len(fields) != want || strings.HasSuffix(kind, "ed25519") && len(fields[1]) != 32 {
		return fmt.Errorf("its key is cut off")
	}
	return nil
}

// isKeyType tells a type, also one that is not taken, from options.
func isKeyType(word string) bool {
	return word == "ssh-dss" || slices.Contains(sshKeyTypes, word) || strings.Contains(word, "-cert-v0")
}

// optionsEnd is where the options of a line end: at the first blank outside of quotes; -1 when a quote is not closed.
func optionsEnd(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == '"':
			i++
		case s[i] == '"':
			quoted = !quoted
		case (s[i] == ' ' || s[i] == '\t') && !quoted:
			return i
		}
	}
	if quoted {
		return -1
	}
	return len(s)
}

// line is the key in a line.
func (k publicKey) line() string {
	return strings.TrimSpace(strings.TrimLeft(k.options+" ", " ") + k.kind + " " + k.blob + " " + k.comment)
}

func (k publicKey) same(o publicKey) bool { return k.kind == o.kind && k.blob == o.blob }

// shorten keeps a key from filling a message.
func shorten(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 60 {
		return s[:40] + "..." + s[len(s)-16:]
	}
	return s
}

// The options of authorized_keys (sshd(8)): those that stand alone, and those with a value.
var (
	keyFlags = []string{"agent-forwarding", "cert-authority", "no-agent-forwarding", "no-port-forwarding", "no-pty", "no-user-rc", "no-X11-forwarding", "no-touch-required",
		"port-forwarding", "pty", "restrict", "user-rc", "verify-required", "X11-forwarding"}
	keyValues = []string{"command", "environment", "expiry-time", "from", "permitlisten", "permitopen", "principals", "tunnel"}
)

// keyOptions checks options: with an unknown one, sshd refuses the key.
func keyOptions(list []string) (string, error) {
	for _, o := range list {
		name, value, valued := strings.Cut(o, "=")
		isName := func(n string) bool { return strings.EqualFold(n, name) }
		switch {
		case valued && slices.ContainsFunc(keyValues, isName):
			if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' || strings.HasSuffix(value, `\"`) || strings.Contains(strings.ReplaceAll(value[1:len(value)-1], `\"`, ""), `"`) {
				return "", fmt.Errorf("options: %q: want the value in double quotes, those in it behind a backslash: %s=\"...\"", o, name)
			}
		case !valued && slices.ContainsFunc(keyFlags, isName):
		default:
			return "", fmt.Errorf("options: %q is none that sshd knows: want one of %s, or one of %s with =\"...\"", o, strings.Join(keyFlags, ", "), strings.Join(keyValues, ", "))
		}
		if err := oneLine("options", o); err != nil {
			return "", err
		}
	}
	return strings.Join(list, ","), nil
}

// splitOptions undoes the joining of options.
func splitOptions(s string) []string {
	var out []string
	quoted, from := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == '"':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			out, from = append(out, s[from:i]), i+1
		}
	}
	if s == "" {
		return nil
	}
	return append(out, s[from:])
}
