package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"fabgo/transport"
)

// verifier decides whether a server is the one we know. It judges before anything about the user is sent.
type verifier struct {
	ep     Endpoint
	opts   Options
	shared *Shared

	accepted ssh.PublicKey // of this connection; the same key may come again when keys are renegotiated
}

func (v *verifier) addr() string {
	if v.ep.HostKeyAlias != "" {
		return net.JoinHostPort(v.ep.HostKeyAlias, "22")
	}
	return v.ep.Addr()
}

// load reads the files that there are. Lines that cannot be read (other versions know more types of keys) are left out, as OpenSSH
// does; they must not make every host unknown.
func (v *verifier) load() (*knownhosts.HostKeyDB, error) {
	var files []string
	for _, f := range slices.Concat(v.ep.KnownHosts, v.ep.GlobalKnownHosts) {
		if st, err := os.Stat(f); err == nil && st.Mode().IsRegular() {
			files = append(files, f)
		}
	}
	db, err := knownhosts.NewDB(files...)
	if err == nil {
		return db, nil
	}
	dir, err := os.MkdirTemp("", "fabgo-known-hosts-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var clean []string
	for i, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		lines := bytes.Split(b, []byte("\n"))
		for j, line := range lines {
			if _, _, _, _, _, err := ssh.ParseKnownHosts(line); err != nil {
				lines[j] = nil // a blank line: the numbers of the others stay right
			}
		}
		// The name shows in messages: a folder for each file keeps its base name.
		name := filepath.Join(dir, fmt.Sprint(i), filepath.Base(f))
		if err := os.Mkdir(filepath.Dir(name), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(name, bytes.Join(lines, []byte("\n")), 0o600); err != nil {
			return nil, err
		}
		clean = append(clean, name)
	}
	return knownhosts.NewDB(clean...)
}

// algorithms are those of the keys we know for the host, then all others: where a host has several keys, the known one is asked for,
// and where it has none of the known types we still see what it has, to show it.
func (v *verifier) algorithms() ([]string, error) {
	if v.opts.HostKey != nil {
		if t := v.opts.HostKey.Type(); t != ssh.KeyAlgoRSA {
			return []string{t}, nil
		}
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}, nil
	}
	db, err := v.load()
	if err != nil {
		return nil, fmt.Errorf("read known_hosts: %w", err)
	}
	all := ssh.SupportedAlgorithms().HostKeys
	if v.opts.Legacy {
		all = append(slices.Clone(all), ssh.InsecureAlgorithms().HostKeys...)
	}
	known := db.HostKeyAlgorithms(v.addr())
	if len(known) == 0 && v.ep.Port != 22 {
		known = db.HostKeyAlgorithms(v.bare())
	}
	var list []string
	for _, a := range known {
		if slices.Contains(all, a) {
			list = append(list, a)
		}
	}
	for _, a := range preferred(all) {
		// A certificate of an authority that we do not know for this host is worth less than the plain key.
		if !slices.Contains(list, a) && !strings.Contains(a, "-cert-") {
			list = append(list, a)
		}
	}
	return list, nil
}

