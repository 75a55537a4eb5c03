package sshd

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

var errDenied = errors.New("permission denied")

// authConfig builds the configuration of one connection, since the faults
// differ from one to the next.
func (s *Server) authConfig(c *faultConn) *ssh.ServerConfig {
	o := s.opts
	config := &ssh.ServerConfig{
		ServerVersion: o.Version,
		AuthLogCallback: func(_ ssh.ConnMetadata, method string, _ error) {
			if method != "none" {
				s.count(func(st *Stats) { st.AuthAttempts++ })
			}
		},
	}
	if config.ServerVersion == "" {
		config.ServerVersion = "SSH-2.0-fabgo"
	}
	for _, key := range s.keys {
		config.AddHostKey(key)
	}
	if o.Banner != "" {
		config.BannerCallback = func(ssh.ConnMetadata) string { return o.Banner }
	}
	// verdict is the last word of every method.
	verdict := func(m ssh.ConnMetadata, ok bool, err error) (*ssh.Permissions, error) {
		switch {
		case c.faults.Denied != "":
			return nil, &ssh.BannerError{Err: errDenied, Message: c.faults.Denied}
		case err != nil:
			return nil, err
		case !ok || o.AllowUser != nil && !o.AllowUser(m.User()):
			return nil, errDenied
		}
		return &ssh.Permissions{}, nil
	}
	if len(o.AuthorizedKeys) > 0 || o.UserCA != nil {
		config.PublicKeyCallback = func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			ok, err := s.keyAllowed(m, key)
			return verdict(m, ok, err)
		}
	}
	if o.Password != nil {
		config.PasswordCallback = func(m ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			return verdict(m, o.Password(m.User(), string(password)), nil)
		}
	}
	if o.KeyboardInteractive != nil {
		config.KeyboardInteractiveCallback = func(m ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			ok, err := o.KeyboardInteractive(m.User(), ask)
			return verdict(m, ok, err)
		}
	}
	if c.faults.Silent == AtAuth {
		// The client's first authentication request is usually "none", which
		// only this callback sees before it is answered.
		config.NoClientAuth = true
		config.NoClientAuthCallback = func(ssh.ConnMetadata) (*ssh.Permissions, error) {
			<-c.gone
			return nil, errDenied
		}
	}
	if config.PublicKeyCallback == nil && config.PasswordCallback == nil && config.KeyboardInteractiveCallback == nil {
		// x/crypto/ssh refuses to serve without a method; offer one that nobody passes.
		config.PasswordCallback = func(m ssh.ConnMetadata, _ []byte) (*ssh.Permissions, error) { return verdict(m, false, nil) }
	}
	return config
}

func (s *Server) keyAllowed(m ssh.ConnMetadata, key ssh.PublicKey) (bool, error) {
	if cert, ok := key.(*ssh.Certificate); ok {
		if s.opts.UserCA == nil {
			return false, errors.New("certificates are not accepted")
		}
		checker := ssh.CertChecker{IsUserAuthority: func(ca ssh.PublicKey) bool {
			return bytes.Equal(ca.Marshal(), s.opts.UserCA.Marshal())
		}}
		if _, err := checker.Authenticate(m, cert); err != nil {
			return false, fmt.Errorf("check user certificate: %w", err)
		}
		return true, nil
	}
	for _, k := range s.opts.AuthorizedKeys {
		if bytes.Equal(k.Marshal(), key.Marshal()) {
			return true, nil
		}
	}
	return false, nil
}
