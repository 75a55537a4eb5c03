package wire

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fabgo/internal/machines/lag"
	"fabgo/transport"
)

// patterned is a reader of a block over and over. Its length is odd, so that no two pieces are alike.
type patterned struct {
	block []byte
	at    int
}

func pattern(size int64) io.Reader {
	block := make([]byte, 64<<10+7)
	for i := range block {
		block[i] = byte(i) ^ byte(i>>7)
	}
	return io.LimitReader(&patterned{block: block}, size)
}

func (p *patterned) Read(b []byte) (int, error) {
	for n := 0; n < len(b); {
		k := copy(b[n:], p.block[p.at:])
		p.at = (p.at + k) % len(p.block)
		n += k
	}
	return len(b), nil
}

func digestOf(r io.Reader) (transport.Digest, error) {
	h := sha256.New()
	_, err := io.Copy(h, r)
	return transport.Digest("sha256:" + hex.EncodeToString(h.Sum(nil))), err
}

// inUse is the memory that is in use when everything superfluous has gone.
func inUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what is in a sync.Pool survives the first
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// sink is a host that reads what it is to write and answers what it is to read.
type sink struct {
	read  atomic.Int64
	asked chan transport.Op
}

func (s *sink) Do(_ context.Context, op transport.Op) (transport.Result, error) {
	if s.asked != nil {
		s.asked <- op
	}
	if w, ok := op.(transport.Write); ok {
		r, err := w.Content.Open()
		if err != nil {
			return nil, &transport.Error{Kind: transport.IO, Message: err.Error(), Err: err}
		}
		defer r.Close()
		n, err := io.Copy(io.Discard, r)
		s.read.Add(n)
		if err != nil {
			return nil, &transport.Error{Kind: transport.IO, Message: err.Error(), Err: err}
		}
		return transport.Written{}, nil
	}
	return transport.Data{}, nil
}

// counted counts how often a content is opened.
func counted(c transport.Content) (transport.Content, *atomic.Int64) {
	var n atomic.Int64
	return transport.Source(c.Digest, c.Size, func() (io.ReadCloser, error) { n.Add(1); return c.Open() }), &n
}

// TestAttachedOrPulled looks at the frames: up to 256 KiB a content comes with its op, above that it is pulled.
func TestAttachedOrPulled(t *testing.T) {
	for _, size := range []int64{0, 1, attachLimit, attachLimit + 1} {
		c, f := byHand(t, Options{})
		content := source(t, size)
		done := make(chan error, 1)
		go func() {
			_, err := c.Do(t.Context(), transport.Write{Path: "/f", Content: content})
			done <- err
		}()
		call := f.next(kindCall)
		fields, err := unpack(call.body, 3)
		if err != nil {
			t.Fatal(err)
		}
		attached := len(fields) == 4 && transport.DigestOf(fields[3]) == content.Digest && len(fields[2]) == 0
		offered := len(fields) == 3 && strings.Contains(string(fields[2]), string(content.Digest))
		if attached != (size <= attachLimit) || offered == attached {
			t.Errorf("%d bytes: attached %v, offered %v", size, attached, offered)
		}
		f.send(kindReply, call.id, pack([]byte("{}"), nil))
		if err := wait(t, "the answer", done); err != nil {
			t.Error(err)
		}
		f.send(kindPull, 1, []byte(content.Digest)) // the op is over
		if end := f.next(kindEnd); string(end.body) != errNotOffered.Error() {
			t.Errorf("%d bytes: %q", size, end.body)
		}
	}
	// A comparison does with the digest, but the bytes can be had while it is under way.
	var got []byte
	a, _ := join(t, Options{}, Options{Host: transport.HostFunc(func(_ context.Context, op transport.Op) (_ transport.Result, err error) {
		got, err = op.(transport.Stat).Against.ReadAll(10)
		return transport.FileInfo{Type: transport.Regular}, err
	})})
	content, reads := counted(transport.String("wanted"))
	if _, err := a.Do(t.Context(), transport.Stat{Path: "/f", Against: &content}); err != nil || string(got) != "wanted" || reads.Load() != 1 {
		t.Errorf("%q, read %d times: %v", got, reads.Load(), err)
	}
}

