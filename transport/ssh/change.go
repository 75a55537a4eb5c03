package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"fabgo/transport"
)

// owners are the ids that a change wants; "" leaves one as it is. primary is the owner's own group.
type owners struct{ uid, gid, primary string }

func checkPath(what string, p transport.Path) error {
	c, err := transport.NewPath(string(p))
	if err == nil && c != p {
		err = fmt.Errorf("path %q is not clean: it should be %q", p, c)
	}
	if err != nil {
		return &transport.Error{Kind: transport.Refused, Path: p, Message: what + ": " + err.Error(), Err: err}
	}
	return nil
}

func checkModes(what string, p transport.Path, modes ...transport.Mode) error {
	for _, m := range modes {
		if m == "" {
			continue
		}
		if _, err := transport.ParseMode(string(m)); err != nil {
			return refuse(what, p, err.Error(), "")
		}
	}
	return nil
}

func refuse(what string, p transport.Path, why, hint string) error {
	return &transport.Error{Kind: transport.Refused, Path: p, Message: fmt.Sprintf("%s %s: %s", what, show(p), why), Hint: hint}
}

func (h *Host) owners(ctx context.Context, l *link, what string, p transport.Path, owner, group transport.Text) (o owners, err error) {
	missing := func(kind string, name transport.Text) error {
		return &transport.Error{Kind: transport.NotFound, Path: p, Message: fmt.Sprintf("%s %s: there is no %s %q", what, show(p), kind, name)}
	}
	if owner != "" {
		a, err := h.account(ctx, l, string(owner))
		switch {
		case transport.KindOf(err) == transport.NotFound:
			return o, missing("user", owner)
		case err != nil:
			return o, err
		}
		o.uid = strconv.Itoa(a.uid)
		if a.gid >= 0 {
			o.primary = strconv.Itoa(a.gid)
		}
	}
	if group != "" {
		gid, ok, err := h.groupID(ctx, l, string(group))
		if err != nil {
			return o, err
		}
		if !ok {
			return o, missing("group", group)
		}
		o.gid = strconv.Itoa(gid)
	}
	return o, nil
}

// change runs one of fileScripts. It is sent once.
func (h *Host) change(ctx context.Context, l *link, what string, p transport.Path, vars map[string]string, call string, stdin *transport.Content) (string, error) {
	mv := "mv -f"
	if l.tools["mv-T"] {
		mv = "mv -fT"
	}
	var b strings.Builder
	b.WriteString(fileScripts)
	fmt.Fprintf(&b, "ME=%d MYG=%d R=%s\nMV=%s\n", l.acct.uid, l.acct.gid, strings.ToLower(newNonce()[:16]), shellWord(mv))
	for _, k := range []string{"U", "G", "P", "M", "FM", "FOLLOW", "PARENTS", "HARD", "RECURSIVE", "BACKUP", "SIZE", "SHA"} {
		b.WriteString(k + "=" + shellWord(vars[k]) + "\n")
	}
	b.WriteString("begin change\n" + call + "\nexit 0")
	var out bytes.Buffer
	stderr := transport.NewCapture(64 << 10)
	r := request{what: what + " " + show(p), body: b.String(), as: l.root, stdin: source(stdin), stdout: &out, stderr: stderr, change: true, spare: h.spare(l.conn)}
	if stdin == nil {
		r.stdin = func(io.Writer) error { return nil }
	}
	end, err := l.run(ctx, h.times, r)
	if err != nil {
		return "", err
	}
	if end.word == "" {
		return "", neverBegan(r.what, end)
	}
	if end.code == 0 {
		return out.String(), nil
	}
	said, _ := stderr.Result()
	if end.signal != "" {
		said += transport.Text("\nit was killed by signal " + end.signal)
	}
	e := classify(what, p, end.code, said)
	if e.Kind == transport.Denied {
		e = h.explainDenied(ctx, l, what, p, e)
	}
	return "", e
}

func yes(b bool) string {
	if b {
		return "1"
	}
	return ""
}

