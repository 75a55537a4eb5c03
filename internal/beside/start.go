package beside

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fabgo/internal/helper"
	"fabgo/transport"
	"fabgo/transport/wire"
)

// Far is a machine that programs can be started on, each with a stream to its standard input and output.
type Far interface {
	// Start runs a script of POSIX sh with the rights of the acting user.
	Start(ctx context.Context, script string) (Stream, error)
}

// Stream is such a program.
type Stream interface {
	io.Reader
	io.Writer
	// Flush waits until what was written has left this machine.
	Flush()
	CloseWrite() error
	Close() error
	// Wait returns when the program has ended: nil for exit code 0. What it said on standard error is in the error.
	Wait() error
}

// Unable says that no helper can run on a host. Nothing was changed there; the portable way is open.
type Unable struct {
	Why string
	Err error
}

func (e *Unable) Error() string { return e.Why }
func (e *Unable) Unwrap() error { return e.Err }

// rootBin follows the state folder of helper.StateEnv, as moved does for everybody else: it is empty where nothing was moved.
const (
	rootBin = "${" + helper.StateEnv + ":-" + helper.RootState + "}/bin"
	moved   = "${" + helper.StateEnv + ":+$" + helper.StateEnv + "/bin}"
)

// places are where a helper may stand, the best first. A plan prefers what the next boot forgets, since it is to leave no trace.
func places(root, plan bool) []string {
	switch {
	case root && plan:
		return []string{"/run/fabgo/bin", "/dev/shm/fabgo-0", rootBin}
	case root:
		return []string{rootBin, "/usr/local/lib/fabgo", "/opt/fabgo", "/run/fabgo/bin", "/dev/shm/fabgo-0"}
	case plan:
		return []string{moved, "${XDG_RUNTIME_DIR:-/run/user/$U}/fabgo", "/dev/shm/fabgo-$U", "$HOME/.cache/fabgo"}
	}
	return []string{moved, "$HOME/.cache/fabgo", "$HOME/.local/lib/fabgo", "${XDG_RUNTIME_DIR:-/run/user/$U}/fabgo", "/dev/shm/fabgo-$U"}
}

// each is the head of a loop over the places.
func each(root, plan bool) string {
	head := ""
	if !root {
		head = "U=$(id -u)\n"
	}
	var words []string
	for _, p := range places(root, plan) {
		words = append(words, `"`+p+`"`)
	}
	return head + "for p in " + strings.Join(words, " ") + "; do\n[ -n \"$p\" ] || continue\n"
}

const missing = "fabgo-missing "

// own is the test that $p is a folder of the acting user's and no link to one: in a folder that others may write to, such as /tmp, root
// owns the folder and anybody what is in it.
const own = `[ ! -L "$p" ] && [ -d "$p" ] && [ -O "$p" ]`

// launch is the script that starts the helper. A folder that belongs to somebody else is passed by, whatever is in it.
func launch(at string, root bool, name, mode, arg string) string {
	words := " " + helper.Command + " " + mode
	if arg != "" {
		words += " " + quote(arg)
	}
	line := `exec "$p/` + name + `"` + words
	known := ""
	if at != "" {
		known = "if [ -x " + quote(at) + " ]; then exec " + quote(at) + words + "; fi\n"
	}
	// All places, whichever the mode: what a run has brought serves a plan too.
	seen := each(root, false)
	return known + seen + "if " + own + ` && [ -x "$p/` + name + `" ]; then ` + line + "; fi\ndone\n" +
		"printf '" + missing + `%s %s\n' "$(uname -s)" "$(uname -m)"` + "\n"
}

// quote makes one word of the shell of a text.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'" }

