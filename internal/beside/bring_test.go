package beside

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// slow is a host that takes a thousand bytes in a second. It says ready when it has all.
type slow struct{ took int }

func (s *slow) Start(context.Context, string) (Stream, error) {
	r, w := io.Pipe()
	return &slowStream{slow: s, PipeReader: r, said: w}, nil
}

type slowStream struct {
	*slow
	*io.PipeReader
	said *io.PipeWriter
}

func (s *slowStream) Write(b []byte) (int, error) {
	time.Sleep(time.Duration(len(b)) * time.Millisecond) // of the bubble's clock
	s.took += len(b)
	return len(b), nil
}

func (s *slowStream) Flush()      {}
func (s *slowStream) Wait() error { return nil }

func (s *slowStream) CloseWrite() error {
	_, err := io.WriteString(s.said, "ready\n")
	s.said.Close()
	return err
}

func bringSlowly(t *testing.T, size int) (told []int64, packed int64) {
	t.Helper()
	text := make([]byte, size)
	for i := range text { // what does not compress
		text[i] = byte(rand.N(256))
	}
	file := filepath.Join(t.TempDir(), "fabgo")
	if err := os.WriteFile(file, text, 0o755); err != nil {
		t.Fatal(err)
	}
	x, err := read(file, "")
	if err != nil {
		t.Fatal(err)
	}
	b, err := x.pack()
	if err != nil || bytes.Equal(b, text) {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		host := &slow{}
		s := starter{far: host, chosen: x, upload: func(sent, size int64) {
			if size != int64(len(b)) {
				t.Errorf("%d bytes are to be sent, not %d", len(b), size)
			}
			told = append(told, sent)
		}}
		if err := s.bring(t.Context()); err != nil {
			t.Fatal(err)
		}
		if host.took != len(b) {
			t.Errorf("it took %d bytes of %d", host.took, len(b))
		}
	})
	return told, int64(len(b))
}

func TestBringTellsOfASlowUpload(t *testing.T) {
	told, size := bringSlowly(t, 200<<10)
	if len(told) < 100 {
		t.Fatalf("an upload of %d seconds is told of %d times", size/1000, len(told))
	}
	if first, last := told[0], told[len(told)-1]; first != 0 || last < size/2 || last > size {
		t.Errorf("it goes from %d to %d of %d", first, last, size)
	}
}

func TestBringIsQuietWhenFast(t *testing.T) {
	if told, _ := bringSlowly(t, 700); told != nil {
		t.Errorf("an upload of less than a second is told of: %v", told)
	}
}
