package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// authenticator collects what can be offered to one server, and what came of it.
type authenticator struct {
	ep     Endpoint
	opts   Options
	shared *Shared
	ctx    context.Context
	pause  func() (resume func()) // stops the deadline while a person thinks

	mu      sync.Mutex
	notes   []string // why something was not offered, or not good
	offered []string
	signed  bool // a signature or a password left this machine
	asked   bool // a password was asked for
	answer  []byte
	agent   net.Conn
}

func (a *authenticator) note(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.notes = append(a.notes, fmt.Sprintf(format, args...))
}

func (a *authenticator) close() {
	if a.agent != nil {
		a.agent.Close()
	}
}

// methods are in the order in which they are tried: keys, then what a person has to type.
func (a *authenticator) methods() []ssh.AuthMethod {
	m := []ssh.AuthMethod{ssh.PublicKeysCallback(a.signers)}
	_, have := a.shared.password(a.ep.String())
	if a.opts.Prompter != nil || have {
		m = append(m, ssh.KeyboardInteractive(a.challenge), ssh.PasswordCallback(a.password))
	}
	return m
}

// signers are the keys to offer: the configured ones first (out of the agent where it has them, else from their files), then the
// agent's others, then the usual files. A certificate goes before its plain key.
func (a *authenticator) signers() ([]ssh.Signer, error) {
	if a.opts.Signer != nil {
		a.offered = []string{"the key that was handed over"}
		return []ssh.Signer{a.watched(a.opts.Signer)}, nil
	}
	held := a.agentKeys()
	var list []ssh.Signer
	seen := map[string]bool{}
	add := func(s ssh.Signer, name string) {
		id := string(s.PublicKey().Marshal())
		if seen[id] {
			return
		}
		seen[id] = true
		a.mu.Lock()
		a.offered = append(a.offered, name)
		a.mu.Unlock()
		list = append(list, a.watched(s))
	}
	files := func() {
		for _, f := range a.ep.Identities {
			s := a.identity(f, held)
			if s == nil {
				continue
			}
			for _, c := range a.certificates(f, s) {
				add(c, f+" (certificate)")
			}
			add(s, f)
		}
	}
	if !a.ep.DefaultKeys {
		files()
	}
	if !a.ep.IdentitiesOnly {
		for _, s := range held {
			for _, c := range a.certificates("", s) {
				add(c, "a certificate with a key of the agent")
			}
			add(s, "a key of the agent")
		}
	}
	if a.ep.DefaultKeys {
		files()
	}
	return list, nil
}

func (a *authenticator) agentKeys() []ssh.Signer {
	if a.ep.Agent == "" {
		return nil
	}
	d := net.Dialer{Timeout: 5 * time.Second}
	conn, err := d.DialContext(a.ctx, "unix", a.ep.Agent)
	if err != nil {
		a.note("no answer from the agent: %v", err)
		return nil
	}
	a.agent = conn
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		a.note("the agent gives no keys: %v", err)
	}
	return signers
}

// identity is the key of a file; nil where there is none that can be used.
func (a *authenticator) identity(file string, held []ssh.Signer) ssh.Signer {
	b, err := os.ReadFile(file)
	if err != nil {
		if pub := publicKey(file + ".pub"); pub != nil { // the private half may be in the agent alone
			if s := holder(held, pub); s != nil {
				return s
			}
		}
		if !a.ep.DefaultKeys {
			a.note("identity %s: %v", file, errors.Unwrap(err))
		}
		return nil
	}
	if pub, _, _, _, err := ssh.ParseAuthorizedKey(b); err == nil { // a public key names one of the agent's
		if s := holder(held, pub); s != nil {
			return s
		}
		a.note("identity %s: a public key, and the agent does not hold its private half", file)
		return nil
	}
	signer, err := ssh.ParsePrivateKey(b)
	if err == nil {
		if s := holder(held, signer.PublicKey()); s != nil {
			return s
		}
		return signer
	}
	missing, ok := errors.AsType[*ssh.PassphraseMissingError](err)
	if !ok {
		a.note("identity %s: %s", file, strings.TrimPrefix(err.Error(), "ssh: "))
		return nil
	}
	pub := missing.PublicKey
	if pub == nil {
		pub = publicKey(file + ".pub")
	}
	if pub != nil {
		if s := holder(held, pub); s != nil {
			return s
		}
		return &lockedKey{a: a, file: file, pem: b, pub: pub}
	}
	// An old PEM file without its public half beside it: it has to be opened to know what to offer.
	s, err := (&lockedKey{a: a, file: file, pem: b}).open()
	if err != nil {
		a.note("identity %s: %v", file, err)
		return nil
	}
	return s
}

func publicKey(file string) ssh.PublicKey {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	pub, _, _, _, err := ssh.ParseAuthorizedKey(b)
	if err != nil {
		return nil
	}
	return pub
}

func holder(held []ssh.Signer, pub ssh.PublicKey) ssh.Signer {
	for _, s := range held {
		if string(s.PublicKey().Marshal()) == string(pub.Marshal()) {
			return s
		}
	}
	return nil
}

// certificates are those for the key: beside its file, or named by CertificateFile.
func (a *authenticator) certificates(file string, s ssh.Signer) (list []ssh.Signer) {
	names := slices.Clone(a.ep.Certificates)
	if file != "" {
		names = append(names, strings.TrimSuffix(file, ".pub")+"-cert.pub")
	}
	for _, name := range names {
		cert, ok := publicKey(name).(*ssh.Certificate)
		if !ok || string(cert.Key.Marshal()) != string(s.PublicKey().Marshal()) {
			continue
		}
		now := uint64(time.Now().Unix())
		if cert.ValidBefore != ssh.CertTimeInfinity && now >= cert.ValidBefore {
			a.note("the certificate %s expired on %s", name, time.Unix(int64(cert.ValidBefore), 0).UTC().Format(time.RFC3339))
		} else if now < cert.ValidAfter {
			a.note("the certificate %s is valid only from %s", name, time.Unix(int64(cert.ValidAfter), 0).UTC().Format(time.RFC3339))
		}
		if c, err := ssh.NewCertSigner(cert, s); err == nil {
			list = append(list, c)
		}
	}
	return list
}