// upload is the script that puts the helper there. It prints ready, or a line that says why not.
func upload(root, plan bool, b *binary) string {
	return "umask 077\nT=\nW=\n" + each(root, plan) + `
  mkdir -p "$p" 2>/dev/null
  if ! { ` + own + `; }; then W="$W $p: not a folder of its own;"; continue; fi
  t="$p/.` + b.name() + `.$$"
  if ! printf '#!/bin/sh\nexit 0\n' 2>/dev/null >"$t"; then W="$W $p: cannot be written;"; rm -f "$t"; continue; fi
  chmod 700 "$t"
  if ! "$t" 2>/dev/null; then W="$W $p: nothing can be executed there (noexec?);"; rm -f "$t"; continue; fi
  k=$(df -Pk "$p" 2>/dev/null | { read -r k; read -r k k k k r; echo "$k"; })
  case $k in ''|*[!0-9]*) ;; *) if [ "$k" -lt ` + fmt.Sprint(b.size>>10+64) + ` ]; then W="$W $p: no space left, only $k KiB;"; rm -f "$t"; continue; fi ;; esac
  T=$t
  break
done
if ! [ "$T" ]; then cat >/dev/null; echo "there is no place for it:$W"; exit 0; fi
trap 'rm -f "$T"' EXIT
trap 'exit 1' HUP INT TERM
if ! command -v gzip >/dev/null 2>&1; then cat >/dev/null; echo "there is no gzip"; exit 0; fi
if ! e=$( { gzip -dc >"$T"; } 2>&1 ); then cat >/dev/null; echo "it could not be unpacked in $p:" $e; exit 0; fi
if command -v sha256sum >/dev/null 2>&1; then h=$(sha256sum <"$T")
elif command -v shasum >/dev/null 2>&1; then h=$(shasum -a 256 <"$T")
elif command -v sha256 >/dev/null 2>&1; then h=$(sha256 -q <"$T")
elif command -v openssl >/dev/null 2>&1; then h=$(openssl dgst -sha256 -r <"$T")
else echo "nothing here computes a SHA-256, to verify it"; exit 0; fi
if [ "${h%% *}" != ` + b.digest + ` ]; then echo "it arrived damaged: its digest is ${h%% *}"; exit 0; fi
chmod 755 "$T" && mv -f "$T" "$p/` + b.name() + `" || { echo "it could not be put into $p"; exit 0; }
n=0
for f in $(ls -t "$p"); do case $f in fabgo-*) n=$((n+1)); if [ $n -gt 3 ]; then rm -f "$p/$f"; fi;; esac; done
find "$p" -name '.fabgo-*' -mmin +60 -exec rm -f {} + 2>/dev/null
echo ready
`
}

// greetingLimit is how long a helper may take to start.
const greetingLimit = time.Minute

// starter starts helpers on one host.
type starter struct {
	far      Far
	binaries *Binaries
	root     bool
	plan     bool
	at       string
	soft     context.Context        // when it ends, what was sent already is to end after the step under way,
	halt     func(*wire.Conn)       // which this says
	abort    func(*wire.Conn)       // has what was sent already come to nothing; nil: closing the connection does
	upload   func(sent, size int64) // Options.Upload
	chosen   *binary
	stream   Stream // of the latest start
}

// start starts a helper in a mode, and brings it there first where it is missing. The connection serves frames with options; first gets
// each new one before anything is known of the far end, to send what is to be sent at once.
func (s *starter) start(ctx context.Context, mode, arg string, o wire.Options, first func(*wire.Conn) error) (*wire.Conn, error) {
	if s.soft == nil {
		s.soft = context.Background()
	}
	if s.chosen == nil {
		own, err := s.binaries.own()
		if err != nil { // a controller whose platform no host has
			own = &binary{digest: strings.Repeat("0", 64)}
		}
		s.chosen = own
	}
	for try := 1; ; try++ {
		st, err := s.far.Start(ctx, launch(s.at, s.root, s.chosen.name(), mode, arg))
		if err != nil {
			return nil, err
		}
		c := wire.New(st, st, st.Close, o)
		s.stream = st
		if err := first(c); err != nil {
			return nil, err
		}
		greeted := make(chan error, 1)
		go func() { greeted <- c.Greeted() }()
		stopped := context.AfterFunc(s.soft, func() { s.halt(c) })
		select {
		case err = <-greeted:
		case <-time.After(greetingLimit):
			c.Close()
			return nil, &transport.Error{Kind: transport.Timeout, Message: fmt.Sprintf("start the helper: it said nothing for %s", greetingLimit)}
		case <-ctx.Done():
			if s.abort == nil || !s.aborted(c, greeted) {
				c.Close()
				return nil, context.Cause(ctx)
			}
			err = nil // and tells how it ends
		}
		stopped()
		if err == nil {
			return c, nil
		}
		c.Close()
		system, machine, absent := absentOn(err)
		switch {
		case !absent:
			return nil, s.silent(err, st.Wait())
		case try == 2:
			return nil, &Unable{Why: "the helper was brought there, and is gone again"}
		}
		if s.chosen, err = s.binaries.get(platformOf(system, machine)); err != nil {
			return nil, &Unable{Why: err.Error(), Err: err}
		}
		if err := s.bring(ctx); err != nil {
			return nil, err
		}
	}
}

