package builtins

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

func aptNatives() starlark.StringDict {
	return merge(
		native("apt.update", aptUpdate),
		native("apt.upgrade", aptUpgrade),
		native("apt.autoremove", aptAutoremove),
		native("apt.deb", aptDeb),
		native("apt.repo", aptRepo),
		native("apt.repo_absent", aptRepoAbsent),
		native("apt.key", aptKey),
		native("apt.key_absent", aptKeyAbsent),
		native("apt.pin", aptPin),
		native("apt.pin_absent", aptPinAbsent),
		native("apt.hold", aptMark(true)),
		native("apt.unhold", aptMark(false)),
		native("apt.debconf", aptDebconf),
	)
}

type repoArgs struct {
	aptArgs
	Name          string            `arg:"name"`
	URIs          []string          `arg:"uris"`
	Suites        []string          `arg:"suites"`
	Components    []string          `arg:"components"`
	Types         []string          `arg:"types"`
	SignedBy      string            `arg:"signed_by"`
	Architectures []string          `arg:"architectures"`
	Enabled       bool              `arg:"enabled"`
	Options       map[string]string `arg:"options"`
}

func (a repoArgs) check() error {
	if err := checkAptName(a.Name); err != nil {
		return err
	}
	for _, l := range []struct {
		what  string
		words []string
	}{{"uris", a.URIs}, {"suites", a.Suites}, {"components", a.Components}, {"types", a.Types}, {"architectures", a.Architectures}} {
		for _, w := range l.words {
			if err := aptWord(l.what, w); err != nil {
				return err
			}
		}
	}
	for _, u := range a.URIs {
		if strings.HasPrefix(u, "ppa:") {
			return fmt.Errorf("uris: %q: write a PPA out: https://ppa.launchpadcontent.net/USER/NAME/ubuntu, with its key", u)
		}
		p, err := url.Parse(u)
		if err != nil || p.Scheme == "" {
			return fmt.Errorf("uris: %q is no address such as \"https://deb.example.org/debian\"", u)
		}
		if p.User != nil {
			return fmt.Errorf("uris: an address with a password in a file that everyone may read: put it into /etc/apt/auth.conf.d with file.put(..., mode = \"0600\", sensitive = True)")
		}
	}
	for _, t := range a.Types {
		if t != "deb" && t != "deb-src" {
			return fmt.Errorf("types: got %q, want \"deb\" or \"deb-src\"", t)
		}
	}
	switch {
	case len(a.URIs) == 0:
		return fmt.Errorf("uris: name at least one address")
	case len(a.Suites) == 0:
		return fmt.Errorf("suites: name at least one, such as host.os.codename; \"./\" for a repository without suites")
	}
	for _, s := range a.Suites {
		if flat := strings.HasSuffix(s, "/"); flat == (len(a.Components) > 0) {
			return fmt.Errorf("components: a suite such as \"bookworm\" needs them (\"main\"), one that ends in a slash (got %q) has none", s)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(a.Options)) {
		switch low := strings.ToLower(k); {
		case low == "trusted", strings.HasPrefix(low, "allow-"):
			return fmt.Errorf("options: %s would turn the check of signatures off: give the repository's key with signed_by", k)
		case slices.Contains([]string{"types", "uris", "suites", "components", "signed-by", "architectures", "enabled"}, low):
			return fmt.Errorf("options: %s has an argument of its own", k)
		case !aptName().MatchString(k), strings.ContainsAny(a.Options[k], "\n\r"):
			return fmt.Errorf("options: %q: %q is no field of a repository", k, a.Options[k])
		}
	}
	if s := a.SignedBy; s != "" && !inlineKey(s) && s[0] != '/' {
		if err := checkAptName(s); err != nil {
			return fmt.Errorf("signed_by: want the name of an apt.key, a path, or the key itself; %w", err)
		}
	}
	return nil
}

func inlineKey(s string) bool { return strings.Contains(s, "-----BEGIN PGP PUBLIC KEY BLOCK-----") }

// text is the file, in the form of deb822. key is the value of Signed-By.
func (a repoArgs) text(key string) string {
	var b strings.Builder
	field := func(name, value string) {
		if value != "" {
			b.WriteString(name + ": " + value + "\n")
		}
	}
	if !a.Enabled {
		field("Enabled", "no")
	}
	field("Types", strings.Join(a.Types, " "))
	field("URIs", strings.Join(a.URIs, " "))
	field("Suites", strings.Join(a.Suites, " "))
	field("Components", strings.Join(a.Components, " "))
	field("Architectures", strings.Join(a.Architectures, " "))
	for _, k := range slices.Sorted(maps.Keys(a.Options)) {
		field(k, a.Options[k])
	}
	if inlineKey(key) {
		b.WriteString("Signed-By:\n")
		for line := range strings.Lines(strings.TrimSpace(key)) {
			if line = strings.TrimRight(line, "\r\n \t"); line == "" {
				line = "."
			}
			b.WriteString(" " + line + "\n")
		}
	} else {
		field("Signed-By", key)
	}
	return b.String()
}

func aptRepo(c *call, a repoArgs) (starlark.Value, error) {
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("apt.repo: %w", err)
	}
	p, err := c.newApt(a.aptArgs)
	if err != nil {
		return nil, err
	}
	return p.convergeRepo(&repoResource{apt: p, name: a.Name, args: &a})
}