// watched notices the first signature, which a server asks for only when it knows the key.
func (a *authenticator) watched(s ssh.Signer) ssh.Signer {
	w := watchedKey{Signer: s, a: a}
	if m, ok := s.(ssh.MultiAlgorithmSigner); ok {
		return &watchedMulti{w, m}
	}
	if _, ok := s.(ssh.AlgorithmSigner); ok {
		return &watchedAlgorithm{w}
	}
	return &w
}

type watchedKey struct {
	ssh.Signer
	a *authenticator
}

func (w *watchedKey) used() { w.a.mu.Lock(); w.a.signed = true; w.a.mu.Unlock() }

type watchedAlgorithm struct{ watchedKey }

func (w *watchedAlgorithm) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	w.used()
	return w.Signer.(ssh.AlgorithmSigner).SignWithAlgorithm(rand, data, algorithm)
}

type watchedMulti struct {
	watchedKey
	m ssh.MultiAlgorithmSigner
}

func (w *watchedMulti) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	w.used()
	return w.m.SignWithAlgorithm(rand, data, algorithm)
}

func (w *watchedMulti) Algorithms() []string { return w.m.Algorithms() }

func (w *watchedKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	w.used()
	return w.Signer.Sign(rand, data)
}

// lockedKey is an encrypted key file. Its passphrase is asked for only when a server wants the key's signature, and once for all.
type lockedKey struct {
	a    *authenticator
	file string
	pem  []byte
	pub  ssh.PublicKey
}

func (k *lockedKey) PublicKey() ssh.PublicKey { return k.pub }

func (k *lockedKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(rand, data, "")
}

func (k *lockedKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	s, err := k.open()
	if err != nil {
		k.a.note("identity %s: %v", k.file, err)
		return nil, err
	}
	as, ok := s.(ssh.AlgorithmSigner)
	if !ok || algorithm == "" {
		return s.Sign(rand, data)
	}
	return as.SignWithAlgorithm(rand, data, algorithm)
}

func (k *lockedKey) open() (ssh.Signer, error) {
	defer k.a.pause()()
	return k.a.shared.key(k.a.ctx, k.file, func() (ssh.Signer, error) {
		if k.a.opts.Prompter == nil {
			return nil, errors.New("it is encrypted and there is nobody to ask for the passphrase (add the key to ssh-agent)")
		}
		pass, err := k.a.opts.Prompter.Password(k.a.ctx, fmt.Sprintf("Passphrase of %s: ", k.file))
		if err != nil {
			return nil, fmt.Errorf("ask for the passphrase: %w", err)
		}
		s, err := ssh.ParsePrivateKeyWithPassphrase(k.pem, pass)
		clear(pass)
		if err != nil {
			return nil, errors.New("the passphrase is wrong")
		}
		return s, nil
	})
}

// challenge answers keyboard-interactive questions. Where one question hides its answer, that is the password.
func (a *authenticator) challenge(name, instruction string, questions []string, echos []bool) ([]string, error) {
	answers := make([]string, 0, len(questions))
	for i, q := range questions {
		if len(questions) == 1 && !echos[i] && !a.asked {
			p, err := a.ask(strings.TrimSpace(name+" "+instruction) + "\n" + fmt.Sprintf("(%s) %s", a.ep, q))
			if err != nil {
				return nil, err
			}
			answers = append(answers, string(p))
			continue
		}
		if a.opts.Prompter == nil {
			return nil, errors.New("the server asks a question and there is nobody to answer it")
		}
		p, err := a.prompt(strings.TrimSpace(instruction+"\n"+fmt.Sprintf("(%s) %s", a.ep, q)), true)
		if err != nil {
			return nil, err
		}
		answers = append(answers, string(p))
	}
	return answers, nil
}

func (a *authenticator) password() (string, error) {
	if a.asked {
		return "", errors.New("the password was refused already")
	}
	p, err := a.ask(fmt.Sprintf("Password of %s: ", a.ep))
	return string(p), err
}

// ask gives the password of the endpoint, asked for once; a refused one is not asked for again.
func (a *authenticator) ask(text string) ([]byte, error) {
	a.asked, a.signed = true, true
	if p, ok := a.shared.password(a.ep.String()); ok {
		a.answer = p
		return p, nil
	}
	p, err := a.prompt(strings.TrimLeft(text, "\n"), false)
	if err != nil {
		return nil, err
	}
	a.answer = p
	return p, nil
}

func (a *authenticator) prompt(text string, again bool) ([]byte, error) {
	if a.opts.Prompter == nil {
		return nil, errors.New("there is nobody to ask for a password")
	}
	defer a.pause()()
	unlock, err := a.shared.prompts.lock(a.ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if p, ok := a.shared.password(a.ep.String()); ok && !again { // answered for another connection while we waited
		return p, nil
	}
	return a.opts.Prompter.Password(a.ctx, text)
}

// settle keeps the password for the next connection where it was right.
func (a *authenticator) settle(ok bool) {
	switch {
	case ok && a.answer != nil:
		a.shared.keepPassword(a.ep.String(), a.answer)
	case a.answer != nil:
		a.shared.forgetPassword(a.ep.String())
	}
}
