package main

import (
	"context"
	"path/filepath"
	"strings"

	"fabgo/internal/controller"
	"fabgo/internal/vault"
	"fabgo/interp"
)

// vault are the secrets of a repository. p asks for what has to be typed; nil: nobody is there.
func (e *env) vault(root string, p *prompter) *vault.Vault {
	v := &vault.Vault{Root: root, Getenv: e.Getenv, Identities: e.identities()}
	if p != nil {
		v.Ask = func(text string) (string, error) {
			b, err := p.Password(context.Background(), text)
			return string(b), err
		}
	}
	return v
}

// identities are the files that private keys are looked for in: those of FABGO_AGE_IDENTITY, else the usual ones.
func (e *env) identities() []string {
	if list := e.Getenv("FABGO_AGE_IDENTITY"); list != "" {
		return filepath.SplitList(list)
	}
	var out []string
	home := e.Getenv("HOME")
	config := e.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(config) && filepath.IsAbs(home) {
		config = filepath.Join(home, ".config")
	}
	if filepath.IsAbs(config) {
		out = append(out, filepath.Join(config, "fabgo", "identity"), filepath.Join(config, "age", "keys.txt"))
	}
	if filepath.IsAbs(home) {
		out = append(out, filepath.Join(home, ".ssh", "id_ed25519"), filepath.Join(home, ".ssh", "id_rsa"))
	}
	return out
}

// secretCalls are the secrets that a bundle names, each once, with the place.
func (o *opened) secretCalls() []interp.LiteralCall {
	var out []interp.LiteralCall
	seen := map[string]bool{}
	for _, c := range o.bundle.LiteralCalls("secret") {
		if name, ok := c.Args["name"].Text(); ok && !seen[name] {
			seen[name] = true
			out = append(out, c)
		}
	}
	return out
}

// lookUp finds all secrets that the bundle names, or reports all that are missing. have is what finds one.
func (o *opened) lookUp(have func(name string) error) error {
	var ps interp.Problems
	for _, c := range o.secretCalls() {
		name, _ := c.Args["name"].Text()
		if err := have(name); err != nil {
			ps = append(ps, &interp.Problem{Pos: c.Pos, Source: c.Source, Msg: strings.TrimSuffix(err.Error(), "\n")})
		}
	}
	if len(ps) > 0 {
		return invalid(ps)
	}
	return nil
}

// answers is the controller of a run on a host, who has its secrets.
func (r *rollout) answers(host string) *controller.Controller {
	c := r.controller(host)
	c.Secret = r.secrets.Get
	return c
}
