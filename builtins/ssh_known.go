package builtins

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

const systemKnownHosts transport.Path = "/etc/ssh/ssh_known_hosts"

// knownPlace says which host is meant, and in which file.
type knownPlace struct {
	Host string         `arg:"host"`
	Port int            `arg:"port"`
	User *string        `arg:"user"`
	Path transport.Path `arg:"path"`
}

type knownArgs struct {
	common
	knownPlace
	Key       []string `arg:"key"`
	Marker    *string  `arg:"marker"`
	Hash      bool     `arg:"hash"`
	Exclusive bool     `arg:"exclusive"`
}

// name is the host as known_hosts names it.
func (a knownPlace) name() (string, error) {
	switch {
	case a.Host == "" || strings.ContainsAny(a.Host, " \t\r\n,|#[]@\x00") || strings.HasPrefix(a.Host, "!"):
		return "", fmt.Errorf("host: %q is no name or address of a host; the port goes into port", a.Host)
	case a.Port < 1 || a.Port > 65535:
		return "", fmt.Errorf("port: %d is no port", a.Port)
	case a.User != nil && a.Path != "":
		return "", fmt.Errorf("give user or path, one of them")
	case a.User != nil:
		if err := accountName("user", *a.User); err != nil {
			return "", err
		}
	}
	if a.Port != 22 {
		return "[" + strings.ToLower(a.Host) + "]:" + strconv.Itoa(a.Port), nil
	}
	return strings.ToLower(a.Host), nil
}

// keys reads the keys. A line may be one of known_hosts, or what ssh-keyscan prints: then it has to be of this host.
func (a knownArgs) keys(name string) ([]publicKey, error) {
	var out []publicKey
	for _, text := range a.Key {
		for line := range strings.SplitSeq(text, "\n") {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' {
				continue
			}
			if first, rest, _ := strings.Cut(line, " "); !isKeyType(first) {
				if !namesHost(first, name) {
					return nil, fmt.Errorf("key: %q is of the host %q, not of %q", shorten(line), first, name)
				}
				line = rest
			}
			k, err := parsePublicKey(line)
			if err != nil {
				return nil, fmt.Errorf("key: %w", err)
			}
			if k.options != "" {
				return nil, fmt.Errorf("key: %q: the key of a host has no options", shorten(line))
			}
			k.comment = ""
			out = append(out, k)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("key: it holds no key")
	}
	return out, nil
}

// knownLine is a line of known_hosts.
type knownLine struct {
	marker, hosts string
	key           publicKey
}

func parseKnownLine(line string) (knownLine, bool) {
	k := knownLine{}
	f := strings.Fields(line)
	if len(f) > 0 && strings.HasPrefix(f[0], "@") {
		k.marker, f = f[0], f[1:]
	}
	if len(f) < 3 || f[0][0] == '#' {
		return k, false
	}
	k.hosts, k.key = f[0], publicKey{kind: f[1], blob: f[2]}
	return k, true
}

// namesHost reports whether the field of hosts of a line names this host and no other.
func namesHost(hosts, name string) bool {
	rest, hashed := strings.CutPrefix(hosts, "|1|")
	if !hashed {
		return strings.EqualFold(hosts, name)
	}
	salt, sum, _ := strings.Cut(rest, "|")
	s, err1 := base64.StdEncoding.DecodeString(salt)
	want, err2 := base64.StdEncoding.DecodeString(sum)
	return err1 == nil && err2 == nil && hmac.Equal(hashName(s, name), want)
}

func hashName(salt []byte, name string) []byte {
	m := hmac.New(sha1.New, salt) // known_hosts has no other
	m.Write([]byte(name))
	return m.Sum(nil)
}

// hashedHost is the name as `ssh-keygen -H` writes it. The salt comes of the key and not of chance, so that a plan shows the line that the run
// writes: what it is for, that no table made beforehand tells the names, it still does.
func hashedHost(name string, k publicKey) string {
	salt := hashName([]byte(k.blob), name)
	return "|1|" + base64.StdEncoding.EncodeToString(salt) + "|" + base64.StdEncoding.EncodeToString(hashName(salt, name))
}

var hostMarkers = []string{"cert-authority", "revoked"}

