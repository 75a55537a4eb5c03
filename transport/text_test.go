package transport

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNewPath(t *testing.T) {
	for in, want := range map[string]Path{
		"/": "/", "/a": "/a", "//a/./b/../c/": "/a/c", "/..": "/", "/a\nb": "/a\nb", "/\xff": "/\xff", "/a b/": "/a b",
		"/" + strings.Repeat("x", 255): Path("/" + strings.Repeat("x", 255)),
	} {
		if got, err := NewPath(in); err != nil || got != want {
			t.Errorf("NewPath(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "a", "./a", "~", "/a\x00b", "/" + strings.Repeat("x", 256), strings.Repeat("/y", 2048)} {
		if got, err := NewPath(in); err == nil {
			t.Errorf("NewPath(%q) = %q, want an error", in, got)
		}
	}
}

func TestPath(t *testing.T) {
	for _, tt := range []struct {
		p    Path
		dir  Path
		base string
	}{{"/", "/", "/"}, {"/a", "/", "a"}, {"/a/b c", "/a", "b c"}} {
		if tt.p.Dir() != tt.dir || tt.p.Base() != tt.base {
			t.Errorf("%q: %q, %q", tt.p, tt.p.Dir(), tt.p.Base())
		}
	}
	if got := Path("/a").Join("b", "../c", "d"); got != "/a/c/d" {
		t.Errorf("Join: %q", got)
	}
	for _, tt := range []struct {
		p, dir Path
		want   bool
	}{{"/a/b", "/a", true}, {"/a", "/a", false}, {"/ab", "/a", false}, {"/a", "/", true}, {"/", "/", false}, {"/a", "/a/b", false}} {
		if got := tt.p.Under(tt.dir); got != tt.want {
			t.Errorf("%q under %q: %v", tt.p, tt.dir, got)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"/", "/a/../b", "//x//", "/\xff/.", "a", "/a\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := NewPath(s)
		if err != nil {
			return
		}
		if again, err := NewPath(string(p)); err != nil || again != p {
			t.Errorf("%q is not clean: %q, %v", p, again, err)
		}
		if p != "/" && (p.Dir().Join(p.Base()) != p || !p.Under(p.Dir())) {
			t.Errorf("%q: dir %q and base %q do not make it again", p, p.Dir(), p.Base())
		}
	})
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "plain", "\xff", "<&>\u2028", "{\"base64\":\"x\"}", "\x00\x1b", "\ufffd", "\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := json.Marshal(Text(s))
		if err != nil {
			t.Fatal(err)
		}
		var back Text
		if err := json.Unmarshal(b, &back); err != nil || string(back) != s {
			t.Errorf("%q became %s and then %q: %v", s, b, back, err)
		}
		if plain := b[0] == '"'; plain != utf8.ValidString(s) {
			t.Errorf("%q is encoded as %s", s, b)
		}
	})
}

func TestMode(t *testing.T) {
	for in, want := range map[string]Mode{"644": "0644", "0644": "0644", "7777": "7777", "000": "0000", "00644": "0644"} {
		got, err := ParseMode(in)
		if err != nil || got != want || NewMode(got.Bits()) != got {
			t.Errorf("ParseMode(%q) = %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "1", "64", "0o644", "u+x", "888", "17777", "-644", "+644", " 644", "000644", "1_0_0"} {
		if got, err := ParseMode(in); err == nil {
			t.Errorf("ParseMode(%q) = %q, want an error", in, got)
		}
	}
	if Mode("").Bits() != 0 || NewMode(0o100644) != "0644" {
		t.Error("no mode has bits, or bits that are not of a mode got in")
	}
}
