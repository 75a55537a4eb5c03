//go:build linux || darwin

package evaluator

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"fabgo/transport"
)

func TestNearAnswersWhatOnlyLooks(t *testing.T) {
	dir := t.TempDir()
	small, large := filepath.Join(dir, "small"), filepath.Join(dir, "large")
	for name, size := range map[string]int{small: 10, large: nearDigest + 1} {
		if err := os.WriteFile(name, bytes.Repeat([]byte("x"), size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var far []transport.Op
	parent := transport.HostFunc(func(_ context.Context, op transport.Op) (transport.Result, error) {
		far = append(far, op)
		return nil, &transport.Error{Kind: transport.Unsupported, Message: "the parent"}
	})
	h, end, err := beside(Job{Beside: true}, parent)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	content := transport.String("x")
	for _, c := range []struct {
		what string
		op   transport.Op
		near bool
	}{
		{"stat", transport.Stat{Path: transport.Path(large)}, true},
		{"stat of nothing", transport.Stat{Path: transport.Path(filepath.Join(dir, "none")), Digest: true}, true},
		{"digest of a small file", transport.Stat{Path: transport.Path(small), Digest: true}, true},
		{"digest of a large file", transport.Stat{Path: transport.Path(large), Digest: true}, false},
		{"comparison", transport.Stat{Path: transport.Path(small), Against: &content}, false},
		{"lookup", transport.Lookup{Table: transport.Users, Keys: []transport.Text{"root"}}, true},
		{"read", transport.Read{Path: transport.Path(small)}, false},
		{"list", transport.List{Path: transport.Path(dir)}, false},
		{"write", transport.Write{Path: transport.Path(small), Content: content}, false},
		{"command", transport.Exec{Argv: []transport.Text{"true"}}, false},
	} {
		far = nil
		_, err := h.Do(t.Context(), c.op)
		if near := len(far) == 0; near != c.near || near != (err == nil) {
			t.Errorf("%s: answered near: %v, want %v; %v", c.what, near, c.near, err)
		}
	}
	// What the machine says of a secret is hidden by the parent, so it answers all from the first one on.
	if _, err := h.Do(t.Context(), transport.Ask{What: transport.AskSecret, Name: "db"}); err == nil {
		t.Error("a secret is answered near")
	}
	for _, op := range []transport.Op{transport.Stat{Path: transport.Path(small)}, transport.Lookup{Table: transport.Users, Keys: []transport.Text{"root"}}} {
		if _, err := h.Do(t.Context(), op); err == nil {
			t.Errorf("%s is answered near, in a bundle that knows a secret", op.Kind())
		}
	}
	h, end, err = beside(Job{}, parent)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if _, err := h.Do(t.Context(), transport.Stat{Path: transport.Path(small)}); err == nil {
		t.Error("a host that is elsewhere is answered near")
	}
}

func TestGivenIsTakenOnce(t *testing.T) {
	var g given
	a, b := transport.String("a"), transport.String("b")
	g.note(transport.Read{}, transport.Data{Content: a})
	if g.take(a.Digest) {
		t.Error("what was read was not given")
	}
	g.note(transport.Ask{What: transport.AskFile}, transport.Data{Content: a})
	if g.take(b.Digest) || !g.take(a.Digest) || g.take(a.Digest) {
		t.Error("what was given is taken once, and nothing else")
	}
	file, tree := transport.Ask{What: transport.AskFile}, transport.Ask{What: transport.AskTree}
	large := transport.Bytes(make([]byte, givenLimit(file)+1))
	g.note(file, transport.Data{Content: large})
	if g.take(large.Digest) {
		t.Error("what is large is not held")
	}
	g.note(tree, transport.Data{Content: large})
	if !g.take(large.Digest) {
		t.Error("the list of a tree was given")
	}
	g.note(transport.Ask{What: transport.AskFiles, Unseen: true}, transport.Data{Content: a})
	if g.take(a.Digest) {
		t.Error("a pack that nobody looks into is held")
	}
}
