package transport

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func readAll(c Content) (string, error) {
	r, err := c.Open()
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), errors.Join(err, r.Close())
}

func TestBytes(t *testing.T) {
	c := String("hello")
	const sum = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
	if c.Digest != sum || c.Size != 5 || !c.Known() {
		t.Errorf("%+v", c)
	}
	for range 2 {
		if s, err := readAll(c); err != nil || s != "hello" {
			t.Errorf("%q, %v", s, err)
		}
	}
	if _, err := c.ReadAll(4); err == nil {
		t.Error("five bytes fit in four")
	}
	if b, err := c.ReadAll(5); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestKnownByNameOnly(t *testing.T) {
	c := Content{Digest: DigestOf(nil)}
	if _, err := c.Open(); err == nil || c.Known() {
		t.Error("bytes out of nowhere")
	}
	if _, err := c.ReadAll(10); err == nil {
		t.Error("bytes out of nowhere")
	}
}

func TestSourceIsChecked(t *testing.T) {
	d := DigestOf([]byte("hello"))
	for in, ok := range map[string]bool{"hello": true, "hellO": false, "hell": false, "hello!": false, "": false, strings.Repeat("x", 1<<20): false} {
		c := Source(d, 5, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(in)), nil })
		s, err := readAll(c)
		if (err == nil) != ok || ok && s != in {
			t.Errorf("%.20q: %.20q, %v", in, s, err)
		}
		if b, err := c.ReadAll(100); (err == nil) != ok || ok && string(b) != in {
			t.Errorf("ReadAll of %.20q: %.20q, %v", in, b, err)
		}
	}
}

func TestLocalFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, bytes.Repeat([]byte("x"), 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := LocalFile(name)
	if err != nil || c.Size != 100_000 || c.Digest != DigestOf(bytes.Repeat([]byte("x"), 100_000)) {
		t.Fatalf("%+v, %v", c, err)
	}
	if s, err := readAll(c); err != nil || len(s) != 100_000 {
		t.Errorf("%d bytes, %v", len(s), err)
	}
	for _, now := range []string{strings.Repeat("x", 99_999) + "y", "short", strings.Repeat("x", 100_001)} {
		if err := os.WriteFile(name, []byte(now), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := readAll(c); err == nil || !strings.Contains(err.Error(), "changed") {
			t.Errorf("the file changed and %d bytes came with the error %v", len(s), err)
		}
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Open(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("opened a file that is gone: %v", err)
	}
	if _, err := LocalFile(filepath.Dir(name)); err == nil {
		t.Error("a folder has a content")
	}
}
