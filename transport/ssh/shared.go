package ssh

import (
	"context"
	"sync"

	"golang.org/x/crypto/ssh"
)

// loginsPerAddress is how many connections to one address may be on their way through authentication at once. OpenSSH's MaxStartups
// begins to drop them at 10.
const loginsPerAddress = 8

// Shared is what the connections of one process share: the budget of logins per address, the one question at a time, and what was
// answered already (passphrases and passwords, in memory only). Its zero value is ready; it must not be copied.
type Shared struct {
	prompts once1

	mu         sync.Mutex
	logins     map[string]chan struct{}
	keys       map[string]ssh.Signer // by file: keys whose passphrase was given
	passwords  map[string][]byte     // by endpoint: those that were right
	unreadable map[string]error      // by file: keys whose passphrase was not given, or wrong
}

// once1 is a lock that a context can end the wait for.
type once1 struct {
	mu sync.Mutex
	ch chan struct{}
}

func (o *once1) lock(ctx context.Context) (unlock func(), err error) {
	o.mu.Lock()
	if o.ch == nil {
		o.ch = make(chan struct{}, 1)
	}
	ch := o.ch
	o.mu.Unlock()
	select {
	case ch <- struct{}{}:
		return func() { <-ch }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// login waits for a place in the budget of an address.
func (s *Shared) login(ctx context.Context, addr string) (done func(), err error) {
	s.mu.Lock()
	if s.logins == nil {
		s.logins = map[string]chan struct{}{}
	}
	ch := s.logins[addr]
	if ch == nil {
		ch = make(chan struct{}, loginsPerAddress)
		s.logins[addr] = ch
	}
	s.mu.Unlock()
	select {
	case ch <- struct{}{}:
		return sync.OnceFunc(func() { <-ch }), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// key gives the decrypted key of a file, asking for it at most once whatever the answer: a wrong passphrase is not asked for again.
func (s *Shared) key(ctx context.Context, file string, ask func() (ssh.Signer, error)) (ssh.Signer, error) {
	unlock, err := s.prompts.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	s.mu.Lock()
	signer, failed := s.keys[file], s.unreadable[file]
	s.mu.Unlock()
	if signer != nil || failed != nil {
		return signer, failed
	}
	signer, err = ask()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			if s.unreadable == nil {
				s.unreadable = map[string]error{}
			}
			s.unreadable[file] = err
		}
		return nil, err
	}
	if s.keys == nil {
		s.keys = map[string]ssh.Signer{}
	}
	s.keys[file] = signer
	return signer, nil
}

func (s *Shared) password(endpoint string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.passwords[endpoint]
	return p, ok
}

func (s *Shared) keepPassword(endpoint string, p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.passwords == nil {
		s.passwords = map[string][]byte{}
	}
	s.passwords[endpoint] = p
}

func (s *Shared) forgetPassword(endpoint string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.passwords, endpoint)
}