// preferred puts first what OpenSSH asks an unknown host for first, so that the fingerprint is the one that ssh and ssh-keygen -l show.
func preferred(all []string) []string {
	out := []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521}
	for _, a := range all {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// bare is the address as written without a port, which OpenSSH tries when there is no line with the port.
func (v *verifier) bare() string { return net.JoinHostPort(v.ep.Host, "22") }

// check is an ssh.HostKeyCallback with a context.
func (v *verifier) check(ctx context.Context, remote net.Addr, key ssh.PublicKey) error {
	if v.accepted != nil {
		if bytes.Equal(v.accepted.Marshal(), key.Marshal()) {
			return nil
		}
		return v.fail("the host key changed during the connection", "", nil)
	}
	if want := v.opts.HostKey; want != nil {
		if !bytes.Equal(want.Marshal(), key.Marshal()) {
			return v.fail(fmt.Sprintf("the server shows the key %s instead of %s", ssh.FingerprintSHA256(key), ssh.FingerprintSHA256(want)), "", nil)
		}
		v.accepted = key
		return nil
	}
	err := v.judge(remote, key)
	if err == errUnknownHost {
		err = v.unknown(ctx, remote, key)
	}
	if err == nil {
		v.accepted = key
	}
	return err
}

var errUnknownHost = errors.New("host is unknown")

func (v *verifier) judge(remote net.Addr, key ssh.PublicKey) error {
	db, err := v.load()
	if err != nil {
		return v.fail("cannot read known_hosts: "+err.Error(), "", err)
	}
	err = db.HostKeyCallback()(v.addr(), remote, key)
	if err == nil {
		return nil
	}
	if knownhosts.IsHostUnknown(err) && v.ep.Port != 22 && v.ep.HostKeyAlias == "" {
		if db.HostKeyCallback()(v.bare(), remote, key) == nil {
			return nil
		}
	}
	if revoked, ok := errors.AsType[*xknownhosts.RevokedError](err); ok {
		return v.fail(fmt.Sprintf("the host key %s is revoked by %s:%d", ssh.FingerprintSHA256(key),
			v.shown(revoked.Revoked.Filename), revoked.Revoked.Line), "do not connect: whoever has this key is not to be trusted", err)
	}
	keyErr, ok := errors.AsType[*xknownhosts.KeyError](err)
	if !ok {
		return v.fail(fmt.Sprintf("the host's certificate is not good: %s", strings.TrimPrefix(err.Error(), "ssh: ")), "", err)
	}
	if len(keyErr.Want) == 0 {
		return errUnknownHost
	}
	var known []string
	for _, w := range keyErr.Want {
		known = append(known, fmt.Sprintf("%s:%d holds %s %s", v.shown(w.Filename), w.Line, w.Key.Type(), ssh.FingerprintSHA256(w.Key)))
	}
	return v.fail(fmt.Sprintf("the host key changed: the server shows %s %s, but %s", key.Type(), ssh.FingerprintSHA256(key), strings.Join(known, ", ")),
		fmt.Sprintf("someone may be listening in. If the server was set up anew, compare the fingerprint on its console, then: ssh-keygen -R %s -f %s",
			shellWord(knownhosts.Normalize(v.addr())), shellWord(v.shown(keyErr.Want[0].Filename))), err)
}

// shown is the real name of a file of which load made a copy.
func (v *verifier) shown(name string) string {
	for i, f := range slices.Concat(v.ep.KnownHosts, v.ep.GlobalKnownHosts) {
		if name == f {
			return f
		}
		if strings.HasSuffix(name, filepath.Join(fmt.Sprint(i), filepath.Base(f))) && strings.Contains(name, "fabgo-known-hosts-") {
			return f
		}
	}
	return name
}

func (v *verifier) unknown(ctx context.Context, remote net.Addr, key ssh.PublicKey) error {
	what := fmt.Sprintf("%s key %s", key.Type(), ssh.FingerprintSHA256(key))
	file := "known_hosts"
	if len(v.ep.KnownHosts) > 0 {
		file = v.ep.KnownHosts[0]
	}
	hint := fmt.Sprintf("compare the fingerprint with the server's, then connect once with ssh, or with --host-keys=accept-new, or add its line to %s", file)
	switch {
	case v.ep.HostKeys == AcceptNewHostKey:
		return v.remember(key)
	case v.ep.HostKeys == StrictHostKey || v.opts.Prompter == nil:
		return v.fail("the host is unknown; it shows the "+what, hint, errUnknownHost)
	}
	unlock, err := v.shared.prompts.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	// While we waited, the same question may have been answered for another connection.
	if err := v.judge(remote, key); err != errUnknownHost {
		return err
	}
	yes, err := v.opts.Prompter.Confirm(ctx, fmt.Sprintf("The host %s is unknown. It shows the %s.\nIs that the right one, and may it be added to %s?", v.ep, what, file))
	if err != nil {
		return v.fail("the host is unknown and the question could not be answered: "+err.Error(), hint, err)
	}
	if !yes {
		return v.fail("the host is unknown; its "+what+" was not accepted", hint, errUnknownHost)
	}
	return v.remember(key)
}

// remember adds the key to the user's file, unless another connection did so already.
func (v *verifier) remember(key ssh.PublicKey) error {
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	if len(v.ep.KnownHosts) == 0 {
		return nil // UserKnownHostsFile none: the user wants nothing remembered
	}
	host := knownhosts.Normalize(v.addr())
	if v.ep.HashKnownHosts {
		host = xknownhosts.HashHostname(host)
	}
	line := host + " " + strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key)), "\n") + "\n"
	err := appendKnownHost(v.ep.KnownHosts[0], line, func() (bool, error) {
		err := v.judge(&net.TCPAddr{IP: net.IPv4zero}, key)
		if err == errUnknownHost {
			return true, nil
		}
		return false, err
	})
	if err != nil && transport.KindOf(err) == "" {
		return v.fail("cannot add the host key to "+v.ep.KnownHosts[0]+": "+err.Error(), "", err)
	}
	return err
}

func (v *verifier) fail(msg, hint string, cause error) error {
	return &transport.Error{Kind: transport.HostKey, Message: fmt.Sprintf("connect to %s: %s", v.ep, msg), Hint: hint, Err: cause}
}

// appendKnownHost adds a line in one write, under a lock that other processes keep too, when needed still says so under that lock.
func appendKnownHost(file, line string, needed func() (bool, error)) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	unlock, err := lockFile(f)
	if err != nil {
		return err
	}
	defer unlock()
	if yes, err := needed(); err != nil || !yes {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if n := st.Size(); n > 0 { // a last line without its end would swallow ours
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, n-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			line = "\n" + line
		}
	}
	if _, err := f.WriteString(line); err != nil {
		return err
	}
	return f.Sync()
}