// TestNameOnly: contents whose bytes nobody has stay names, however many ends they pass.
func TestNameOnly(t *testing.T) {
	var got transport.Op
	last, _ := join(t, Options{}, Options{Host: transport.HostFunc(func(_ context.Context, op transport.Op) (transport.Result, error) {
		got = op
		return transport.Data{Content: transport.Content{Digest: "sha256:11", Size: 3}}, nil
	})})
	first, _ := join(t, Options{}, Options{Host: last})
	for _, size := range []int64{3, attachLimit + 1} {
		named := transport.Content{Digest: "sha256:00", Size: size}
		if _, err := first.Do(t.Context(), transport.Stat{Path: "/f", Against: &named}); transport.KindOf(err) != transport.Protocol {
			t.Errorf("data answered a stat: %v", err)
		}
		if c := got.(transport.Stat).Against; c.Known() || c.Digest != named.Digest || c.Size != size {
			t.Errorf("%+v", c)
		}
	}
	res, err := transport.Do[transport.Data](t.Context(), first, transport.Read{Path: "/f"})
	if err != nil || res.Content.Known() || res.Content.Digest != "sha256:11" {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestContentsComeHome: a content that comes back to where it came from is not sent, neither with an answer nor with an op.
func TestContentsComeHome(t *testing.T) {
	content, reads := counted(source(t, 3*attachLimit))
	var a, b *Conn
	a, b = join(t, Options{}, Options{Host: transport.HostFunc(func(context.Context, transport.Op) (transport.Result, error) {
		return transport.Data{Content: b.Remote(content)}, nil
	})})
	a.Offer(content)
	res, err := transport.Do[transport.Data](t.Context(), a, transport.Ask{What: transport.AskFile})
	if err != nil || reads.Load() != 0 {
		t.Errorf("read %d times on its way: %v", reads.Load(), err)
	}
	if got, err := res.Content.ReadAll(content.Size); err != nil || int64(len(got)) != content.Size || reads.Load() != 1 {
		t.Errorf("%d bytes, read %d times: %v", len(got), reads.Load(), err)
	}

	// The far end names, in an op, what was offered to it.
	s := &sink{}
	c, d := join(t, Options{Host: s}, Options{})
	c.Offer(content)
	reads.Store(0)
	if _, err := d.Do(t.Context(), transport.Write{Path: "/f", Content: d.Remote(content)}); err != nil || s.read.Load() != content.Size || reads.Load() != 1 {
		t.Errorf("%d bytes, read %d times: %v", s.read.Load(), reads.Load(), err)
	}
}

// TestAnswersHoldContents: what was read comes with its bytes; the answering end keeps none of it. A file of the bundle is pulled.
func TestAnswersHoldContents(t *testing.T) {
	content, reads := counted(source(t, 3<<20))
	a, b := join(t, Options{}, Options{Host: transport.HostFunc(func(context.Context, transport.Op) (transport.Result, error) {
		return transport.Data{Content: content}, nil
	})})
	for _, tt := range []struct {
		op    transport.Op
		reads [2]int64
		kept  int
	}{{transport.Read{Path: "/f"}, [2]int64{1, 1}, 0}, {transport.Ask{What: transport.AskTree}, [2]int64{1, 1}, 0}, {transport.Ask{What: transport.AskFile}, [2]int64{0, 1}, 1}} {
		reads.Store(0)
		res, err := transport.Do[transport.Data](t.Context(), a, tt.op)
		if err != nil {
			t.Fatal(err)
		}
		before := reads.Load()
		got, err := res.Content.ReadAll(content.Size)
		if err != nil || transport.DigestOf(got) != content.Digest || [2]int64{before, reads.Load()} != tt.reads {
			t.Errorf("%v: read %d and then %d times: %v", tt.op, before, reads.Load(), err)
		}
		b.mu.Lock()
		if len(b.offers) != tt.kept {
			t.Errorf("%v: %d contents are kept", tt.op, len(b.offers))
		}
		b.mu.Unlock()
	}
}

// TestStream sends a large content through two connections in little memory.
func TestStream(t *testing.T) {
	size := int64(1 << 30)
	if testing.Short() || raceEnabled {
		size = 256 << 20
	}
	content := transport.Source("", size, func() (io.ReadCloser, error) { return io.NopCloser(pattern(size)), nil })
	var err error
	if content.Digest, err = digestOf(pattern(size)); err != nil {
		t.Fatal(err)
	}
	s := &sink{}
	owner, _ := join(t, Options{}, Options{Host: s})
	first, _ := join(t, Options{}, Options{Host: owner})
	before := inUse()
	var most int64
	stop, measured := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(measured)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, int64(m.HeapAlloc)-before)
			}
		}
	}()
	begin := time.Now()
	_, err = first.Do(t.Context(), transport.Write{Path: "/f", Content: content})
	took := time.Since(begin)
	close(stop)
	<-measured
	if err != nil || s.read.Load() != size {
		t.Fatalf("%d of %d bytes: %v", s.read.Load(), size, err)
	}
	if most > 64<<20 {
		t.Errorf("%d MiB of memory in use", most>>20)
	}
	t.Logf("%d MiB in %v, %.0f MB/s, at most %d MiB of memory", size>>20, took, float64(size)/1e6/took.Seconds(), most>>20)
}

