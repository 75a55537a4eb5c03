package interp

import "testing"

func TestMembersOfStructs(t *testing.T) {
	doc, err := ReadDoc("x.star", `"""X."""
def _site(name, *, content):
    """Provide a site."""
def plain():
    """Plain."""
_hidden = struct(site = _site)
x = struct(site = _site, other = 1, again = plain)
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"plain()", "x.site(name, *, content)", "x.again()"}
	if len(doc.Functions) != len(want) {
		t.Fatalf("got %v", doc.Functions)
	}
	for i, w := range want {
		if got := doc.Functions[i].String(); got != w {
			t.Errorf("got %s, want %s", got, w)
		}
	}
	if doc.Functions[1].Summary != "Provide a site." {
		t.Errorf("its documentation is %q", doc.Functions[1].Summary)
	}
}
