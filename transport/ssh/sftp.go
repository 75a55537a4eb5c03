package ssh

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"fabgo/transport"
)

// fileServer is the SFTP server at the far end, started when it is first wanted; there may be none. It only ever observes, except for
// a plain new symlink: changes need more than SFTP can say (who owns a temporary file, why something failed).
// Whenever its answer is an error, or odd, the question is asked again of a command, whose words explain.
type fileServer struct {
	h       *Host
	conn    *conn
	as      *escalation
	program string // of the server, for when it has to run as root

	mu      sync.Mutex
	client  *sftp.Client
	stop    func()
	users   int
	never   bool
	opening chan struct{}

	heard atomic.Int64 // bytes that the server has sent
	alarm atomic.Pointer[alarm]
}

// alarm rings when the server has sent so much.
type alarm struct {
	at   int64
	ring func()
}

// counted is what the server sends, with its bytes counted.
type counted struct {
	r io.Reader
	f *fileServer
}

// Read implements io.Reader.
func (m counted) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	all := m.f.heard.Add(int64(n))
	if a := m.f.alarm.Load(); a != nil && all > a.at {
		a.ring()
	}
	return n, err
}

// sftpTimeout is how long one question to an SFTP server may take.
const sftpTimeout = 2 * time.Minute

// acquire gives the client, started where necessary; nil where there is none.
func (f *fileServer) acquire(ctx context.Context) *sftp.Client {
	for {
		f.mu.Lock()
		if f.never {
			f.mu.Unlock()
			return nil
		}
		if f.client != nil {
			f.users++
			c := f.client
			f.mu.Unlock()
			return c
		}
		if wait := f.opening; wait != nil {
			f.mu.Unlock()
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return nil
			}
		}
		done := make(chan struct{})
		f.opening = done
		f.mu.Unlock()
		client, stop, again := f.open(ctx)
		f.mu.Lock()
		f.opening = nil
		close(done)
		if client == nil {
			f.never = !again
			f.mu.Unlock()
			return nil
		}
		f.client, f.stop = client, stop
		f.mu.Unlock()
	}
}

func (f *fileServer) leave() {
	f.mu.Lock()
	f.users--
	f.mu.Unlock()
}

// giveUp closes the server's channel for good, where the server allows too few at once.
func (f *fileServer) giveUp() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.client == nil || f.never {
		return false
	}
	f.never = true
	f.stop()
	f.client = nil
	return true
}

// drop forgets a server that misbehaves.
func (f *fileServer) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.never = true
	if f.client != nil {
		f.stop()
		f.client = nil
	}
}

// open starts the server. again says that it may work another time.
func (f *fileServer) open(ctx context.Context) (client *sftp.Client, stop func(), again bool) {
	if f.as != nil {
		return f.openEscalated(ctx)
	}
	ch, reqs, err := f.conn.session(ctx, f.h.times, nil, true)
	if err != nil {
		// With others in the way it may work later; alone, the server allows none beside a command.
		return nil, nil, f.conn.sessions.count() > 0 || ctx.Err() != nil
	}
	go ssh.DiscardRequests(reqs)
	stop = sync.OnceFunc(func() { f.conn.release(ch, true) })
	ok := false
	err = f.conn.bounded(ctx, "start SFTP", f.h.times.Request, func() (err error) {
		ok, err = ch.SendRequest("subsystem", true, ssh.Marshal(struct{ Name string }{"sftp"}))
		return err
	})
	if err != nil || !ok {
		stop()
		return nil, nil, ctx.Err() != nil
	}
	client, err = f.greet(ctx, ch, ch, stop)
	if err != nil {
		stop()
		return nil, nil, ctx.Err() != nil
	}
	return client, stop, false
}

// openEscalated runs the server's program as root.
func (f *fileServer) openEscalated(ctx context.Context) (client *sftp.Client, stop func(), again bool) {
	if f.program == "" {
		return nil, nil, false
	}
	fromFar, toUs := io.Pipe()
	toFar, fromUs := io.Pipe()
	run, cancel := context.WithCancel(context.Background())
	stop = sync.OnceFunc(func() { cancel(); fromFar.Close(); fromUs.Close() })
	go func() {
		_, err := f.conn.run(run, f.h.times, request{what: "start SFTP as root", as: f.as, urgent: true, body: "begin sftp\nexec " + shellWord(f.program),
			stdout: toUs, stderr: io.Discard, stdin: func(w io.Writer) error { _, err := io.Copy(w, toFar); return err }})
		toUs.CloseWithError(errors.Join(io.EOF, err))
		toFar.Close()
	}()
	client, err := f.greet(ctx, fromFar, fromUs, stop)
	if err != nil {
		stop()
		return nil, nil, ctx.Err() != nil
	}
	return client, stop, false
}

func (f *fileServer) greet(ctx context.Context, r io.Reader, w io.WriteCloser, stop func()) (client *sftp.Client, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		client, err = sftp.NewClientPipe(counted{r, f}, w)
	}()
	timer := time.NewTimer(f.h.times.Request)
	defer timer.Stop()
	select {
	case <-done:
		return client, err
	case <-timer.C:
	case <-ctx.Done():
	case <-f.conn.dead:
	}
	stop()
	return nil, errNotThisWay
}

