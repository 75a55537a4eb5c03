package controller

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"fabgo/transport"
)

func newController(t *testing.T) (c *Controller, root string) {
	t.Helper()
	root = t.TempDir()
	for name, text := range map[string]string{
		"files/a.conf": "root", "files/run.sh": "#!/bin/sh\n", "override/files/a.conf": "override", "override/files/lib.conf": "override of lib", "files/sub/b": "b",
	} {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &Controller{
		Root: root, Libraries: map[string]fs.FS{"fab": fstest.MapFS{"files/lib.conf": {Data: []byte("lib")}, "files/own.conf": {Data: []byte("own")}}},
		Now: func() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.FixedZone("x", 7200)) },
	}, root
}

func ask(t *testing.T, c *Controller, what transport.Question, name string) (string, error) {
	t.Helper()
	below := transport.HostFunc(nil)
	d, err := transport.Do[transport.Data](t.Context(), c.Over(below), transport.Ask{What: what, Name: transport.Text(name)})
	if err != nil {
		return "", err
	}
	b, err := d.Content.ReadAll(1 << 20)
	return string(b), err
}

func TestFiles(t *testing.T) {
	c, root := newController(t)
	check := func(name, want string) {
		t.Helper()
		if got, err := ask(t, c, transport.AskFile, name); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	check("//files/a.conf", "root")
	check("@fab//files/lib.conf", "lib")
	check("//files/../files/a.conf", "root")
	c.Override = filepath.Join(root, "override")
	check("//files/a.conf", "override")
	check("@fab//files/lib.conf", "override of lib")
	check("@fab//files/own.conf", "own")
	c.AbsolutePaths = true
	check(root+"/files/sub/b", "b")
}

func TestFilesRefused(t *testing.T) {
	c, root := newController(t)
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"out": outside, "up": "../" + filepath.Base(root) + "/../../../../../../etc/passwd", "dirout": filepath.Dir(outside), "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"//out", "//up", "//dirout/secret", "//loop", "//../x", "//..", "x", "", "@fab//../x", "@nolib//x", outside, "///etc/passwd", "//files", "//files/a.conf/x"} {
		if got, err := ask(t, c, transport.AskFile, name); err == nil || transport.KindOf(err) == "" {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	_, err := ask(t, c, transport.AskFile, "//files/none")
	te, ok := err.(*transport.Error)
	if !ok || te.Kind != transport.NotFound || te.Message != "read //files/none: there is no such file" || !strings.Contains(te.Hint, "relative to") {
		t.Errorf("%+v", err)
	}
	if _, err := ask(t, c, "riddle", "x"); transport.KindOf(err) != transport.Unsupported {
		t.Errorf("%v", err)
	}
}

func TestTree(t *testing.T) {
	c, root := newController(t)
	if err := os.Chmod(filepath.Join(root, "files/run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.conf", filepath.Join(root, "files/link")); err != nil {
		t.Fatal(err)
	}
	text, err := ask(t, c, transport.AskTree, "//files")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := transport.String(text).Entries()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		line := string(e.Path) + " " + string(e.Type) + " " + string(e.Target)
		if e.Executable {
			line += "x"
		}
		if e.Type == transport.Regular && (e.Digest == "" || e.Size == 0) {
			t.Errorf("%+v", e)
		}
		got = append(got, line)
	}
	if s := strings.Join(got, ","); s != "a.conf file ,link link a.conf,run.sh file x,sub dir ,sub/b file " {
		t.Errorf("%s", s)
	}
	for _, name := range []string{"//files/a.conf", "//none", "//.."} {
		if _, err := ask(t, c, transport.AskTree, name); err == nil {
			t.Errorf("%s is a tree", name)
		}
	}
	if _, err := ask(t, c, transport.AskTree, "@fab//files"); err != nil {
		t.Errorf("of a library: %v", err)
	}
}

// TestFileThatChanges: what was hashed is what is sent, or the sending fails.
func TestFileThatChanges(t *testing.T) {
	c, root := newController(t)
	big := filepath.Join(root, "big")
	if err := os.WriteFile(big, bytes.Repeat([]byte("a"), 3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := transport.Do[transport.Data](t.Context(), c.Over(nil), transport.Ask{What: transport.AskFile, Name: "//big"})
	if err != nil {
		t.Fatal(err)
	}
	read := func() error {
		r, err := d.Content.Open()
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.Copy(io.Discard, r)
		return err
	}
	if err := read(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(big, bytes.Repeat([]byte("b"), 3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := read(); err == nil || !strings.Contains(err.Error(), "changed while it was read") {
		t.Errorf("%v", err)
	}
}

func TestTokenAndTime(t *testing.T) {
	c, _ := newController(t)
	a, err := ask(t, c, transport.AskToken, "")
	b, _ := ask(t, c, transport.AskToken, "")
	if err != nil || len(a) != 32 || strings.Trim(a, "0123456789abcdef") != "" || a == b {
		t.Errorf("%q, %q, %v", a, b, err)
	}
	if now, err := ask(t, c, transport.AskTime, ""); err != nil || now != "2026-11-24T10:00:00Z" {
		t.Errorf("%q, %v", now, err)
	}
}

func TestOtherOpsPass(t *testing.T) {
	c, _ := newController(t)
	asked := false
	h := c.Over(transport.HostFunc(func(context.Context, transport.Op) (transport.Result, error) {
		asked = true
		return transport.Done{}, nil
	}))
	if _, err := h.Do(t.Context(), transport.Mkdir{Path: "/x"}); err != nil || !asked {
		t.Errorf("%v", err)
	}
}
