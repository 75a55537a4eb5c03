package builtins

import (
	"context"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

func sshNatives() starlark.StringDict {
	return merge(
		native("ssh.authorized_key", sshAuthorizedKey),
		native("ssh.authorized_key_absent", sshAuthorizedKeyAbsent),
		native("ssh.known_host", sshKnownHost),
		native("ssh.known_host_absent", sshKnownHostAbsent),
	)
}

// authorizedPlace says whose keys they are, and which.
type authorizedPlace struct {
	User string         `arg:"user"`
	Key  []string       `arg:"key"`
	Path transport.Path `arg:"path"`
}

type authorizedArgs struct {
	common
	authorizedPlace
	Options   []string `arg:"options"`
	Exclusive bool     `arg:"exclusive"`
	ManageDir *bool    `arg:"manage_dir"`
}

// keys reads the keys: a text may hold several, as a file of keys does.
func (a authorizedPlace) keys() ([]publicKey, error) {
	if err := accountName("user", a.User); err != nil {
		return nil, err
	}
	var out []publicKey
	for _, text := range a.Key {
		if strings.Contains(text, "PRIVATE KEY") {
			return nil, fmt.Errorf("key: it is a private key: give the public one, the file that ends in .pub")
		}
		for line := range strings.SplitSeq(text, "\n") {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' {
				continue
			}
			if err := oneLine("key", line); err != nil {
				return nil, err
			}
			k, err := parsePublicKey(line)
			if err != nil {
				return nil, fmt.Errorf("key: %w", err)
			}
			if _, err := keyOptions(splitOptions(k.options)); err != nil {
				return nil, fmt.Errorf("key: %w", err)
			}
			for _, o := range out {
				if o.same(k) {
					return nil, fmt.Errorf("key: %q is given twice", shorten(line))
				}
			}
			out = append(out, k)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("key: it holds no key")
	}
	return out, nil
}

func sshAuthorizedKey(c *call, a authorizedArgs) (starlark.Value, error) {
	keys, err := a.keys()
	if err != nil {
		return nil, fmt.Errorf("ssh.authorized_key: %w", err)
	}
	options, err := keyOptions(a.Options)
	if err != nil {
		return nil, fmt.Errorf("ssh.authorized_key: %w", err)
	}
	for i := range keys {
		if a.Options != nil {
			keys[i].options = options
		}
	}
	r := &linesFile{name: "authorized_key:" + a.User}
	r.want = func(ctx context.Context, h transport.Host) ([]converge.Object, error) { return a.want(ctx, h, keys) }
	return c.converge(r)
}

func (a authorizedArgs) want(ctx context.Context, h transport.Host, keys []publicKey) ([]converge.Object, error) {
	p, err := a.place(ctx, h)
	if err != nil {
		return nil, err
	}
	f := converge.File{Owner: transport.Text(a.User), Mode: "0600"} // their modes leave nothing to a group
	o, err := changedLines(ctx, h, p, f, func(l *lines) error {
		for _, k := range keys {
			a.put(l, k)
		}
		if a.Exclusive {
			keepKeys(l, keys)
		}
		return nil
	})
	manage := a.Path == "" // another folder may be that of others
	if a.ManageDir != nil {
		manage = *a.ManageDir
	}
	if err != nil || !manage {
		return []converge.Object{o}, err
	}
	dir := converge.Object{Key: converge.FileKey(p.Dir()), File: &converge.File{Type: transport.Dir, Owner: f.Owner, Mode: "0700"}}
	return []converge.Object{dir, o}, nil
}

// put puts a key in the place of itself, or at the end. Options that are not given are left, and so is a comment.
func (a authorizedArgs) put(l *lines, k publicKey) {
	there := false
	for i := 0; i < len(l.text); i++ {
		old, err := parsePublicKey(l.text[i])
		if err != nil || !old.same(k) || strings.HasPrefix(l.text[i], "#") {
			continue
		}
		if there { // a second line of the same key could bring back the options that this one takes away
			l.remove(i, i+1)
			i--
			continue
		}
		there = true
		if a.Options == nil && k.options == "" {
			k.options = old.options
		}
		if k.comment == "" {
			k.comment = old.comment
		}
		if old != k {
			l.set(i, k.line())
		}
	}
	if !there {
		l.insert(len(l.text), k.line())
	}
}

// keepKeys removes all lines that are no comment and hold none of these keys, also those that cannot be read: a later sshd may read them.
func keepKeys(l *lines, keys []publicKey) {
	for i := len(l.text) - 1; i >= 0; i-- {
		t := strings.TrimSpace(l.text[i])
		if t == "" || t[0] == '#' {
			continue
		}
		k, err := parsePublicKey(t)
		keep := false
		for _, w := range keys {
			keep = keep || err == nil && w.same(k)
		}
		if !keep {
			l.remove(i, i+1)
		}
	}
}

// place is the file of the user's keys.
func (a authorizedPlace) place(ctx context.Context, h transport.Host) (transport.Path, error) {
	account, ok, err := row(ctx, h, transport.Users, a.User)
	if err == nil && !ok {
		err = &transport.Error{Kind: transport.NotFound, Message: fmt.Sprintf("find the keys of %s: there is no such user", a.User), Hint: "user.present makes one"}
	}
	if err != nil || a.Path != "" {
		return a.Path, err
	}
	return inHome(a.User, account, "authorized_keys")
}

// inHome is a file in the folder .ssh of an account.
func inHome(user string, account map[string]transport.Text, name string) (transport.Path, error) {
	home, err := transport.NewPath(string(account["home"]))
	if err != nil || home == "/" || home == "/nonexistent" {
		return "", &transport.Error{Kind: transport.Refused, Message: fmt.Sprintf("find the files of %s: its home folder is %q", user, account["home"]), Hint: "user.present(home =) gives it one; path = names the file"}
	}
	return home.Join(".ssh", name), nil
}

func sshAuthorizedKeyAbsent(c *call, a struct {
	common
	authorizedPlace
}) (starlark.Value, error) {
	keys, err := a.keys()
	if err != nil {
		return nil, fmt.Errorf("ssh.authorized_key_absent: %w", err)
	}
	return c.converge(&linesFile{"authorized_key:" + a.User, func(ctx context.Context, h transport.Host) ([]converge.Object, error) {
		_, exists, err := row(ctx, h, transport.Users, a.User)
		if err != nil || !exists && a.Path == "" {
			return nil, err // who is not there has no keys
		}
		p, err := a.place(ctx, h)
		if err != nil {
			return nil, err
		}
		o, err := changedLines(ctx, h, p, converge.File{}, func(l *lines) error {
			for i := len(l.text) - 1; i >= 0; i-- {
				k, err := parsePublicKey(l.text[i])
				for _, w := range keys {
					if err == nil && w.same(k) {
						l.remove(i, i+1)
						break
					}
				}
			}
			return nil
		})
		return []converge.Object{o}, err
	}})
}
