package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"fabgo/transport"
)

// escalation is how a script gets the rights of another user. A nil one is the account of the login itself.
type escalation struct {
	program string // sudo or doas
	user    string
	pass    []byte // nil: none is needed
}

func (e *escalation) password() []byte {
	if e == nil {
		return nil
	}
	return e.pass
}

// commandLine is what to ask sshd for, to run script with these rights.
//
// Prompts are never looked at: their text depends on sudo's version, settings, language and PAM. The password goes first, before
// anything is known; the script then greets with the nonce, and only upon that greeting anything else is sent. A command that fakes a
// prompt, or the nonce of another one, is sent nothing.
func (e *escalation) commandLine(nonce, script string) string {
	if e == nil {
		return loginCommand(script)
	}
	if e.pass == nil {
		flags := " -n -u "
		line := "exec " + e.program + flags + shellWord(e.user)
		if e.program == "sudo" {
			line += " --"
		}
		return loginCommand("PATH=" + searchPath + ":$PATH; export PATH\n" + line + " /bin/sh -c " + shellWord(script))
	}
	// -k: ask even if a ticket is valid, so that the password is always sudo's to read.
	script = "N=" + nonce + "; printf '<%s>ready\\n' \"$N\"\n" +
		"while IFS= read -r l; do if [ \"$l\" = \"$N\" ]; then break; fi; done\n" + script
	return loginCommand("PATH=" + searchPath + ":$PATH; export PATH\n" +
		"exec sudo -k -S -p '' -u " + shellWord(e.user) + " -- /bin/sh -c " + shellWord(script))
}

func escalationError(msg, hint string) error {
	return &transport.Error{Kind: transport.Escalation, Message: "become root: " + msg, Hint: hint}
}

// escalate finds out how the account gets root's rights: without a password, else with the one that is asked for, tried once.
func (h *Host) escalate(ctx context.Context, c *conn, user string) (*escalation, error) {
	silent := &escalation{program: "sudo", user: user}
	end, err := h.tryEscalation(ctx, c, silent)
	if err != nil {
		return nil, err
	}
	if end.word != "" {
		return silent, nil
	}
	if noProgram(end) {
		doas := &escalation{program: "doas", user: user}
		dend, err := h.tryEscalation(ctx, c, doas)
		switch {
		case err != nil:
			return nil, err
		case dend.word != "":
			return doas, nil
		case noProgram(dend):
			return nil, neitherError(c.ep.User)
		}
		return nil, doasError(dend.noise)
	}
	if !wantsPassword(end.noise) {
		return nil, h.refusal(end.noise)
	}
	return h.withPassword(ctx, c, user, end.noise)
}

func neitherError(login string) error {
	return escalationError(fmt.Sprintf("there is neither sudo nor doas, and %s is not root", login), "log in as root, or install sudo")
}

func doasError(said string) error {
	return escalationError("doas refuses: "+said, "doas takes no password here: permit nopass in doas.conf")
}

// wantsPassword reads it off the refusal of sudo -n. A wrong guess here asks a person in vain, or gives a refusal a poor hint.
func wantsPassword(said string) bool {
	why := lowered(said)
	return strings.Contains(why, "password") || strings.Contains(why, "authentication") || strings.Contains(why, "interactive")
}

// withPassword is the escalation with the password, asked for and checked. One that was refused is not tried again.
func (h *Host) withPassword(ctx context.Context, c *conn, user, said string) (*escalation, error) {
	if h.opts.SudoPassword == nil {
		return nil, escalationError("sudo wants a password: "+said, "give it with -K, or allow NOPASSWD in sudoers")
	}
	if h.refused() {
		return nil, errRefusedBefore()
	}
	pass, err := h.sudoPassword(ctx)
	if err != nil {
		return nil, err
	}
	e, err := h.checkPassword(ctx, c, &escalation{program: "sudo", user: user, pass: pass})
	if err == nil && user == "root" {
		h.passMu.Lock()
		h.checked = e
		h.passMu.Unlock()
	}
	return e, err
}

func (h *Host) refused() bool {
	h.passMu.Lock()
	defer h.passMu.Unlock()
	return h.wrong
}

func errRefusedBefore() error { return escalationError("sudo refused the password before", "") }

func lowered(s string) string { return strings.ToLower(s) }

func noProgram(end ending) bool { return end.word == "" && end.code == 127 }

func (h *Host) refusal(noise string) error {
	hint := "sudo -l on the host shows what the account may do"
	if strings.Contains(lowered(noise), "tty") {
		hint = "remove requiretty from sudoers, for this account at least: Defaults:" + h.ep.User + " !requiretty"
	}
	return escalationError("sudo refuses: "+noise, hint)
}

func (h *Host) tryEscalation(ctx context.Context, c *conn, e *escalation) (ending, error) {
	return c.run(ctx, h.times, request{what: "become root", as: e, body: "begin ok", stdin: nothing,
		stdout: io.Discard, stderr: io.Discard, timeout: h.times.Request, spare: h.spare(c)})
}

func nothing(io.Writer) error { return nil }

// sudoPassword asks for the password once in the life of a Host.
func (h *Host) sudoPassword(ctx context.Context) ([]byte, error) {
	h.passMu.Lock()
	defer h.passMu.Unlock()
	if h.pass != nil {
		return h.pass, nil
	}
	p, err := h.opts.SudoPassword(ctx)
	if err != nil {
		return nil, &transport.Error{Kind: transport.Escalation, Message: "become root: ask for sudo's password: " + err.Error(), Err: err}
	}
	if bytes.ContainsAny(p, "\x00\n") {
		return nil, escalationError("the password holds a character that none can hold", "")
	}
	if p == nil {
		p = []byte{}
	}
	h.pass = p
	return p, nil
}

// checkPassword tries the password exactly once: its input ends behind the password, so that sudo's next question gets nothing.
func (h *Host) checkPassword(ctx context.Context, c *conn, e *escalation) (*escalation, error) {
	nonce := newNonce()
	line := loginCommand("PATH=" + searchPath + ":$PATH; export PATH\nexec sudo -k -S -p '' -u " + shellWord(e.user) +
		" -- /bin/sh -c " + shellWord("N="+nonce+"; printf '<%s>yes\\n' \"$N\" >&2; printf '<%s>yes\\n' \"$N\""))
	end, err := c.talk(ctx, h.times, request{what: "become root", as: e, stdout: io.Discard, stderr: io.Discard, timeout: h.times.Auth,
		spare: h.spare(c)}, nonce, line, func(w io.Writer, _ *gate) error {
		_, err := w.Write(append(bytes.Clone(e.pass), '\n'))
		return err
	})
	if te, ok := errors.AsType[*transport.Error](err); ok && te.Kind == transport.Timeout {
		return nil, escalationError("sudo did not answer to its password within "+h.times.Auth.String(), "")
	}
	if err != nil {
		return nil, err
	}
	if end.word == "yes" {
		return e, nil
	}
	h.passMu.Lock()
	h.wrong = true
	h.passMu.Unlock()
	if why := lowered(end.noise); strings.Contains(why, "not allowed") || strings.Contains(why, "sudoers") || strings.Contains(why, "tty") {
		return nil, h.refusal(end.noise)
	}
	return nil, escalationError("sudo refuses the password: "+end.noise, "it was tried once; check it with sudo -v on the host")
}