func (h *Host) write(ctx context.Context, l *link, o transport.Write) (transport.Written, error) {
	const what = "write"
	none := transport.Written{}
	if err := checkPath(what, o.Path); err != nil {
		return none, err
	}
	if err := checkModes(what, o.Path, o.Mode); err != nil {
		return none, err
	}
	if o.Path == "/" {
		return none, refuse(what, o.Path, "it is the root folder", "")
	}
	backup := ""
	if o.Backup != "" {
		if err := checkPath(what, o.Backup); err != nil {
			return none, err
		}
		if o.Backup.Dir() != o.Path.Dir() || o.Backup == o.Path {
			return none, refuse(what, o.Path, "the backup "+show(o.Backup)+" is not another name in the same folder", "")
		}
		backup = o.Backup.Base()
	}
	if !o.Content.Known() {
		return none, &transport.Error{Kind: transport.IO, Path: o.Path, Message: fmt.Sprintf("write %s: its content is known by name only", show(o.Path))}
	}
	ids, err := h.owners(ctx, l, what, o.Path, o.Owner, o.Group)
	if err != nil {
		return none, err
	}
	vars := map[string]string{"U": ids.uid, "G": ids.gid, "P": ids.primary, "M": string(o.Mode), "FOLLOW": yes(o.Follow), "BACKUP": backup,
		"SIZE": strconv.FormatInt(o.Content.Size, 10), "SHA": strings.TrimPrefix(string(o.Content.Digest), "sha256:")}
	path := shellWord(string(o.Path))
	if len(o.Validate) == 0 {
		_, err := h.change(ctx, l, what, o.Path, vars, "stage "+path+"\ncommit", &o.Content)
		return none, err
	}
	temp, err := h.change(ctx, l, what, o.Path, vars, "stage "+path+"\ntrap - EXIT; here; printf %s \"${h%/}/$T\"", &o.Content)
	if err != nil {
		return none, err
	}
	at, err := transport.NewPath(temp)
	if err != nil || !strings.Contains(at.Base(), ".fabgo-") {
		return none, &transport.Error{Kind: transport.Protocol, Path: o.Path, Message: fmt.Sprintf("write %s: the host names %q as the temporary file", show(o.Path), temp)}
	}
	discard := func() error {
		_, err := h.change(context.WithoutCancel(ctx), l, what, o.Path, nil, "goto "+shellWord(temp)+"; rm -f \"./$n\"", nil)
		return err
	}
	argv := make([]transport.Text, len(o.Validate))
	for i, a := range o.Validate {
		argv[i] = transport.Text(strings.ReplaceAll(string(a), "%s", temp))
	}
	out, err := h.exec(ctx, l, transport.Exec{Argv: argv, Change: true})
	if err != nil {
		discard()
		return none, err
	}
	w := transport.Written{Validation: &out}
	if out.Code != 0 {
		return w, discard()
	}
	if err := ctx.Err(); err != nil {
		discard()
		return none, interruptedError(ctx, what+" "+show(o.Path))
	}
	end := "goto"
	if o.Follow {
		end = "follow"
	}
	_, err = h.change(ctx, l, what, o.Path, vars, fmt.Sprintf("T=%s\n%s %s\nguard\nreplaceable \"$n\"\ncommit",
		shellWord(at.Base()), end, path), nil)
	if err != nil {
		if _, lost := errors.AsType[*broken](err); !lost {
			discard()
		}
		return none, err
	}
	return w, nil
}

func (h *Host) mkdir(ctx context.Context, l *link, o transport.Mkdir) (transport.Done, error) {
	const what = "make the folder"
	if err := checkPath(what, o.Path); err != nil {
		return transport.Done{}, err
	}
	if err := checkModes(what, o.Path, o.Mode); err != nil {
		return transport.Done{}, err
	}
	if o.Path == "/" {
		return transport.Done{}, refuse(what, o.Path, "it is there already", "")
	}
	ids, err := h.owners(ctx, l, what, o.Path, o.Owner, o.Group)
	if err != nil {
		return transport.Done{}, err
	}
	mode := o.Mode
	if mode == "" {
		mode = "0755"
	}
	vars := map[string]string{"U": ids.uid, "G": ids.gid, "P": ids.primary, "M": string(mode), "PARENTS": yes(o.Parents)}
	_, err = h.change(ctx, l, what, o.Path, vars, "makedir "+shellWord(string(o.Path)), nil)
	return transport.Done{}, err
}

func (h *Host) makeLink(ctx context.Context, l *link, o transport.Link) (transport.Done, error) {
	const what = "link"
	if err := checkPath(what, o.Path); err != nil {
		return transport.Done{}, err
	}
	if o.Target == "" || strings.IndexByte(string(o.Target), 0) >= 0 || len(o.Target) > 4095 {
		return transport.Done{}, refuse(what, o.Path, "its target is empty, too long or holds a NUL byte", "")
	}
	if !o.Hard && o.Owner == "" && o.Group == "" {
		if done, err := h.quickSymlink(ctx, l, o); done || err != nil {
			return transport.Done{}, err
		}
	}
	ids, err := h.owners(ctx, l, what, o.Path, o.Owner, o.Group)
	if err != nil {
		return transport.Done{}, err
	}
	vars := map[string]string{"U": ids.uid, "G": ids.gid, "P": ids.primary, "HARD": yes(o.Hard)}
	_, err = h.change(ctx, l, what, o.Path, vars, "link "+shellWord(string(o.Path))+" "+shellWord(string(o.Target)), nil)
	return transport.Done{}, err
}

func (h *Host) remove(ctx context.Context, l *link, o transport.Remove) (transport.Done, error) {
	const what = "remove"
	if err := checkPath(what, o.Path); err != nil {
		return transport.Done{}, err
	}
	if o.Path == "/" {
		return transport.Done{}, refuse(what, o.Path, "it is the root folder", "")
	}
	_, err := h.change(ctx, l, what, o.Path, map[string]string{"RECURSIVE": yes(o.Recursive)}, "delete "+shellWord(string(o.Path)), nil)
	return transport.Done{}, err
}

func (h *Host) setAttr(ctx context.Context, l *link, o transport.SetAttr) (transport.Done, error) {
	const what = "set attributes of"
	if err := checkPath(what, o.Path); err != nil {
		return transport.Done{}, err
	}
	if err := checkModes(what, o.Path, o.Mode, o.FileMode); err != nil {
		return transport.Done{}, err
	}
	if o.Recursive && (o.Path == "/" || o.Path.Dir() == "/") {
		return transport.Done{}, refuse(what, o.Path, "the whole tree below it would be changed", "name a folder further down")
	}
	ids, err := h.owners(ctx, l, what, o.Path, o.Owner, o.Group)
	if err != nil {
		return transport.Done{}, err
	}
	vars := map[string]string{"U": ids.uid, "G": ids.gid, "M": string(o.Mode), "FM": string(o.FileMode), "RECURSIVE": yes(o.Recursive)}
	_, err = h.change(ctx, l, what, o.Path, vars, "setattr "+shellWord(string(o.Path)), nil)
	return transport.Done{}, err
}
