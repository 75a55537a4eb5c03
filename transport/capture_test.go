package transport

import (
	"bytes"
	"fmt"
	"math/rand"
	"testing"
)

func TestCapture(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for range 3000 {
		limit := 1 + rnd.Intn(40)
		data := make([]byte, rnd.Intn(120))
		for i := range data {
			data[i] = byte('a' + rnd.Intn(26))
			if rnd.Intn(8) == 0 {
				data[i] = '\n'
			}
		}
		c := NewCapture(int64(limit))
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1+rnd.Intn(30))
			if k, err := c.Write(rest[:n]); k != n || err != nil {
				t.Fatal(k, err)
			}
			rest = rest[n:]
		}
		want, cut := data, 0
		if len(data) > limit {
			cut = len(data) - limit
			head, tail := data[:limit/2], data[len(data)-(limit-limit/2):]
			nl := "\n"
			if len(head) == 0 || bytes.HasSuffix(head, []byte("\n")) {
				nl = ""
			}
			want = fmt.Appendf(nil, "%s%s[... %d bytes cut ...]\n%s", head, nl, cut, tail)
		}
		got, n := c.Result()
		if string(got) != string(want) || n != int64(cut) {
			t.Fatalf("limit %d of %q: %q, %d; want %q, %d", limit, data, got, n, want, cut)
		}
	}
}

func TestCaptureDefault(t *testing.T) {
	c := NewCapture(0)
	for range 2*OutputLimit/1024 + 1 {
		c.Write(make([]byte, 1024))
	}
	if got, cut := c.Result(); cut != OutputLimit+1024 || len(got) < OutputLimit || len(got) > OutputLimit+64 {
		t.Error(len(got), cut)
	}
}
