package vault

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"
)

// RecipientsFile is the list of those who can read the secrets: public keys of age or SSH, one a line, with comments.
func (v *Vault) RecipientsFile() string { return filepath.Join(v.Dir(), "recipients") }

// Recipients reads the list.
func (v *Vault) Recipients() ([]age.Recipient, error) {
	file := v.RecipientsFile()
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing: write into it the public keys of all who may read the secrets, a line each: age1... or ssh-ed25519 ... (yours may be in ~/.ssh/id_ed25519.pub)", file)
	}
	if err != nil {
		return nil, err
	}
	var out []age.Recipient
	in := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var r age.Recipient
		var err error
		if strings.HasPrefix(line, "age1") {
			line, _, _ = strings.Cut(line, " ")
			r, err = age.ParseX25519Recipient(line)
		} else {
			r, err = agessh.ParseRecipient(line)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %q is no public key of age (age1...) or SSH (ssh-ed25519, ssh-rsa): %w", file, n, line, err)
		}
		out = append(out, r)
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: there is no key in it, so that nobody could read the secret", file)
	}
	return out, nil
}

// identities are the private keys here. Those with a passphrase ask for it when a secret is for them.
func (v *Vault) identities() ([]age.Identity, error) {
	if v.opened != nil {
		return v.opened, nil
	}
	var out []age.Identity
	for _, file := range v.Identities {
		b, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		ids, err := v.parse(file, b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		out = append(out, ids...)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("there is no private key to decrypt it with: looked for %s; FABGO_AGE_IDENTITY names another file", strings.Join(v.Identities, ", "))
	}
	v.opened = out
	return out, nil
}

func (v *Vault) parse(file string, b []byte) ([]age.Identity, error) {
	if !bytes.Contains(b, []byte("-----BEGIN")) {
		return age.ParseIdentities(bytes.NewReader(b))
	}
	id, err := agessh.ParseIdentity(b)
	locked, ok := errors.AsType[*ssh.PassphraseMissingError](err)
	if !ok {
		if err != nil {
			return nil, err
		}
		return []age.Identity{id}, nil
	}
	public := locked.PublicKey
	if public == nil {
		pub, err := os.ReadFile(file + ".pub")
		if err != nil {
			return nil, fmt.Errorf("it has a passphrase, and is of a form that does not tell its public key: %w", err)
		}
		if public, _, _, _, err = ssh.ParseAuthorizedKey(pub); err != nil {
			return nil, fmt.Errorf("%s.pub: %w", file, err)
		}
	}
	e, err := agessh.NewEncryptedSSHIdentity(public, b, func() ([]byte, error) {
		if v.Ask == nil {
			return nil, fmt.Errorf("%s has a passphrase, and there is no terminal to ask for it", file)
		}
		x, err := v.Ask("passphrase of " + file + ": ")
		return []byte(x), err
	})
	if err != nil {
		return nil, err
	}
	return []age.Identity{e}, nil
}
