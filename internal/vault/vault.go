// Package vault keeps the secrets of a repository: files of secrets/ that age encrypts for the team, and what secrets/sources.yaml says comes from
// elsewhere.
//
// The one rule: a secret is decrypted on the machine where fabgo is typed, in memory.
//
// The trap: a secret in a file of the work tree is committed by the next `git add -A`. What is edited is in memory too, or in a folder of this user
// that is no disk.
//
// The promise: what is written is complete or not there, and every recipient of the list can read it.
package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"go.yaml.in/yaml/v3"

	"fabgo/internal/secrets"
	"fabgo/internal/token"
)

// Vault are the secrets of a repository.
type Vault struct {
	Root       string                              // of the repository
	Identities []string                            // files with private keys; those that are not there are left out
	Getenv     func(string) string                 // for secrets from the environment
	Ask        func(prompt string) (string, error) // at the terminal, without echo; nil: there is nobody to ask

	mu     sync.Mutex
	known  map[string][]byte
	opened []age.Identity // nil until they are needed
}

// Suffix is that of the files of secrets.
const Suffix = ".age"

// Dir is the folder of the secrets.
func (v *Vault) Dir() string { return filepath.Join(v.Root, "secrets") }

func (v *Vault) file(name string) string {
	return filepath.Join(v.Dir(), filepath.FromSlash(name)+Suffix)
}

// SourcesFile says where the secrets are that are in no file of their own.
func (v *Vault) SourcesFile() string { return filepath.Join(v.Dir(), "sources.yaml") }

// source is an entry of the file of sources.
type source struct {
	Env     string   `yaml:"env"`
	Command []string `yaml:"command"`
	Prompt  string   `yaml:"prompt"`
	Short   bool     `yaml:"short"` // it may be shorter than what can be hidden
}

func (s source) elsewhere() bool { return s.Env != "" || len(s.Command) > 0 || s.Prompt != "" }

func (v *Vault) sources() (map[string]source, error) {
	b, err := os.ReadFile(v.SourcesFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all map[string]source
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&all); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", v.SourcesFile(), err)
	}
	for name, s := range all {
		if err := token.CheckName(name); err != nil {
			return nil, fmt.Errorf("%s: %w", v.SourcesFile(), err)
		}
		if n := btoi(s.Env != "") + btoi(len(s.Command) > 0) + btoi(s.Prompt != ""); n > 1 {
			return nil, fmt.Errorf("%s: %s: give one of env, command and prompt", v.SourcesFile(), name)
		}
	}
	return all, nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Has is the error of a secret that is not there, as far as that can be told without decrypting or asking anything.
func (v *Vault) Has(name string) error {
	_, err := v.find(name)
	return err
}

func (v *Vault) find(name string) (source, error) {
	if err := token.CheckName(name); err != nil {
		return source{}, err
	}
	all, err := v.sources()
	if err != nil {
		return source{}, err
	}
	s := all[name]
	if s.elsewhere() {
		return s, nil
	}
	_, err = os.Stat(v.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("there is no secret %q: `fabgo secret set %s` makes %s, or an entry in %s says where it comes from", name, name, v.file(name), v.SourcesFile())
	}
	return s, err
}

// Get is a secret. It is looked up once.
func (v *Vault) Get(name string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if b, ok := v.known[name]; ok {
		return b, nil
	}
	s, err := v.find(name)
	if err != nil {
		return nil, err
	}
	b, err := v.fetch(name, s)
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", name, err)
	}
	switch {
	case len(b) == 0:
		return nil, fmt.Errorf("secret %s: it is empty", name)
	case len(b) > secrets.Limit:
		return nil, fmt.Errorf("secret %s: it has %d bytes, more than the %d that a secret may have", name, len(b), secrets.Limit)
	case len(b) < secrets.Shortest && !s.Short:
		return nil, fmt.Errorf("secret %s: it has %d bytes, and one of less than %d cannot be hidden where a host prints it; to use it all the same, write `%s: {short: true}` into %s",
			name, len(b), secrets.Shortest, name, v.SourcesFile())
	case token.InBytes(b):
		return nil, fmt.Errorf("secret %s: it holds the form of a secret's token", name)
	}
	if v.known == nil {
		v.known = map[string][]byte{}
	}
	v.known[name] = b
	return b, nil
}

// commandLimit is how long a command may take that prints a secret; it may have to ask somebody.
const commandLimit = 2 * time.Minute

func (v *Vault) fetch(name string, s source) ([]byte, error) {
	switch {
	case s.Env != "":
		if x := v.Getenv(s.Env); x != "" {
			return []byte(x), nil
		}
		return nil, fmt.Errorf("the environment variable %s is not set", s.Env)
	case len(s.Command) > 0:
		ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
		defer cancel()
		cmd := exec.CommandContext(ctx, s.Command[0], s.Command[1:]...)
		cmd.Dir = v.Root
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %s", strings.Join(s.Command, " "), err, strings.TrimSpace(said.String()))
		}
		return bytes.TrimSuffix(out, []byte("\n")), nil
	case s.Prompt != "":
		if v.Ask == nil {
			return nil, fmt.Errorf("it is to be typed (%s), and there is no terminal", s.Prompt)
		}
		x, err := v.Ask(s.Prompt + ": ")
		return []byte(x), err
	}
	return v.decrypt(v.file(name))
}

func (v *Vault) decrypt(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ids, err := v.identities()
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(armored(f), ids...)
	if err != nil {
		if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
			return nil, fmt.Errorf("%s is not encrypted for a key of yours (%s): somebody who can read it adds yours to %s and runs `fabgo secret rekey`",
				file, strings.Join(v.Identities, ", "), v.RecipientsFile())
		}
		return nil, fmt.Errorf("decrypt %s: %w", file, err)
	}
	return io.ReadAll(io.LimitReader(r, secrets.Limit+1))
}

// armored reads a file of age as text or as bytes.
func armored(r io.Reader) io.Reader {
	b := make([]byte, len(armor.Header))
	n, _ := io.ReadFull(r, b)
	all := io.MultiReader(bytes.NewReader(b[:n]), r)
	if string(b[:n]) == armor.Header {
		return armor.NewReader(all)
	}
	return all
}

// Names are the secrets that there are, sorted: of files and of sources.
func (v *Vault) Names() ([]string, error) {
	var names []string
	err := filepath.WalkDir(v.Dir(), func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && p == v.Dir() {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(v.Dir(), p)
		if err != nil {
			return err
		}
		if name, ok := strings.CutSuffix(filepath.ToSlash(rel), Suffix); ok && token.CheckName(name) == nil {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	all, err := v.sources()
	if err != nil {
		return nil, err
	}
	for name, s := range all {
		if s.elsewhere() && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// From says where a secret comes from.
func (v *Vault) From(name string) string {
	s, err := v.find(name)
	switch {
	case err != nil:
		return ""
	case s.Env != "":
		return "the environment variable " + s.Env
	case len(s.Command) > 0:
		return "the command " + strings.Join(s.Command, " ")
	case s.Prompt != "":
		return "a question at the terminal"
	}
	return v.file(name)
}
