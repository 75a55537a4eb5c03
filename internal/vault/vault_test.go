package vault

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"golang.org/x/crypto/ssh"
)

// sshKey makes an SSH key and returns its file and its public line.
func sshKey(t *testing.T, name, passphrase string) (file, public string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), name)
	write(t, file, string(pem.EncodeToMemory(block)))
	p, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return file, string(ssh.MarshalAuthorizedKey(p))
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// newVault has one recipient, who is here.
func newVault(t *testing.T) *Vault {
	t.Helper()
	file, public := sshKey(t, "id", "")
	v := &Vault{Root: t.TempDir(), Identities: []string{filepath.Join(t.TempDir(), "nosuch"), file}, Getenv: func(k string) string {
		return map[string]string{"DB": "from the environment"}[k]
	}}
	write(t, v.RecipientsFile(), "# the team\n\n"+public)
	return v
}

func (v *Vault) wants(t *testing.T, name, want string) {
	t.Helper()
	b, err := v.again().Get(name)
	if err != nil || string(b) != want {
		t.Errorf("%s is %q, %v; want %q", name, b, err, want)
	}
}

// again is the vault as the next command has it.
func (v *Vault) again() *Vault {
	return &Vault{Root: v.Root, Identities: v.Identities, Getenv: v.Getenv, Ask: v.Ask}
}

func (v *Vault) fails(t *testing.T, name, want string) {
	t.Helper()
	if b, err := v.again().Get(name); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %q, %v; want an error with %q", name, b, err, want)
	}
}

func TestFiles(t *testing.T) {
	v := newVault(t)
	for name, value := range map[string]string{"db": "a long one\n", "app/key": "\x00\xff binary\n\n", "longest": strings.Repeat("x", 64<<10)} {
		if err := v.Set(name, []byte(value)); err != nil {
			t.Fatal(err)
		}
		v.wants(t, name, value)
		if b, err := os.ReadFile(v.file(name)); err != nil || !strings.HasPrefix(string(b), "-----BEGIN AGE ENCRYPTED FILE-----\n") {
			t.Errorf("%v", err)
		}
	}
	if names, err := v.Names(); err != nil || strings.Join(names, " ") != "app/key db longest" {
		t.Errorf("%q, %v", names, err)
	}
	if left, _ := filepath.Glob(filepath.Join(v.Dir(), ".part-*")); len(left) > 0 {
		t.Errorf("%q", left)
	}
	for name, value := range map[string]string{"": "x", "../x": "x", "x": "", "y": strings.Repeat("x", 64<<10+1)} {
		if err := v.Set(name, []byte(value)); err == nil {
			t.Errorf("%q of %d bytes is stored", name, len(value))
		}
	}
	v.fails(t, "nosuch", "fabgo secret set nosuch")
	v.fails(t, "..", "is no name of a secret")
	if v.Has("db") != nil || v.Has("nosuch") == nil {
		t.Error("Has")
	}
	write(t, v.file("damaged"), "-----BEGIN AGE ENCRYPTED FILE-----\nxx\n-----END AGE ENCRYPTED FILE-----\n")
	v.fails(t, "damaged", "decrypt")
	write(t, v.file("short"), "")
	if err := v.Set("short", []byte("1234")); err != nil {
		t.Fatal(err)
	}
	v.fails(t, "short", "short: {short: true}")
	if b, err := v.Stored("short"); err != nil || string(b) != "1234" {
		t.Errorf("%q, %v", b, err)
	}
	write(t, v.SourcesFile(), "short: {short: true}\n")
	v.wants(t, "short", "1234")
}

func TestSources(t *testing.T) {
	v := newVault(t)
	write(t, v.SourcesFile(), `
db: {env: DB}
none: {env: NOTSET}
cmd: {command: [sh, -c, "pwd; echo by a command"]}
bad: {command: [sh, -c, "echo it is locked >&2; exit 3"]}
no: {command: [/no/such/program]}
pin: {prompt: the PIN of the door, short: true}
`)
	v.wants(t, "db", "from the environment")
	v.wants(t, "cmd", v.Root+"\nby a command")
	v.fails(t, "none", "NOTSET is not set")
	v.fails(t, "bad", "it is locked")
	v.fails(t, "no", "/no/such/program")
	v.fails(t, "pin", "there is no terminal")
	asked := 0
	v.Ask = func(text string) (string, error) { asked++; return "12", nil }
	v.wants(t, "pin", "12")
	for range 2 {
		if _, err := v.Get("pin"); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
	if names, err := v.Names(); err != nil || strings.Join(names, " ") != "bad cmd db no none pin" {
		t.Errorf("%q, %v", names, err)
	}
	if _, err := v.Stored("db"); err == nil {
		t.Error("it is in no file")
	}
	for text, want := range map[string]string{
		"db: {env: A, command: [x]}": "one of env, command and prompt", "db: {enw: A}": "enw", "../x: {env: A}": "no name of a secret", "db: [1]": "sources.yaml",
	} {
		write(t, v.SourcesFile(), text)
		v.fails(t, "db", want)
	}
}

// TestRekey: who is on the list can read all of them, who is taken off none, and without being able to read one nothing is written.
func TestRekey(t *testing.T) {
	v := newVault(t)
	for _, name := range []string{"one", "a/two"} {
		if err := v.Set(name, []byte("value of "+name)); err != nil {
			t.Fatal(err)
		}
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keys.txt")
	write(t, file, "# created today\n"+id.String()+"\n")
	other := &Vault{Root: v.Root, Identities: []string{file}}
	other.fails(t, "one", "fabgo secret rekey")
	if _, err := other.Rekey(); err == nil {
		t.Error("somebody who cannot read them has them encrypted anew")
	}
	v.wants(t, "one", "value of one")
	write(t, v.RecipientsFile(), id.Recipient().String()+" of ann\n")
	if done, err := v.Rekey(); err != nil || strings.Join(done, " ") != "a/two one" {
		t.Fatalf("%q, %v", done, err)
	}
	other.wants(t, "one", "value of one")
	other.wants(t, "a/two", "value of a/two")
	v.fails(t, "one", "is not encrypted for a key of yours")
}

func TestKeys(t *testing.T) {
	v := newVault(t)
	if err := v.Set("db", []byte("a long one")); err != nil {
		t.Fatal(err)
	}
	file, public := sshKey(t, "locked", "open sesame")
	write(t, v.RecipientsFile(), public)
	if _, err := v.Rekey(); err != nil {
		t.Fatal(err)
	}
	v.Identities = []string{file}
	v.fails(t, "db", "has a passphrase, and there is no terminal")
	said := "wrong"
	v.Ask = func(text string) (string, error) {
		if !strings.Contains(text, file) {
			t.Errorf("%q", text)
		}
		return said, nil
	}
	v.fails(t, "db", "")
	said = "open sesame"
	v.wants(t, "db", "a long one")
	v.Ask = func(string) (string, error) { return "", errors.New("interrupted") }
	v.fails(t, "db", "interrupted")

	v.Identities = nil
	v.fails(t, "db", "there is no private key")
	for text, want := range map[string]string{"": "there is no key in it", "nonsense\n": ":1:", "# x\nage1xyz\n": ":2:"} {
		write(t, v.RecipientsFile(), text)
		if err := v.Set("x", []byte("y")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := os.Remove(v.RecipientsFile()); err != nil {
		t.Fatal(err)
	}
	if err := v.Set("x", []byte("y")); err == nil || !strings.Contains(err.Error(), "public keys of all who may read") {
		t.Errorf("%v", err)
	}
}
