package vault

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"filippo.io/age"
	"filippo.io/age/armor"

	"fabgo/internal/secrets"
	"fabgo/internal/token"
)

// Set encrypts a secret for all recipients, in the place of what it was.
func (v *Vault) Set(name string, value []byte) error {
	if err := token.CheckName(name); err != nil {
		return err
	}
	switch {
	case len(value) == 0:
		return errors.New("the secret is empty")
	case len(value) > secrets.Limit:
		return fmt.Errorf("the secret has %d bytes, more than the %d that one may have", len(value), secrets.Limit)
	}
	rs, err := v.Recipients()
	if err != nil {
		return err
	}
	return v.write(name, value, rs)
}

func (v *Vault) write(name string, value []byte, rs []age.Recipient) error {
	var b bytes.Buffer
	text := armor.NewWriter(&b)
	w, err := age.Encrypt(text, rs...)
	if err != nil {
		return err
	}
	if _, err := w.Write(value); err != nil {
		return err
	}
	if err := errors.Join(w.Close(), text.Close()); err != nil {
		return err
	}
	file := v.file(name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".part-")
	if err != nil {
		return err
	}
	_, err = f.Write(b.Bytes())
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()) // encrypted: for everybody
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// Stored reads the secret of a file of the repository, whatever its length.
func (v *Vault) Stored(name string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s, err := v.find(name)
	if err != nil {
		return nil, err
	}
	if s.elsewhere() {
		return nil, fmt.Errorf("the secret %s comes from elsewhere: %s says so", name, v.SourcesFile())
	}
	return v.decrypt(v.file(name))
}

// Rekey encrypts all secrets anew, for those who are recipients now. Unless all of them can be decrypted, none is written.
func (v *Vault) Rekey() ([]string, error) {
	rs, err := v.Recipients()
	if err != nil {
		return nil, err
	}
	names, err := v.Names()
	if err != nil {
		return nil, err
	}
	values := map[string][]byte{}
	var failed []error
	for _, name := range names {
		if s, err := v.find(name); err != nil || s.elsewhere() {
			continue
		}
		b, err := v.Stored(name)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		values[name] = b
	}
	if len(failed) > 0 {
		return nil, errors.Join(failed...)
	}
	var done []string
	for _, name := range names {
		if b, ok := values[name]; ok {
			if err := v.write(name, b, rs); err != nil {
				return done, fmt.Errorf("secret %s: %w", name, err)
			}
			done = append(done, name)
		}
	}
	return done, nil
}
