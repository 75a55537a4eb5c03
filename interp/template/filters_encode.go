package template

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"go.starlark.net/starlark"
)

// encodeFilters change the form of a text. Each asks Options.Encode first, since the text may hold a token that stands
// for a secret: encoding the token would damage it.
func encodeFilters() map[string]filterFunc {
	digest := func(name string) filterFunc {
		return encoded(name, func(s string) (string, error) { return hash(name, s) })
	}
	return map[string]filterFunc{
		"quote()":                             encoded("quote", quote),
		"b64encode()":                         encoded("b64encode", func(s string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(s)), nil }),
		"b64decode()":                         encoded("b64decode", unbase64),
		"urlencode()":                         filterURLEncode,
		"escape e()":                          encoded("escape", escapeHTML),
		"md5()":                               digest("md5"),
		"sha1()":                              digest("sha1"),
		"checksum()":                          digest("sha1"),
		"sha256()":                            digest("sha256"),
		"sha512()":                            digest("sha512"),
		"hash(hashtype?)":                     filterHash,
		"to_json tojson(indent?, sort_keys?)": filterJSON(0),
		"to_nice_json(indent?, sort_keys?)":   filterJSON(4),
		"to_yaml to_nice_yaml(indent?, sort_keys?)": filterYAML,
	}
}

// encodeText applies one encoding to a value. A value of a foreign type is left to Options.Encode: its String may be
// the token of a secret.
func (r *run) encodeText(name string, v starlark.Value, f func(string) (string, error)) (string, error) {
	s, err := r.plain(v)
	if err != nil {
		return "", err
	}
	if err := r.grow(float64(len(s)) * 6); err != nil {
		return "", err
	}
	if r.encode != nil {
		if out, ok, err := r.encode(name, s); err != nil || ok {
			return out, err
		}
	}
	if !scalar(v) {
		return "", errorf("%s cannot be encoded", an(v))
	}
	return f(s)
}

func encoded(name string, f func(string) (string, error)) filterFunc {
	return func(r *run, v starlark.Value, a *args) (starlark.Value, error) {
		s, err := r.encodeText(name, v, f)
		return starlark.String(s), err
	}
}

// quote makes one word of a shell of any text.
func quote(s string) (string, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return "", errorf("a word of a shell cannot hold a NUL byte")
	}
	safe := s != ""
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("@%+=:,./-_", c) >= 0) {
			safe = false
		}
	}
	if safe {
		return s, nil
	}
	return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'", nil
}

func unbase64(s string) (string, error) {
	b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
	return string(b), err
}

func escapeHTML(s string) (string, error) {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&#39;", `"`, "&#34;").Replace(s), nil
}

func hash(name, s string) (string, error) {
	switch name {
	case "md5":
		b := md5.Sum([]byte(s))
		return hex.EncodeToString(b[:]), nil
	case "sha1":
		b := sha1.Sum([]byte(s))
		return hex.EncodeToString(b[:]), nil
	case "sha224":
		b := sha256.Sum224([]byte(s))
		return hex.EncodeToString(b[:]), nil
	case "sha256":
		b := sha256.Sum256([]byte(s))
		return hex.EncodeToString(b[:]), nil
	case "sha384":
		b := sha512.Sum384([]byte(s))
		return hex.EncodeToString(b[:]), nil
	case "sha512":
		b := sha512.Sum512([]byte(s))
		return hex.EncodeToString(b[:]), nil
	}
	return "", errorf("hashtype is md5, sha1, sha224, sha256, sha384 or sha512, got %q", name)
}

func filterHash(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	name, err := a.str(r, "hashtype", "sha1")
	if err != nil {
		return nil, err
	}
	if _, err := hash(name, ""); err != nil {
		return nil, err
	}
	s, err := r.encodeText(name, v, func(s string) (string, error) { return hash(name, s) })
	return starlark.String(s), err
}

// filterURLEncode quotes a text as a path, or a dict or list of pairs as a query.
func filterURLEncode(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	var list []starlark.Value
	switch v := v.(type) {
	case *starlark.Dict:
		list, _ = r.items(pairs(v.Items()))
	case *starlark.List, starlark.Tuple:
		var err error
		if list, err = r.items(v); err != nil {
			return nil, err
		}
	default:
		s, err := r.encodeText("urlencode", v, func(s string) (string, error) { return escapeURL(s, false), nil })
		return starlark.String(s), err
	}
	var out []string
	for i, x := range list {
		kv, err := r.items(x)
		if err != nil || len(kv) != 2 {
			return nil, errorf("item %d: want a pair of name and value", i+1)
		}
		var parts [2]string
		for j := range kv {
			if parts[j], err = r.encodeText("urlencode", kv[j], func(s string) (string, error) { return escapeURL(s, true), nil }); err != nil {
				return nil, itemError(i, err)
			}
		}
		out = append(out, parts[0]+"="+parts[1])
	}
	return starlark.String(strings.Join(out, "&")), nil
}

func escapeURL(s string, query bool) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 || c == '/' && !query:
			b.WriteByte(c)
		case c == ' ' && query:
			b.WriteByte('+')
		default:
			b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
		}
	}
	return b.String()
}
