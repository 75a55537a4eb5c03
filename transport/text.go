package transport

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// Text is a string of bytes from or for a host: a path, an argument, an output. Hosts know no encoding, so it may be any bytes.
// In JSON it is a plain string where it is valid UTF-8, else an object {"base64": "..."}: nothing is lost either way.
type Text string

type base64Text struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON implements json.Marshaler.
func (t Text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return marshal(string(t))
	}
	return marshal(base64Text{[]byte(t)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *Text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		var o base64Text
		if err := json.Unmarshal(b, &o); err != nil {
			return err
		}
		*t = Text(o.Base64)
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*t = Text(s)
	return nil
}

// Texts converts a list of strings.
func Texts(ss ...string) []Text {
	out := make([]Text, len(ss))
	for i, s := range ss {
		out[i] = Text(s)
	}
	return out
}

// Path is the absolute, clean path of a file on a host. It may hold any byte but NUL.
type Path Text

// MarshalJSON implements json.Marshaler.
func (p Path) MarshalJSON() ([]byte, error) { return Text(p).MarshalJSON() }

// UnmarshalJSON implements json.Unmarshaler.
func (p *Path) UnmarshalJSON(b []byte) error { return (*Text)(p).UnmarshalJSON(b) }

// NewPath checks and cleans a path: it must be absolute, and neither it nor a component of it may be longer than Linux allows
// (4,095 and 255 bytes, limits.h and NAME_MAX).
func NewPath(s string) (Path, error) {
	switch {
	case s == "":
		return "", fmt.Errorf("path is empty")
	case strings.IndexByte(s, 0) >= 0:
		return "", fmt.Errorf("path %q holds a NUL byte", s)
	case s[0] != '/':
		return "", fmt.Errorf("path %q is not absolute: begin it with /", s)
	}
	c := path.Clean(s)
	if len(c) > 4095 {
		return "", fmt.Errorf("path is %d bytes long; the limit is 4095", len(c))
	}
	for part := range strings.SplitSeq(c, "/") {
		if len(part) > 255 {
			return "", fmt.Errorf("path %q has a name of %d bytes; the limit is 255", s, len(part))
		}
	}
	return Path(c), nil
}

// Dir is the folder that holds p; that of / is /.
func (p Path) Dir() Path { return Path(path.Dir(string(p))) }

// Base is the last name of p.
func (p Path) Base() string { return path.Base(string(p)) }

// Join adds names below p.
func (p Path) Join(names ...string) Path {
	return Path(path.Join(append([]string{string(p)}, names...)...))
}

// Under reports whether p lies strictly below dir.
func (p Path) Under(dir Path) bool {
	if dir == "/" {
		return p != "/"
	}
	return strings.HasPrefix(string(p), string(dir)+"/")
}
