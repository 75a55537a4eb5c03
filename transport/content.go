package transport

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"fabgo/internal/token"
)

// Digest names bytes: "sha256:" and 64 hexadecimal digits.
type Digest string

// DigestOf is the digest of b.
func DigestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest(digestPrefix + hex.EncodeToString(sum[:]))
}

const digestPrefix = "sha256:"

// Content is what a file holds, or is to hold: named by digest and size, with a way to get at the bytes. Only digest and size
// are encoded; the bytes travel and are kept apart, by digest. Contents are compared by Digest.
type Content struct {
	Digest Digest `json:"digest"`
	Size   int64  `json:"size"`
	// Secret says that tokens of secrets are among the bytes (package token). Digest and Size are of the bytes with the tokens.
	Secret bool `json:"secret,omitempty"`
	data   []byte
	open   func() (io.ReadCloser, error)
}

// Bytes makes a Content of bytes in memory; the caller must not change them any more.
func Bytes(b []byte) Content {
	return Content{Digest: DigestOf(b), Size: int64(len(b)), Secret: token.InBytes(b), data: b, open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	}}
}

// String makes a Content of a string.
func String(s string) Content { return Bytes([]byte(s)) }

// Source makes a Content of known digest and size whose bytes come from open, which may be called more than once.
func Source(d Digest, size int64, open func() (io.ReadCloser, error)) Content {
	return Content{Digest: d, Size: size, open: open}
}

// LocalFile makes a Content of a file of this machine. It reads the file once, for the digest; should the file change before it is
// sent, the reader ends in an error rather than hand out other bytes than the digest names.
func LocalFile(name string) (Content, error) {
	f, err := os.Open(name)
	if err != nil {
		return Content{}, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil {
		return Content{}, err
	} else if st.IsDir() {
		return Content{}, fmt.Errorf("read %s: is a directory", name)
	}
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return Content{}, err
	}
	d := Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
	return Source(d, n, func() (io.ReadCloser, error) { return os.Open(name) }), nil
}

// Known reports whether the bytes can be had here, not only their name.
func (c Content) Known() bool { return c.open != nil }

// Open gives the bytes. The reader checks size and digest and ends in an error where they differ.
func (c Content) Open() (io.ReadCloser, error) {
	if c.open == nil {
		return nil, fmt.Errorf("content %s is known by name only", c.Digest)
	}
	r, err := c.open()
	if err != nil || c.data != nil {
		return r, err
	}
	return &checkedReader{r: r, h: sha256.New(), want: c}, nil
}

// ReadAll gives the bytes in memory, at most limit of them: more is an error.
func (c Content) ReadAll(limit int64) ([]byte, error) {
	if c.Size > limit {
		return nil, fmt.Errorf("content of %d bytes is larger than the %d that fit here", c.Size, limit)
	}
	if c.data != nil {
		return c.data, nil
	}
	r, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

type checkedReader struct {
	r    io.ReadCloser
	h    interface{ io.Writer }
	n    int64
	want Content
}

func (c *checkedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.h.Write(p[:n])
	c.n += int64(n)
	if c.n > c.want.Size {
		return n, fmt.Errorf("content changed while it was read: more than the expected %d bytes", c.want.Size)
	}
	if err == io.EOF {
		sum := c.h.(interface{ Sum([]byte) []byte }).Sum(nil)
		if c.n != c.want.Size || Digest("sha256:"+hex.EncodeToString(sum)) != c.want.Digest {
			return n, fmt.Errorf("content changed while it was read: it is no longer %s (%d bytes)", c.want.Digest, c.want.Size)
		}
	}
	return n, err
}

func (c *checkedReader) Close() error { return c.r.Close() }
