package builtins

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/token"
)

func encodeNatives() starlark.StringDict {
	return merge(
		native("encode.base64", encodeWhole(token.Base64)),
		native("encode.hex", encodeWhole(token.Hex)),
		native("encode.sha256", encodeWhole(token.SHA256)),
		native("encode.url", encodeURL),
		native("encode.shell", encodeShell),
		native("encode.backslash", encodeBackslash),
		native("encode.has_secret", hasSecret),
	)
}

type encodeArgs struct {
	Text string `arg:"text"`
}

// encodeWhole is for encodings of which that of a part is no part.
func encodeWhole(e token.Encoding) func(*call, encodeArgs) (starlark.Value, error) {
	return func(c *call, a encodeArgs) (starlark.Value, error) {
		if err := token.Check(a.Text); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		if token.In(a.Text) {
			return starlark.String(e.Whole(a.Text)), nil
		}
		s, err := e.Parts(a.Text)
		return starlark.String(s), err
	}
}

// encodeParts encodes a text and the secrets in it.
func encodeParts(c *call, e token.Encoding, text string) (string, error) {
	if err := token.Check(text); err != nil {
		return "", fmt.Errorf("%s: %w", c.name, err)
	}
	return e.Parts(text)
}

func encodeURL(c *call, a encodeArgs) (starlark.Value, error) {
	s, err := encodeParts(c, token.URL, a.Text)
	return starlark.String(s), err
}

func encodeShell(c *call, a encodeArgs) (starlark.Value, error) {
	if strings.IndexByte(a.Text, 0) >= 0 {
		return nil, fmt.Errorf("encode.shell: text: a word of a shell cannot hold a zero byte")
	}
	s, err := encodeParts(c, token.Shell, a.Text)
	return starlark.String("'" + s + "'"), err
}

func encodeBackslash(c *call, a struct {
	encodeArgs
	Quote string `arg:"quote"`
}) (starlark.Value, error) {
	e, ok := map[string]token.Encoding{`"`: token.DoubleQuoted, "'": token.SingleQuoted}[a.Quote]
	if !ok {
		return nil, fmt.Errorf("encode.backslash: quote: got %q, want \" or '", a.Quote)
	}
	s, err := encodeParts(c, e, a.Text)
	return starlark.String(s), err
}

func hasSecret(_ *call, a encodeArgs) (starlark.Value, error) {
	return starlark.Bool(token.In(a.Text)), nil
}
