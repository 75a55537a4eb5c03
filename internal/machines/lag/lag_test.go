package lag_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"fabgo/internal/machines/lag"

	"go.uber.org/goleak"
)

// echo answers every connection with what it sends, and ends when the client has ended.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, target string, rtt time.Duration) *net.TCPConn {
	t.Helper()
	p, err := lag.Listen("127.0.0.1:0", target, rtt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return c.(*net.TCPConn)
}

func TestEachQuestionCostsARoundTrip(t *testing.T) {
	const rtt, questions = 20 * time.Millisecond, 5
	c := dial(t, echo(t), rtt)
	start := time.Now()
	b := make([]byte, 1)
	for range questions {
		if _, err := c.Write([]byte("?")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatal(err)
		}
	}
	// The handshake is paid for with the first answer.
	if took := time.Since(start); took < (questions+1)*rtt {
		t.Errorf("%d questions and a handshake took %s, want at least %s", questions, took, (questions+1)*rtt)
	}
}

func TestWhatIsSentAtOnceIsDelayedOnce(t *testing.T) {
	const rtt = 200 * time.Millisecond
	c := dial(t, echo(t), rtt)
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB: 32 chunks, which one by one would take 6 s
	start := time.Now()
	go func() {
		c.Write(want)
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got %d bytes back that differ from the %d sent", len(got), len(want))
	}
	if took := time.Since(start); took < 2*rtt || took > 20*rtt {
		t.Errorf("1 MiB there and back took %s with a round trip of %s", took, rtt)
	}
}

func TestTheEndOfOneDirectionLeavesTheOther(t *testing.T) {
	c := dial(t, echo(t), time.Millisecond)
	if _, err := c.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "last words" {
		t.Errorf("after closing the sending side: %q, %v", got, err)
	}
}

func TestAServerThatIsNotThereEndsTheConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := l.Addr().String()
	l.Close()
	c := dial(t, target, time.Millisecond)
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes from a server that is not there", n)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	target := echo(t)
	p, err := lag.Listen("127.0.0.1:0", target, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("never to arrive")); err != nil {
		t.Fatal(err)
	}
	p.Close()
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlived its proxy")
	} else if e, ok := err.(net.Error); ok && e.Timeout() {
		t.Error("the connection was not cut")
	}
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("fabgo/internal/machines/lag_test.echo.func2"))
}

func TestListenSaysWhatItTried(t *testing.T) {
	if _, err := lag.Listen("127.0.0.1:notaport", "127.0.0.1:1", time.Second); err == nil {
		t.Error("a proxy listens on no port")
	}
}
