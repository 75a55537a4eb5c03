package ssh

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"fabgo/transport"
)

// searchPath is where programs are looked for, whatever the account's profile says.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// longestCommand is how long a command line may be: Linux takes 128 KiB in one argument, and the far end makes one of it.
const longestCommand = 100 << 10

// request is a script to run at the far end, on a channel of its own.
//
// A script speaks first: `begin WORD` prints a nonce, the word and the number of its process group. What comes before is noise of
// profiles and of sudo, and is dropped; what comes after is the script's output, byte by byte.
type request struct {
	what    string // for messages
	body    string // POSIX sh; it has to call begin
	as      *escalation
	stdin   func(io.Writer) error // nil: the script's standard input is what it says itself
	stdout  io.Writer
	stderr  io.Writer
	timeout time.Duration
	change  bool // it may change the host
	secret  bool // the script must not show in the far end's list of processes
	spare   func() bool
	urgent  bool // it does not wait until other commands end
}

// ending is how a script ended.
type ending struct {
	word   string // of its begin; "" when it never came so far
	code   int
	signal string
	noise  string // what came before begin, on both outputs
}

// prelude makes the environment of every script the same. A process group of its own is what a timeout kills: OpenSSH makes one for
// each command, others do not. Where /proc does not tell, nothing is done about it: setsid forks under a group's leader and does not wait.
func prelude(nonce, body string) string {
	return environment + "B=" + shellWord("N="+nonce+"\n"+
		"begin() { printf '<%s>\\n' \"$N\" >&2; printf '<%s>%s %s\\n' \"$N\" \"$1\" \"$$\"; }\n"+body) + "\n" +
		"g=; read -r _ _ _ _ g _ 2>/dev/null </proc/$$/stat\n" +
		"if [ \"$g\" ] && [ \"$g\" != $$ ] && command -v setsid >/dev/null 2>&1; then exec setsid /bin/sh -c \"$B\"; fi\n" +
		"eval \"$B\""
}

// environment is what every script begins with.
const environment = "PATH=" + searchPath + " LC_ALL=C; export PATH LC_ALL; unset LANG LANGUAGE ENV BASH_ENV CDPATH IFS; umask 022\n"

// readScript is a script that takes the one to run off its standard input. dd reads byte by byte, so that it leaves alone what follows.
func readScript(size int) string {
	return "eval \"$(dd bs=1 count=" + strconv.Itoa(size) + " 2>/dev/null)\""
}

func newNonce() string { return rand.Text() }

// run runs a script. An error means that the connection failed it, or ctx, the time limit or a password did; how the script itself
// ended is in ending.
func (c *conn) run(ctx context.Context, t Timeouts, r request) (end ending, err error) {
	nonce := newNonce()
	script := prelude(nonce, r.body)
	var lead []byte // goes to standard input before all else
	line := r.as.commandLine(nonce, script)
	if r.secret || len(line) > longestCommand {
		lead = []byte(script)
		line = r.as.commandLine(nonce, readScript(len(lead)))
	}
	return c.talk(ctx, t, r, nonce, line, func(w io.Writer, out *gate) error { return feed(ctx, w, out, r, nonce, lead) })
}

// talk sends a command line and follows what comes of it.
func (c *conn) talk(ctx context.Context, t Timeouts, r request, nonce, line string, input func(io.Writer, *gate) error) (end ending, err error) {
	ch, reqs, err := c.session(ctx, t, r.spare, r.urgent)
	if err != nil {
		return end, err
	}
	defer c.release(ch, r.urgent)

	exit := make(chan ending, 1)
	go watchRequests(reqs, exit)
	out := newGate(nonce, r.stdout)
	errs := newGate(nonce, r.stderr)
	defer out.stop()
	defer errs.stop()
	sent := false
	defer func() {
		if b, ok := errors.AsType[*broken](err); ok && r.change && sent {
			b.sent = true
		}
	}()
	ok := false
	err = c.bounded(ctx, r.what, t.Request, func() (err error) {
		sent = true
		ok, err = ch.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{line}))
		return err
	})
	if err != nil {
		return end, err
	}
	if !ok {
		return end, refusesCommands(r.what)
	}
	outputs := make(chan struct{}, 2)
	go func() { out.copy(ch); outputs <- struct{}{} }()
	go func() { errs.copy(ch.Stderr()); outputs <- struct{}{} }()
	given := make(chan error, 1)
	go func() {
		err := input(ch, out)
		if _, ours := errors.AsType[*inputError](err); !ours { // a command must not take half of its input for all of it
			ch.CloseWrite()
		}
		given <- err
	}()

	var limit <-chan time.Time
	if r.timeout > 0 {
		timer := time.NewTimer(r.timeout)
		defer timer.Stop()
		limit = timer.C
	}
	var greeting <-chan time.Time
	if r.as.password() != nil && r.body != "" {
		timer := time.NewTimer(t.Request)
		defer timer.Stop()
		greeting = timer.C
	}
	left := 2
	var grace <-chan time.Time
	ended := false
	for {
		if ended && left == 0 {
			break
		}
		select {
		case e := <-exit:
			end.code, end.signal, ended = e.code, e.signal, true
			if e.code < 0 { // the channel closed without a word on the command's end
				if c.ends(causeGrace) {
					return end, &broken{what: r.what, err: c.why()}
				}
				return end, &broken{what: r.what, err: errors.New("the server closed the channel without an exit status")}
			}
			// A daemon that the command left behind may hold its outputs open for ever.
			timer := time.NewTimer(2 * time.Second)
			defer timer.Stop()
			grace = timer.C
			exit = nil
		case <-outputs:
			left--
		case <-grace:
			left = 0
		case ierr := <-given:
			given = nil
			if ie, ok := errors.AsType[*inputError](ierr); ok { // our own side could not give the bytes
				c.kill(t, r, out)
				return end, &transport.Error{Kind: transport.IO, Message: r.what + ": " + ie.err.Error(), Err: ie.err}
			}
		case <-out.open:
			greeting, out.open = nil, nil
		case <-greeting:
			return end, escalationError("sudo did not start the command within "+t.Request.String()+": "+noiseOf(out, errs), "")
		case <-limit:
			c.kill(t, r, out)
			return end, &transport.Error{Kind: transport.Timeout, Message: fmt.Sprintf("%s: it was killed: longer than its limit of %s", r.what, r.timeout)}
		case <-ctx.Done():
			c.kill(t, r, out)
			return end, interruptedError(ctx, r.what)
		case <-c.dead:
			return end, &broken{what: r.what, err: c.why()}
		}
	}
	if c.wire.over() { // a server may say how a command ended before it has sent all that the command said
		c.ends(causeGrace)
		return end, &broken{what: r.what, err: cmp.Or(c.why(), errClosedByPeer)}
	}
	end.word, end.noise = out.beginWord(), noiseOf(out, errs)
	return end, nil
}

