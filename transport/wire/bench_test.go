package wire

import (
	"io"
	"os"
	"os/exec"
	"testing"

	"fabgo/transport"
)

// BenchmarkDo is a small op there and back.
func BenchmarkDo(b *testing.B) {
	b.Run("InProcess", func(b *testing.B) {
		c, _ := join(b, Options{}, Options{Host: quick})
		ask(b, c)
	})
	b.Run("Chain", func(b *testing.B) {
		owner, _ := join(b, Options{}, Options{Host: quick})
		c, _ := join(b, Options{}, Options{Host: owner})
		ask(b, c)
	})
	b.Run("TwoProcesses", func(b *testing.B) { ask(b, child(b)) })
	b.Run("TwoProcessesParallel", func(b *testing.B) {
		c := child(b)
		b.ReportAllocs()
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := c.Do(b.Context(), stat); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkPipe is the least that a question to another process can take: a few bytes there and back through the same pipes.
func BenchmarkPipe(b *testing.B) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "FABGO_TEST_WIRE=echo")
	w, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	r, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 100)
	for b.Loop() {
		if _, err := w.Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(r, buf); err != nil {
			b.Fatal(err)
		}
	}
	w.Close()
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkEncode is what of an op is not the wire's: its encodings.
func BenchmarkEncode(b *testing.B) {
	res, _ := quick(b.Context(), stat)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := transport.DecodeOp(transport.EncodeOp(stat)); err != nil {
			b.Fatal(err)
		}
		if _, err := transport.DecodeResult(stat, transport.EncodeResult(res)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkContent(b *testing.B) {
	c, _ := join(b, Options{}, Options{Host: &sink{}})
	content := source(b, 64<<20)
	b.SetBytes(content.Size)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Do(b.Context(), transport.Write{Path: "/f", Content: content}); err != nil {
			b.Fatal(err)
		}
	}
}

func ask(b *testing.B, c *Conn) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Do(b.Context(), stat); err != nil {
			b.Fatal(err)
		}
	}
}

// child is a far end in a process of its own.
func child(t testing.TB) *Conn {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "FABGO_TEST_WIRE=1")
	cmd.Stderr = os.Stderr
	w, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := New(r, w, closing(w, r), Options{})
	t.Cleanup(func() {
		c.Close()
		<-c.Done()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// TestTwoProcesses has the far end in a process of its own, which ends when the connection does.
func TestTwoProcesses(t *testing.T) {
	leakless(t)
	if info, err := transport.Do[transport.FileInfo](t.Context(), child(t), stat); err != nil || info.Size != 7 {
		t.Errorf("%+v, %v", info, err)
	}
}