// ask asks the server something. errNotThisWay means that somebody else is to be asked.
func (f *fileServer) ask(ctx context.Context, what string, question func(*sftp.Client) error) error {
	client := f.acquire(ctx)
	if client == nil {
		select {
		case <-f.conn.dead:
			return &broken{what: what, err: f.conn.why()}
		default:
		}
		if ctx.Err() != nil {
			return interruptedError(ctx, what)
		}
		return errNotThisWay
	}
	defer f.leave()
	done := make(chan error, 1)
	go func() { done <- question(client) }()
	timer := time.NewTimer(sftpTimeout)
	defer timer.Stop()
	select {
	case err := <-done:
		if err == nil || err == errAbsent {
			return err
		}
		select {
		case <-f.conn.dead:
			return &broken{what: what, err: f.conn.why()}
		default:
		}
		if !isStatus(err) { // the channel broke, or what came over it made no sense
			f.drop()
		}
		return errNotThisWay
	case <-timer.C:
		f.drop()
		return errNotThisWay
	case <-f.conn.dead:
		return &broken{what: what, err: f.conn.why()}
	case <-ctx.Done():
		return interruptedError(ctx, what)
	}
}

var errAbsent = errors.New("absent")

// isStatus says that the server answered properly, if only with a refusal.
func isStatus(err error) bool {
	_, ok := errors.AsType[*sftp.StatusError](err)
	return ok || isMissing(err) || errors.Is(err, errDoubt) || errors.Is(err, io.EOF) || strings.Contains(err.Error(), "permission denied")
}

func isMissing(err error) bool {
	return errors.Is(err, sftp.ErrSSHFxNoSuchFile) || strings.Contains(err.Error(), "file does not exist")
}

// errDoubt says that an answer is possible but not to be trusted.
var errDoubt = errors.New("a doubtful answer")

func (f *fileServer) stat(ctx context.Context, p transport.Path, follow bool) (a attrs, err error) {
	err = f.ask(ctx, "stat "+show(p), func(c *sftp.Client) error {
		get := c.Lstat
		if follow {
			get = c.Stat
		}
		fi, err := get(string(p))
		if err != nil {
			if !isMissing(err) {
				return err
			}
			if follow { // a loop of symlinks looks the same
				if _, lerr := c.Lstat(string(p)); lerr == nil {
					return errDoubt
				}
			}
			return errAbsent
		}
		st, ok := fi.Sys().(*sftp.FileStat)
		if !ok || st.Mode&typeMask == 0 || int64(st.Size) < 0 {
			return errDoubt
		}
		a = attrs{mode: st.Mode, uid: int(st.UID), gid: int(st.GID), size: int64(st.Size), mtime: int64(st.Mtime)}
		if a.mode&typeMask == typeLink {
			if a.target, err = c.ReadLink(string(p)); err == nil && (a.target == "" || strings.IndexByte(a.target, 0) >= 0) {
				err = errDoubt
			}
		}
		return err
	})
	if err == errAbsent {
		return attrs{absent: true}, nil
	}
	return a, err
}

// read reads at most limit bytes; what the server says of the size is only a hint.
func (f *fileServer) read(ctx context.Context, p transport.Path, offset, limit int64) (b []byte, size int64, err error) {
	err = f.ask(ctx, "read "+show(p), func(c *sftp.Client) error {
		fi, err := c.Stat(string(p))
		if err != nil {
			return err
		}
		if !fi.Mode().IsRegular() {
			return errDoubt // a folder, or a pipe that would block
		}
		file, err := c.Open(string(p))
		if err != nil {
			return err
		}
		defer file.Close()
		size = fi.Size()
		hint := min(max(size-offset, 0), limit)
		got := make([]byte, min(hint, 64<<20))
		n, err := file.ReadAt(got, offset)
		got = got[:n]
		if err != nil && err != io.EOF {
			return err
		}
		// Files of /proc say size 0, files grow, servers lie: read on in small pieces until the end.
		piece := make([]byte, 32<<10)
		for int64(len(got)) < limit && err == nil {
			n, err = file.ReadAt(piece[:min(int64(len(piece)), limit-int64(len(got)))], offset+int64(len(got)))
			got = append(got, piece[:n]...)
			if err == nil && n == 0 {
				break
			}
		}
		if err != nil && err != io.EOF {
			return err
		}
		b = got
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return b, size, nil
}

// quickSymlink makes a symlink where nothing stands, without a command: SFTP's own is atomic and replaces nothing. It does so only
// where the folder's path is free of symlinks, and with OpenSSH's server: others take the two names in the other order.
func (h *Host) quickSymlink(ctx context.Context, l *link, o transport.Link) (bool, error) {
	if !strings.HasPrefix(string(l.client.ServerVersion()), "SSH-2.0-OpenSSH") {
		return false, nil
	}
	sent := false
	err := l.files.ask(ctx, "link "+show(o.Path), func(c *sftp.Client) error {
		dir := string(o.Path.Dir())
		real, err := c.RealPath(dir)
		if err != nil {
			return err
		}
		if real != dir {
			return errDoubt
		}
		sent = true
		return c.Symlink(string(o.Target), string(o.Path))
	})
	if b, ok := errors.AsType[*broken](err); ok {
		b.sent = sent
		return false, b
	}
	if transport.KindOf(err) == transport.Interrupted {
		return false, err
	}
	return err == nil, nil
}
