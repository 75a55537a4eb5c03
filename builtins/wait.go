package builtins

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"fabgo/transport"
)

func waitNatives() starlark.StringDict {
	return merge(native("wait.port", waitPort), native("wait.http", waitHTTP), native("wait.file", waitFile))
}

// patience is how long something is waited for, and how it is shown.
type patience struct {
	common
	Timeout  time.Duration `arg:"timeout"`
	Interval time.Duration `arg:"interval"`
}

func (a patience) check() error {
	switch {
	case a.Interval < 10*time.Millisecond:
		return fmt.Errorf("interval: got %s, want 10ms or more", a.Interval)
	case a.Timeout > 24*time.Hour:
		return fmt.Errorf("timeout: got %s, want 24h or less", a.Timeout)
	}
	return nil
}

// wait looks again and again. Time is counted by the pauses and by what the looks may have taken, not by a clock: a replay comes to the same end.
type wait struct {
	patience
	call   *call
	name   string
	look   func(ctx context.Context, h transport.Host) (ok bool, why string, err error)
	each   time.Duration // what a look that gets no answer takes
	mute   bool          // the last look got none
	waited time.Duration
	hint   string
}

func (w *wait) Name() string { return "wait:" + w.name }

func (w *wait) Look(ctx context.Context, h transport.Host) (bool, string, error) {
	ok, why, err := w.look(ctx, h)
	if w.mute = transport.KindOf(err) == transport.Timeout; w.mute {
		return false, fmt.Sprintf("no answer within %s", w.each), nil
	}
	return ok, why, err
}

func (w *wait) Again(why string) error {
	if w.mute {
		w.waited += w.each
	}
	if w.waited += w.Interval; w.waited > w.Timeout {
		return &transport.Error{Kind: transport.Timeout, Message: fmt.Sprintf("wait for %s: after %s %s", w.name, w.Timeout, why), Hint: w.hint}
	}
	if w.call.Sleep != nil {
		return w.call.Sleep(w.Interval)
	}
	return nil
}

func (c *call) await(w *wait) (starlark.Value, error) {
	w.call = c
	return starlark.None, c.Session.Await(c.step, w)
}

// connects opens a connection from the host itself with what is there: bash knows TCP, and Debian has it always.
const connects = `if command -v bash >/dev/null 2>&1; then exec bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2"; fi
if command -v nc >/dev/null 2>&1; then exec nc -z "$1" "$2"; fi
echo "neither bash nor nc is there" >&2; exit 127`

// greeting reads the first line that the other side sends, in at most the seconds that it is given. nc would have to be told when to end.
const greeting = `command -v bash >/dev/null 2>&1 || { echo "there is no bash" >&2; exit 127; }
exec bash -c 'exec 3<>"/dev/tcp/$0/$1" || exit 1; IFS= read -r -t "$2" line <&3; printf %s "$line"' "$1" "$2" "$3"`

type waitPortArgs struct {
	patience
	Match   string        `arg:"match"`
	Port    int           `arg:"port"`
	Host    string        `arg:"host"`
	Closed  bool          `arg:"closed"`
	Connect time.Duration `arg:"connect_timeout"`
}

func waitPort(c *call, a waitPortArgs) (starlark.Value, error) {
	err := a.check()
	re, perr := patternOf("match", a.Match)
	switch {
	case err != nil:
	case perr != nil:
		err = perr
	case a.Closed && a.Match != "":
		err = fmt.Errorf("match: who takes no connections sends nothing")
	case a.Port < 1 || a.Port > 65535:
		err = fmt.Errorf("port: %d is no port", a.Port)
	case a.Host == "" || strings.IndexFunc(a.Host, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".:-_%", r))
	}) >= 0 || a.Host[0] == '-':
		err = fmt.Errorf("host: %q is no name or address", a.Host)
	case a.Connect < 10*time.Millisecond:
		err = fmt.Errorf("connect_timeout: got %s, want 10ms or more", a.Connect)
	}
	if err != nil {
		return nil, fmt.Errorf("wait.port: %w", err)
	}
	at := a.Host + ":" + strconv.Itoa(a.Port)
	if strings.Contains(a.Host, ":") {
		at = "[" + a.Host + "]:" + strconv.Itoa(a.Port)
	}
	w := &wait{patience: a.patience, name: at, each: a.Connect, hint: "is what listens there up (systemctl status), and is it that address?"}
	argv, limit := []string{"/bin/sh", "-c", connects, "sh", a.Host, strconv.Itoa(a.Port)}, a.Connect
	if re.Regexp != nil {
		argv = []string{"/bin/sh", "-c", greeting, "sh", a.Host, strconv.Itoa(a.Port), strconv.FormatFloat(a.Connect.Seconds(), 'f', -1, 64)}
		limit += time.Second // bash itself gives up before
	}
	w.look = func(ctx context.Context, h transport.Host) (bool, string, error) {
		out, err := transport.Do[transport.Output](ctx, h, transport.Exec{Argv: transport.Texts(argv...), Timeout: limit})
		switch {
		case a.Closed && transport.KindOf(err) == transport.Timeout:
			return true, "", nil
		case err != nil:
			return false, "", err
		case out.Code == 127:
			return false, "", &transport.Error{Kind: transport.Unsupported, Message: fmt.Sprintf("wait for %s: %s", at, strings.TrimSpace(string(out.Stderr))), Hint: "pkg.install(\"bash\") brings one"}
		case a.Closed:
			return out.Code != 0, "something listens there", nil
		case out.Code == 0 && re.Regexp != nil:
			return re.MatchString(string(out.Stdout)), fmt.Sprintf("it greets with %q", string(out.Stdout)), nil
		}
		return out.Code == 0, said(out, "nothing listens there"), nil
	}
	if a.Closed {
		w.hint = ""
	}
	return c.await(w)
}

// said is the last thing that a command complained of, in a line.
func said(out transport.Output, otherwise string) string {
	l := strings.Split(strings.TrimSpace(string(out.Stderr)), "\n")
	text := l[len(l)-1]
	for _, l := range l {
		if i := strings.LastIndex(l, "connect: "); i >= 0 { // bash says it again in other words
			text = l[i+len("connect: "):]
		}
	}
	if text == "" {
		return otherwise
	}
	return otherwise + " (" + text + ")"
}

type waitFileArgs struct {
	patience
	Path   transport.Path `arg:"path"`
	Match  string         `arg:"match"`
	Absent bool           `arg:"absent"`
}

func waitFile(c *call, a waitFileArgs) (starlark.Value, error) {
	err := a.check()
	re, perr := patternOf("match", a.Match)
	switch {
	case err != nil:
	case perr != nil:
		err = perr
	case a.Absent && a.Match != "":
		err = fmt.Errorf("match: what is to be absent has no content")
	}
	if err != nil {
		return nil, fmt.Errorf("wait.file: %w", err)
	}
	w := &wait{patience: a.patience, name: string(a.Path)}
	w.look = func(ctx context.Context, h transport.Host) (bool, string, error) {
		fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: a.Path, Follow: true})
		switch {
		case err != nil:
			return false, "", err
		case a.Absent:
			return fi.Type == transport.Absent, "it is still there", nil
		case fi.Type == transport.Absent:
			return false, "it is not there", nil
		case re.Regexp == nil:
			return true, "", nil
		}
		b, err := readPieces(ctx, h, a.Path, editLimit)
		if transport.KindOf(err) == transport.NotFound {
			return false, "it is not there", nil
		}
		return re.Match(b), "nothing in it matches " + strconv.Quote(a.Match), err
	}
	return c.await(w)
}