// aborted tells a helper that may have begun already to end, and reports whether it is there to hear it.
func (s *starter) aborted(c *wire.Conn, greeted <-chan error) bool {
	s.abort(c)
	select {
	case err := <-greeted:
		return err == nil
	case <-time.After(lastWord):
		return false
	}
}

// absentOn reads what the script says when there is no helper.
func absentOn(err error) (system, machine string, ok bool) {
	ng, ok := errors.AsType[*wire.NoGreeting](err)
	if !ok {
		return "", "", false
	}
	at := bytes.LastIndex(ng.Noise, []byte(missing))
	if at < 0 {
		return "", "", false
	}
	words := strings.Fields(string(ng.Noise[at+len(missing):]))
	if len(words) < 2 {
		return "", "", false
	}
	return words[0], words[1], true
}

// silent explains a helper that ended before it greeted.
func (s *starter) silent(err, ended error) error {
	ng, ok := errors.AsType[*wire.NoGreeting](err)
	if !ok {
		return err
	}
	for _, e := range []error{ended, err} {
		if transport.KindOf(e) == transport.Unreachable {
			return e // whether it has started is not known
		}
	}
	if ended == nil {
		ended = ng.Err
	}
	said := strings.TrimSpace(string(ng.Noise))
	if len(said) > 400 {
		said = said[len(said)-400:]
	}
	if said != "" {
		said = "; it said: " + said
	}
	return &Unable{Why: fmt.Sprintf("the helper did not start: %v%s", ended, said), Err: ended}
}

// bring uploads the helper.
func (s *starter) bring(ctx context.Context) error {
	packed, err := s.chosen.pack()
	if err != nil {
		return &Unable{Why: "read the helper: " + err.Error(), Err: err}
	}
	st, err := s.far.Start(ctx, upload(s.root, s.plan, s.chosen))
	if err != nil {
		return err
	}
	defer st.Close()
	stop := context.AfterFunc(ctx, func() { st.Close() })
	defer stop()
	sent := make(chan error, 1)
	var written atomic.Int64
	go func() {
		var err error
		for part := range slices.Chunk(packed, 32<<10) {
			if _, err = st.Write(part); err != nil {
				break
			}
			written.Add(int64(len(part)))
		}
		sent <- errors.Join(err, st.CloseWrite())
	}()
	if s.upload != nil {
		told := tell(func() { s.upload(written.Load(), int64(len(packed))) })
		defer told()
	}
	out, rerr := io.ReadAll(io.LimitReader(st, 64<<10))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	said := strings.TrimSpace(string(out))
	if strings.HasSuffix(said, "ready") {
		return nil
	}
	if said == "" {
		return &Unable{Why: fmt.Sprintf("bring the helper there: %v", errors.Join(rerr, st.Wait(), <-sent))}
	}
	lines := strings.Split(said, "\n")
	return &Unable{Why: "bring the helper there: " + lines[len(lines)-1]}
}

// tell calls f when a second has passed, and then four times a second until the function that it returns is called.
func tell(f func()) (end func()) {
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		select {
		case <-stop:
			return
		case <-time.After(time.Second):
		}
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			f()
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	return func() { close(stop); done.Wait() }
}