func refusesCommands(what string) error {
	return &transport.Error{Kind: transport.Auth, Message: what + ": the server refuses to run commands for this account",
		Hint: "the account is restricted: a ForceCommand or a restricted shell?"}
}

// watchRequests waits for the exit status; code -1 means that there was none.
func watchRequests(reqs <-chan *ssh.Request, exit chan<- ending) {
	sent := false
	for r := range reqs {
		switch r.Type {
		case "exit-status":
			var m struct{ Code uint32 }
			if ssh.Unmarshal(r.Payload, &m) == nil && !sent {
				sent = true
				exit <- ending{code: int(m.Code & 0xff)}
			}
		case "exit-signal":
			var m struct {
				Signal  string
				Core    bool
				Message string
				Lang    string
			}
			if ssh.Unmarshal(r.Payload, &m) == nil && !sent {
				sent = true
				exit <- ending{code: 128 + signalNumber(m.Signal), signal: signalName(m.Signal)}
			}
		}
		if r.WantReply {
			r.Reply(false, nil)
		}
	}
	if !sent {
		exit <- ending{code: -1}
	}
}

var signalNumbers = map[string]int{"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "BUS": 7, "FPE": 8, "KILL": 9, "USR1": 10,
	"SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "XCPU": 24, "XFSZ": 25, "SYS": 31}

func signalNumber(name string) int { return signalNumbers[signalName(name)] }

func signalName(name string) string {
	name, _, _ = strings.Cut(strings.TrimPrefix(name, "SIG"), "@")
	if _, ok := signalNumbers[name]; !ok {
		return "UNKNOWN" // OpenSSH names only the signals of RFC 4254
	}
	return name
}

// inputError says that the bytes to send could not be had here.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }

// feed sends the standard input: the password of sudo, and only after the script itself has greeted anything else.
func feed(ctx context.Context, ch io.Writer, out *gate, r request, nonce string, lead []byte) error {
	if p := r.as.password(); p != nil {
		if _, err := ch.Write(append(bytes.Clone(p), '\n')); err != nil {
			return err
		}
		select {
		case <-out.greeted:
		case <-out.ended:
			return io.ErrClosedPipe
		case <-ctx.Done():
			return ctx.Err()
		}
		// Were the password not wanted after all, the script skips everything up to this line.
		if _, err := io.WriteString(ch, nonce+"\n"); err != nil {
			return err
		}
	}
	if _, err := ch.Write(lead); err != nil {
		return err
	}
	if r.stdin == nil {
		return nil
	}
	return r.stdin(ch)
}

// source is stdin out of a content. A program that does not read all of it is no error.
func source(content *transport.Content) func(io.Writer) error {
	if content == nil {
		return nil
	}
	return func(w io.Writer) error {
		rd, err := content.Open()
		if err != nil {
			return &inputError{err}
		}
		defer rd.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := rd.Read(buf)
			if n > 0 {
				if _, werr := w.Write(buf[:n]); werr != nil {
					return werr
				}
			}
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return &inputError{err}
			}
		}
	}
}

// kill ends the process group of a script, through a channel of its own; where there is none to be had, by a request on the script's.
func (c *conn) kill(t Timeouts, r request, out *gate) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	select {
	case <-out.begun:
	case <-time.After(5 * time.Second):
		return // it never began; closing its channel is all there is
	case <-c.dead:
		return
	}
	if out.group <= 1 {
		return
	}
	k := request{what: "kill", as: r.as, urgent: true, stdout: io.Discard, stderr: io.Discard, spare: r.spare,
		// SIGTERM comes several times: a shell that got it just before it started a program waits for that program first.
		body: fmt.Sprintf("begin kill; exec 2>/dev/null </dev/null; kill -15 -%[1]d || kill -15 %[1]d; n=0\n"+
			"while [ $n -lt 20 ] && kill -0 -%[1]d; do sleep 0.1 || sleep 1; n=$((n+1)); case $n in 5|10|15) kill -15 -%[1]d ;; esac; done\n"+
			"kill -9 -%[1]d || kill -9 %[1]d", out.group)}
	if _, err := c.run(ctx, t, k); err != nil {
		for range 4 {
			out.signal("TERM")
			select {
			case <-out.ended:
				return
			case <-time.After(500 * time.Millisecond):
			}
		}
		out.signal("KILL")
	}
}