// TestPullsAtOnce: many more than may be under way, all of them come, also while some are given up.
func TestPullsAtOnce(t *testing.T) {
	a, b := join(t, Options{}, Options{})
	content := source(t, 2<<20)
	b.Offer(content)
	var pulls sync.WaitGroup
	for i := range 3 * pullLimit {
		pulls.Go(func() {
			if i%2 == 0 {
				got, err := a.Remote(content).ReadAll(content.Size)
				if err != nil || int64(len(got)) != content.Size {
					t.Errorf("%d bytes: %v", len(got), err)
				}
				return
			}
			r, err := a.Remote(content).Open()
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := io.ReadFull(r, make([]byte, i)); err != nil {
				t.Error(err)
			}
			r.Close()
		})
	}
	within(t, "the pulls", pulls.Wait)
	if a.ctx.Err() != nil || b.ctx.Err() != nil {
		t.Errorf("%v, %v", a.Err(), b.Err())
	}
}

// TestAbandonedPull: the far end stops reading its source, and both ends forget the pull.
func TestAbandonedPull(t *testing.T) {
	a, b := join(t, Options{}, Options{})
	closed := make(chan struct{})
	content := transport.Source("sha256:00", 1<<40, func() (io.ReadCloser, error) {
		return struct {
			io.Reader
			io.Closer
		}{pattern(1 << 40), closerFunc(func() error { close(closed); return nil })}, nil
	})
	b.Offer(content)
	r, err := a.Remote(content).Open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 3*window)); err != nil {
		t.Fatal(err)
	}
	within(t, "closing", func() { r.Close(); r.Close() })
	wait(t, "the end of the source", closed)
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("read after closing: %d, %v", n, err)
	}
	// A question after it comes after its end.
	if _, err := a.Call(t.Context(), "x", nil, nil); transport.KindOf(err) != transport.Unsupported {
		t.Error(err)
	}
	for range pullLimit + 1 { // no slot was lost
		if _, err := a.Remote(transport.Content{Digest: "sha256:11", Size: 1}).ReadAll(1); err == nil || !strings.Contains(err.Error(), errNotOffered.Error()) {
			t.Fatal(err)
		}
	}
}

type closerFunc func() error

func (f closerFunc) Close() error { return f() }

// TestSourceFails: the cause is told at the other side of two connections, and the op fails with it.
func TestSourceFails(t *testing.T) {
	owner, _ := join(t, Options{}, Options{Host: &sink{}})
	first, _ := join(t, Options{}, Options{Host: owner})
	for _, tt := range []struct {
		name string
		size int64
		open func() (io.ReadCloser, error)
		want string
	}{
		{"in the middle", 10 * window, func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(pattern(5*window+1), failing{errors.New("the disk is on fire")})), nil
		}, "the disk is on fire"},
		{"when it is opened", 10 * window, func() (io.ReadCloser, error) { return nil, errors.New("no such thing") }, "no such thing"},
		{"small", 5, func() (io.ReadCloser, error) { return io.NopCloser(failing{errors.New("the disk is on fire")}), nil }, "the disk is on fire"},
		{"too short", 10 * window, func() (io.ReadCloser, error) { return io.NopCloser(pattern(5)), nil }, "changed while it was read"},
		{"too long", 2 * window, func() (io.ReadCloser, error) { return io.NopCloser(pattern(3 * window)), nil }, "changed while it was read"},
		{"changed", 2 * window, func() (io.ReadCloser, error) { return io.NopCloser(pattern(2 * window)), nil }, "changed while it was read"},
	} {
		_, err := first.Do(t.Context(), transport.Write{Path: "/f", Content: transport.Source("sha256:00", tt.size, tt.open)})
		if transport.KindOf(err) != transport.IO || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestCancelUnderAStalledPull: an op whose content does not come can be cancelled, through two connections, and leaves nothing behind.
func TestCancelUnderAStalledPull(t *testing.T) {
	owner, last := join(t, Options{}, Options{Host: &sink{}})
	first, _ := join(t, Options{}, Options{Host: owner})
	stalled, stall := io.Pipe()
	content := transport.Source("sha256:00", 1<<30, func() (io.ReadCloser, error) { return stalled, nil })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := first.Do(ctx, transport.Write{Path: "/f", Content: content}); done <- err }()
	within(t, "the first bytes", func() { stall.Write(make([]byte, 10)) })
	cancel()
	if err := wait(t, "the answer", done); err == nil || !strings.Contains(err.Error(), "pull a content: interrupted: context canceled") {
		t.Error(err)
	}
	stall.Write(make([]byte, 10)) // it is noticed with the next bytes that nobody wants them
	if _, err := last.Call(t.Context(), "x", nil, nil); transport.KindOf(err) != transport.Unsupported {
		t.Error(err)
	}
	stall.Close()
}

