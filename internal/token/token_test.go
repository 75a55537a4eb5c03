package token

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

const value = "pa'ss \"w0rd &\n<x>\\"

func lookup(name string) (string, error) {
	return map[string]string{"db": value, "other/one": "second"}[name], nil
}

func expand(t *testing.T, s string) string {
	t.Helper()
	out, err := Expand(s, lookup)
	if err != nil {
		t.Fatalf("%q: %v", Show(s), err)
	}
	return out
}

func TestExpand(t *testing.T) {
	db := Of("db")
	for in, want := range map[string]string{
		"":                         "",
		"no token":                 "no token",
		"ä\U0010ffff\xff":          "ä\U0010ffff\xff",
		db:                         value,
		"a" + db + "b" + db + "c":  "a" + value + "b" + value + "c",
		db + Of("other/one"):       value + "second",
		strings.Repeat("x"+db, 50): strings.Repeat("x"+value, 50),
	} {
		if got := expand(t, in); got != want {
			t.Errorf("%q", got)
		}
	}
	if Of("db") != db || Of("db") == Of("dc") {
		t.Error("a token is of its name")
	}
	if got := Names("x" + db + Of("other/one") + db + Base64.Whole("u:"+Of("third"))); strings.Join(got, " ") != "db other/one third" {
		t.Errorf("%q", got)
	}
}

// title is the title() of Starlark's strings.
func title(s string) string {
	prev := ' '
	return strings.Map(func(r rune) rune {
		letter := unicode.IsLetter(prev)
		prev = r
		if letter {
			return unicode.ToLower(r)
		}
		return unicode.ToTitle(r)
	}, s)
}

// TestDamage: whatever is done to a token by what does not know it, nothing but a whole one is expanded.
func TestDamage(t *testing.T) {
	db := Of("db")
	for name, s := range map[string]string{
		"upper": strings.ToUpper(db), "lower": strings.ToLower(db), "title": title("x" + db),
		"twice begun": start + db, "unfinished": strings.TrimSuffix(db, end), "masked": Masked("db"),
		"mixed": db[:len(db)/2] + Of("dc")[len(db)/2:], "of runes": string([]rune(db)[:5]),
	} {
		if out, err := Expand("x"+s+"y", lookup); err == nil {
			t.Errorf("%s: %q", name, out)
		}
	}
	for i := range db {
		for j := i + 1; j <= len(db); j++ {
			part := db[i:j]
			if whole := part == db; !whole && (j-i >= 12 || utf8.ValidString(part) && strings.Contains(part, lead)) { // less is no character
				if _, err := Expand(part, lookup); err == nil {
					t.Fatalf("the part %d:%d is taken", i, j)
				}
			}
		}
	}
	for i := range len(db) { // bytes are what Starlark cuts
		if out, err := Expand(db[:i], lookup); err == nil && i >= len(begin) {
			t.Errorf("the first %d bytes: %q", i, out)
		}
		if got := Show(db[:i]); strings.Contains(got, begin) {
			t.Errorf("%q", got)
		}
	}
}

func TestEncodings(t *testing.T) {
	db := Of("db")
	text := "u:" + db + "'\"&/"
	plain := "u:" + value + "'\"&/"
	filter := func(name string) string {
		t.Helper()
		s, ok, err := Filter(name, text)
		if err != nil || !ok {
			t.Fatal(name, err)
		}
		if strings.Contains(s, "pa'ss") {
			t.Errorf("%s shows it: %q", name, s)
		}
		return expand(t, s)
	}
	var back string
	if err := json.Unmarshal([]byte(filter("to_json")), &back); err != nil || back != plain {
		t.Errorf("%q, %v", back, err)
	}
	if got := filter("b64encode"); got != base64.StdEncoding.EncodeToString([]byte(plain)) {
		t.Error(got)
	}
	if got := filter("quote"); got != "'"+strings.ReplaceAll(plain, "'", `'\''`)+"'" {
		t.Error(got)
	}
	if got := filter("urlencode"); got != "u%3Apa%27ss%20%22w0rd%20%26%0A%3Cx%3E%5C%27%22%26%2F" {
		t.Error(got)
	}
	if got := filter("escape"); got != "u:pa&#39;ss &#34;w0rd &amp;\n&lt;x&gt;\\&#39;&#34;&amp;/" {
		t.Error(got)
	}
	if got := filter("sha256"); len(got) != 64 {
		t.Error(got)
	}
	if _, ok, _ := Filter("to_json", "no token"); ok {
		t.Error("a text without a token is the filter's own business")
	}
	if _, ok, err := Filter("nosuch", db); !ok || err == nil {
		t.Error("an encoding that nobody knows is an error")
	}
	if _, _, err := Filter("to_json", db[:20]); err == nil {
		t.Error("a damaged token is encoded")
	}
	one, _, _ := Filter("b64encode", db)
	two, _, _ := Filter("b64decode", one)
	if expand(t, two) != value {
		t.Error("encoded and decoded")
	}
	three, _, _ := Filter("quote", "x "+one)
	if got := expand(t, three); got != "'x "+base64.StdEncoding.EncodeToString([]byte(value))+"'" {
		t.Error(got)
	}
	if _, err := Expand(Unbase.Whole(db), lookup); err == nil || strings.Contains(err.Error(), "pa'ss") {
		t.Errorf("%v", err)
	}
	within, err := JSON.Within(`{"k": "a` + db + `"}`)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]string
	if err := json.Unmarshal([]byte(expand(t, within)), &m); err != nil || m["k"] != "a"+value {
		t.Errorf("%q, %v", m, err)
	}
}

func TestShow(t *testing.T) {
	for in, want := range map[string]string{
		"plain ä":                                  "plain ä",
		"a" + Of("db") + "b":                       "a‹secret db›b",
		Base64.Whole("u:" + Of("db") + Of("x")):    "‹secret db, x›",
		"a" + string([]rune(Of("db"))[:4]) + "b":   "a‹part of a secret›b",
		Masked("db"):                               "‹secret db›",
		string([]rune(Of("db"))[6:]) + Of("other"): "‹part of a secret›",
	} {
		if got := Show(in); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"db": true, "app/db_1.x-y@z+w": true, "": false, "/": false, "a/": false, "/a": false, "..": false, "a/../b": false, ".a": false, "-x": false,
		"a b": false, "ä": false, "a\n": false, strings.Repeat("x", 101): false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func FuzzExpand(f *testing.F) {
	f.Add("a" + Of("db") + "b")
	f.Add(Of("db")[3:])
	f.Add(Base64.Whole(Of("db")))
	f.Fuzz(func(t *testing.T, s string) {
		out, err := Expand(s, lookup)
		if err == nil && !In(s) && out != s {
			t.Errorf("%q became %q", s, out)
		}
		if err == nil && strings.Contains(out, begin) {
			t.Errorf("%q: a token is left in %q", s, out)
		}
		Show(s)
		Names(s)
		if Check(s) == nil && In(s) && err != nil && !strings.Contains(err.Error(), "hidden") && !strings.Contains(err.Error(), "base64") && err != ErrDamaged {
			t.Errorf("%q is whole, and %v", s, err)
		}
	})
}