func sshKnownHost(c *call, a knownArgs) (starlark.Value, error) {
	name, err := a.name()
	if err == nil && a.Marker != nil && !slices.Contains(hostMarkers, *a.Marker) {
		err = fmt.Errorf("marker: got %q, want \"cert-authority\" or \"revoked\"", *a.Marker)
	}
	if err == nil && a.Hash && a.Marker != nil {
		err = fmt.Errorf("hash: the line of a %s is for patterns, which cannot be hashed", *a.Marker)
	}
	if err == nil && a.Marker == nil && strings.ContainsAny(a.Host, "*?") {
		err = fmt.Errorf("host: %q: a pattern is for marker = \"cert-authority\" or \"revoked\"", a.Host)
	}
	var keys []publicKey
	if err == nil {
		keys, err = a.keys(name)
	}
	if err != nil {
		return nil, fmt.Errorf("ssh.known_host: %w", err)
	}
	return c.converge(&linesFile{"known_host:" + name, func(ctx context.Context, h transport.Host) ([]converge.Object, error) {
		return a.objects(ctx, h, true, func(l *lines) error {
			a.put(l, name, keys)
			return nil
		})
	}})
}

// put leaves of the host's lines with this marker those with the wanted keys. Others of the same types go, since a client that finds two takes either;
// those of other types go when the list is to be exact.
func (a knownArgs) put(l *lines, name string, keys []publicKey) {
	marker := ""
	if a.Marker != nil {
		marker = "@" + *a.Marker
	}
	there := make([]bool, len(keys))
	for i := 0; i < len(l.text); i++ {
		old, ok := parseKnownLine(l.text[i])
		if !ok || old.marker != marker || !namesHost(old.hosts, name) {
			continue
		}
		at := slices.IndexFunc(keys, func(k publicKey) bool { return k.same(old.key) })
		kind := slices.ContainsFunc(keys, func(k publicKey) bool { return k.kind == old.key.kind })
		switch {
		case at >= 0 && !there[at]:
			there[at] = true
			if strings.HasPrefix(old.hosts, "|") != a.Hash {
				l.set(i, a.line(marker, name, keys[at]))
			}
		case at >= 0, a.Exclusive, kind && marker == "":
			l.remove(i, i+1)
			i--
		}
	}
	for i, k := range keys {
		if !there[i] {
			l.insert(len(l.text), a.line(marker, name, k))
		}
	}
}

func (a knownArgs) line(marker, name string, k publicKey) string {
	if a.Hash {
		name = hashedHost(name, k)
	}
	return strings.TrimSpace(marker + " " + name + " " + k.kind + " " + k.blob)
}

// objects are the file with its folder where that is a user's.
func (a knownPlace) objects(ctx context.Context, h transport.Host, make bool, edit func(*lines) error) ([]converge.Object, error) {
	p, f := systemKnownHosts, converge.File{Follow: a.User == nil}
	if make {
		f.Mode = "0644"
	}
	if a.Path != "" {
		p, f.Mode = a.Path, ""
	}
	var out []converge.Object
	if a.User != nil {
		account, ok, err := row(ctx, h, transport.Users, *a.User)
		if err == nil && !ok && !make {
			return nil, nil
		}
		if err == nil && !ok {
			err = &transport.Error{Kind: transport.NotFound, Message: fmt.Sprintf("find the hosts that %s knows: there is no such user", *a.User), Hint: "user.present makes one"}
		}
		if err == nil {
			p, err = inHome(*a.User, account, "known_hosts")
		}
		if err != nil {
			return nil, err
		}
		if make {
			f.Owner, f.Mode = transport.Text(*a.User), "0600"
			out = append(out, converge.Object{Key: converge.FileKey(p.Dir()), File: &converge.File{Type: transport.Dir, Owner: f.Owner, Mode: "0700"}})
		}
	}
	o, err := changedLines(ctx, h, p, f, edit)
	return append(out, o), err
}

func sshKnownHostAbsent(c *call, a struct {
	common
	knownPlace
}) (starlark.Value, error) {
	name, err := a.name()
	if err != nil {
		return nil, fmt.Errorf("ssh.known_host_absent: %w", err)
	}
	return c.converge(&linesFile{"known_host:" + name, func(ctx context.Context, h transport.Host) ([]converge.Object, error) {
		return a.objects(ctx, h, false, func(l *lines) error {
			for i := len(l.text) - 1; i >= 0; i-- {
				if k, ok := parseKnownLine(l.text[i]); ok && namesHost(k.hosts, name) {
					l.remove(i, i+1)
				}
			}
			return nil
		})
	}})
}