// TestConnectionDiesUnderAPull: what came can be read, then there is an error.
func TestConnectionDiesUnderAPull(t *testing.T) {
	_, f, r, id := opened(t, transport.Content{Digest: "sha256:00", Size: 10})
	f.send(kindData, id, []byte("half"))
	f.w.Close()
	b, err := io.ReadAll(r)
	if string(b) != "half" || err == nil || !strings.Contains(err.Error(), "the connection was lost") {
		t.Errorf("%q, %v", b, err)
	}
	r.Close()
}

// TestLongLine: over a line with a round trip of 100 ms a content does not wait for one round trip a piece.
func TestLongLine(t *testing.T) {
	const rtt = 100 * time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	proxy, err := lag.Listen("127.0.0.1:0", l.Addr().String(), rtt)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	x, err := net.Dial("tcp", proxy.Addr())
	if err != nil {
		t.Fatal(err)
	}
	y, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{}
	a, _ := ends(t, New(x, x, x.Close, Options{}), New(y, y, y.Close, Options{Host: s}))
	small := transport.Write{Path: "/f", Content: transport.String("x")}
	if _, err := a.Do(t.Context(), small); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if _, err := a.Do(t.Context(), small); err != nil {
		t.Fatal(err)
	}
	one := time.Since(begin)
	content := source(t, 4*window) // 128 pieces
	begin = time.Now()
	if _, err := a.Do(t.Context(), transport.Write{Path: "/f", Content: content}); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	t.Logf("a small op %v; 16 MiB %v", one, took)
	if pieces := content.Size / pieceSize; took > time.Duration(pieces/2)*rtt {
		t.Errorf("%d pieces took %v at a round trip of %v", pieces, took, rtt)
	}
}

func TestOfferedTwice(t *testing.T) {
	content := source(t, 2*attachLimit)
	a, b := join(t, Options{}, Options{Host: &sink{}})
	a.Offer(content)
	for range 2 { // an op that names it does not withdraw what is offered for good
		if _, err := a.Do(t.Context(), transport.Write{Path: "/f", Content: content}); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Remote(content).ReadAll(content.Size); err != nil || int64(len(got)) != content.Size {
			t.Errorf("%d bytes: %v", len(got), err)
		}
	}
	b.Offer(transport.Bytes(nil))
	if got, err := a.Remote(transport.Bytes(nil)).ReadAll(0); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
}

// TestCallWithContent hands contents of all sizes to a call.
func TestCallWithContent(t *testing.T) {
	a, _ := joinSync(t, Options{}, Options{Call: func(_ context.Context, name string, args []byte, c *transport.Content) ([]byte, error) {
		if c == nil {
			return fmt.Appendf(nil, "%s %s", name, args), nil
		}
		b, err := c.ReadAll(1 << 30)
		return fmt.Appendf(nil, "%s %s %s", name, args, transport.DigestOf(b)), err
	}})
	for _, size := range []int64{0, 5, attachLimit, attachLimit + 1, 3 * window} {
		content := source(t, size)
		got, err := a.Call(t.Context(), "start", []byte("\x00\xff"), &content)
		if want := "start \x00\xff " + string(content.Digest); err != nil || string(got) != want {
			t.Errorf("%d bytes: %q, %v", size, got, err)
		}
	}
	if got, err := a.Call(t.Context(), "start", nil, nil); err != nil || string(got) != "start " {
		t.Errorf("%q, %v", got, err)
	}
}
