//go:build linux

package sshd

import (
	"cmp"
	"crypto/rand"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestAuthentication(t *testing.T) {
	newKey := func() ssh.Signer {
		k, err := NewKey()
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	ca, known, stranger := newKey(), newKey(), newKey()
	certified := func(authority ssh.Signer, principal string) ssh.Signer {
		cert := &ssh.Certificate{
			Key: stranger.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{principal},
			ValidBefore: ssh.CertTimeInfinity,
		}
		if err := cert.SignCert(rand.Reader, authority); err != nil {
			t.Fatal(err)
		}
		s, err := ssh.NewCertSigner(cert, stranger)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s, err := Start(Options{
		AuthorizedKeys: []ssh.PublicKey{known.PublicKey()}, UserCA: ca.PublicKey(), Banner: "be nice\n",
		AllowUser: func(user string) bool { return user != "mallory" },
		Password:  func(user, password string) bool { return user == "ann" && password == "right" },
		KeyboardInteractive: func(user string, ask ssh.KeyboardInteractiveChallenge) (bool, error) {
			answers, err := ask("", "", []string{"code: "}, []bool{false})
			return err == nil && answers[0] == "123", err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	answer := func(a string) ssh.AuthMethod {
		return ssh.KeyboardInteractive(func(string, string, []string, []bool) ([]string, error) { return []string{a}, nil })
	}
	for _, tc := range []struct {
		name string
		auth ssh.AuthMethod
		ok   bool
		user string // ann when empty
	}{
		{"known key", ssh.PublicKeys(known), true, ""},
		{"stranger's key", ssh.PublicKeys(stranger), false, ""},
		{"certificate", ssh.PublicKeys(certified(ca, "ann")), true, ""},
		{"certificate of another user", ssh.PublicKeys(certified(ca, "bob")), false, ""},
		{"certificate of another authority", ssh.PublicKeys(certified(known, "ann")), false, ""},
		{"password", ssh.Password("right"), true, ""},
		{"wrong password", ssh.Password("wrong"), false, ""},
		{"answer", answer("123"), true, ""},
		{"certificate of a user who may not", ssh.PublicKeys(certified(ca, "mallory")), false, "mallory"},
		{"known key of a user who may not", ssh.PublicKeys(known), false, "mallory"},
		{"wrong answer", answer("456"), false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var banner string
			c, err := ssh.Dial("tcp", s.Addr(), &ssh.ClientConfig{
				User: cmp.Or(tc.user, "ann"), Auth: []ssh.AuthMethod{tc.auth}, HostKeyCallback: ssh.FixedHostKey(s.HostKey()),
				BannerCallback: func(m string) error { banner = m; return nil },
			})
			if err == nil {
				c.Close()
			}
			if (err == nil) != tc.ok || banner != "be nice\n" {
				t.Errorf("banner %q, error %v", banner, err)
			}
		})
	}
	s.Close()
	if st := s.Stats(); st.Logins != 4 || st.AuthAttempts < 9 {
		t.Errorf("stats: %+v", st)
	}
}

func TestNobodyByDefault(t *testing.T) {
	s, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = ssh.Dial("tcp", s.Addr(), &ssh.ClientConfig{
		Auth: []ssh.AuthMethod{ssh.Password("")}, HostKeyCallback: ssh.FixedHostKey(s.HostKey()),
	})
	if err == nil || !strings.Contains(err.Error(), "unable to authenticate") {
		t.Errorf("dial: %v", err)
	}
}