func aptRepoAbsent(c *call, a struct {
	aptArgs
	Name string `arg:"name"`
}) (starlark.Value, error) {
	if err := checkAptName(a.Name); err != nil {
		return nil, fmt.Errorf("apt.repo_absent: %w", err)
	}
	p, err := c.newApt(a.aptArgs)
	if err != nil {
		return nil, err
	}
	return p.convergeRepo(&repoResource{apt: p, name: a.Name})
}

func (a *apt) convergeRepo(r *repoResource) (starlark.Value, error) {
	ch, err := a.Session.Converge(a.step, r)
	if err != nil {
		return nil, err
	}
	if ch.Changed && ch.Carried == "" {
		a.call.apt.refreshed = &converge.Cause{Step: ch.Step, What: a.call.name + " " + ch.Resource, Pos: a.step.Pos}
	}
	return &Change{ch}, nil
}

// repoResource is a repository and the package index that has been fetched from it; without args one that is not to be there.
type repoResource struct {
	*apt
	name string
	args *repoArgs
}

func (r *repoResource) Name() string { return "apt:repo " + r.name }

func (r *repoResource) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	file, old := aptSourcesD.Join(r.name+".sources"), noFile(aptSourcesD.Join(r.name+".list"))
	index := converge.Object{Key: indexKey, Fields: map[string]transport.Text{"state": "fresh"}}
	if r.args == nil {
		return []converge.Object{noFile(file), old}, nil
	}
	key, err := r.key(ctx, h)
	if err != nil {
		return nil, err
	}
	return []converge.Object{aptFile(file, transport.String(r.args.text(key))), old, index}, nil
}

// key finds the keyring that signed_by names.
func (r *repoResource) key(ctx context.Context, h transport.Host) (string, error) {
	s := r.args.SignedBy
	if s == "" || inlineKey(s) {
		return s, nil
	}
	paths := []transport.Path{aptKeyrings.Join(s + ".asc"), aptKeyrings.Join(s + ".gpg")}
	if s[0] == '/' {
		p, err := transport.NewPath(s)
		if err != nil {
			return "", fmt.Errorf("signed_by: %w", err)
		}
		paths = []transport.Path{p}
	}
	for _, p := range paths {
		fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: p, Follow: true})
		if u := converge.CauseOf(err); u != nil && s[0] == '/' {
			return string(p), nil // it comes, or the run fails
		}
		if err != nil && converge.CauseOf(err) == nil {
			return "", err
		}
		if fi.Type == transport.Regular {
			return string(p), nil
		}
	}
	return "", &transport.Error{
		Kind: transport.NotFound, Path: paths[0], Message: fmt.Sprintf("repository %s: there is no key %s on the host", r.name, s),
		Hint: "install it before: apt.key(\"" + r.name + "\", src = \"...\"), then signed_by = \"" + r.name + "\"",
	}
}

// Probe finds the files and whether the index is younger than they are: where fetching it failed, the next run does it.
func (r *repoResource) Probe(ctx context.Context, h transport.Host, want []converge.Object) ([]converge.Object, error) {
	files := slices.DeleteFunc(slices.Clone(want), func(w converge.Object) bool { return w.Key == indexKey })
	have, err := converge.Find(ctx, h, files)
	if err != nil || len(files) == len(want) {
		return have, err
	}
	x, err := r.aptIndex(ctx, h)
	if err != nil {
		return nil, err
	}
	fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: transport.Path(files[0].Key.Name)})
	if err != nil && converge.CauseOf(err) == nil {
		return nil, err
	}
	state := transport.Text("fresh")
	if x.never || fi.ModTime > x.read {
		state = "older than this repository"
	}
	return append(have, converge.Object{Key: indexKey, Fields: map[string]transport.Text{"state": state}}), nil
}

func (r *repoResource) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	if err := applyFiles(ctx, h, delta); err != nil {
		return err
	}
	// until it is read, the index is not fresh, whatever the clock's second
	if err := change(ctx, h, "", nil, "rm", "-f", string(aptStamp)); err != nil {
		return err
	}
	return r.refresh(ctx, h)
}
