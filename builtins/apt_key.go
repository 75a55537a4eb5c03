package builtins

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

const (
	aptKeyrings transport.Path = "/etc/apt/keyrings"
	keyLimit                   = 4 << 20
)

type keyArgs struct {
	aptArgs
	Name        string   `arg:"name"`
	Content     data     `arg:"content"`
	Src         *string  `arg:"src"`
	URL         *string  `arg:"url"`
	Fingerprint []string `arg:"fingerprint"`
}

func aptKey(c *call, a keyArgs) (starlark.Value, error) {
	bad := func(format string, args ...any) (starlark.Value, error) {
		return nil, fmt.Errorf("apt.key: "+format, args...)
	}
	if err := checkAptName(a.Name); err != nil {
		return bad("%w", err)
	}
	var given []string
	for _, f := range a.Fingerprint {
		clean, err := cleanFingerprint(f)
		if err != nil {
			return bad("%w", err)
		}
		given = append(given, clean)
	}
	slices.Sort(given)
	sources := 0
	for _, is := range []bool{a.Content != nil, a.Src != nil, a.URL != nil} {
		if is {
			sources++
		}
	}
	if sources != 1 {
		return bad("give content, src or url, one of them")
	}
	p, err := c.newApt(a.aptArgs)
	if err != nil {
		return nil, err
	}
	if a.URL != nil {
		switch {
		case given == nil:
			return bad("fingerprint: a key from the network needs it; `gpg --show-keys FILE` prints it")
		case !strings.HasPrefix(*a.URL, "https://") && !strings.HasPrefix(*a.URL, "http://") || strings.ContainsAny(*a.URL, " \n\r\x00"):
			return bad("url: %q is no address such as \"https://deb.example.org/key.asc\"", *a.URL)
		}
		return c.converge(&keyDownload{apt: p, name: a.Name, url: *a.URL, given: given})
	}
	content := a.Content
	if a.Src != nil {
		from, err := c.source(*a.Src)
		if err != nil {
			return nil, err
		}
		content = &from
	}
	b, err := (*transport.Content)(content).ReadAll(keyLimit)
	if err != nil {
		return bad("%w", err)
	}
	bin, armored, err := checkKey(b, given)
	if err != nil {
		return bad("%s: %w", a.Name, err)
	}
	file, other := aptKeyrings.Join(a.Name+".gpg"), aptKeyrings.Join(a.Name+".asc")
	if armored {
		file, other = other, file
	} else {
		b = bin
	}
	return c.converge(&aptFiles{"apt:key " + a.Name, []converge.Object{keyFolder(), aptFile(file, transport.Bytes(b)), noFile(other)}})
}

func keyFolder() converge.Object {
	return converge.Object{Key: converge.FileKey(aptKeyrings), File: &converge.File{Type: transport.Dir}}
}

// checkKey reads a keyring; where fingerprints are given, its primary keys must be those and no others.
func checkKey(b []byte, given []string) (bin []byte, armored bool, err error) {
	if bin, armored, err = dearmor(b); err != nil {
		return nil, armored, fmt.Errorf("the key cannot be read: %w", err)
	}
	has, err := fingerprints(bin)
	if err != nil {
		return nil, armored, fmt.Errorf("the key cannot be read: %w", err)
	}
	slices.Sort(has)
	if given != nil && !slices.Equal(has, given) {
		return nil, armored, fmt.Errorf("the key has the fingerprint %s, not %s; nothing was written", strings.Join(has, " and "), strings.Join(given, " and "))
	}
	return bin, armored, nil
}

// keyDownload is a key that the host fetches by itself. What it is to hold is known by its fingerprint only.
type keyDownload struct {
	*apt
	name, url string
	given     []string
}

func (r *keyDownload) Name() string { return "apt:key " + r.name }

func (r *keyDownload) file() transport.Path { return aptKeyrings.Join(r.name + ".gpg") }

func (r *keyDownload) Want(context.Context, transport.Host) ([]converge.Object, error) {
	return []converge.Object{
		keyFolder(),
		{Key: converge.FileKey(r.file()), File: &converge.File{Type: transport.Regular, Mode: "0644", Brought: true}},
		noFile(aptKeyrings.Join(r.name + ".asc")),
	}, nil
}

// Probe takes a file that holds another key for none.
func (r *keyDownload) Probe(ctx context.Context, h transport.Host, want []converge.Object) ([]converge.Object, error) {
	have, err := converge.Find(ctx, h, want)
	if err != nil || have[1].File == nil || have[1].File.Type != transport.Regular {
		return have, err
	}
	if have[1].File.UID < 0 { // predicted by an earlier step of a plan
		return have, nil
	}
	d, err := transport.Do[transport.Data](ctx, h, transport.Read{Path: r.file()})
	if converge.CauseOf(err) != nil {
		return have, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := d.Content.ReadAll(keyLimit)
	if err != nil {
		return nil, err
	}
	if _, _, err := checkKey(b, r.given); err != nil {
		have[1] = converge.Object{Key: want[1].Key, Absent: true}
	}
	return have, nil
}

func (r *keyDownload) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	for _, p := range delta {
		if p.Want.Key != converge.FileKey(r.file()) || p.Have.File != nil {
			if err := converge.ApplyFile(ctx, h, p, converge.FileOptions{}); err != nil {
				return err
			}
			continue
		}
		if err := r.fetch(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

// fetch downloads the key with apt's own helper, which knows its proxies, and checks it before it gets into place.
func (r *keyDownload) fetch(ctx context.Context, h transport.Host) error {
	dir, err := transport.Do[transport.Output](ctx, h, transport.Exec{Argv: transport.Texts("mktemp", "-d"), Change: true})
	if err != nil {
		return err
	}
	tmp, err := transport.NewPath(strings.TrimSpace(string(dir.Stdout)))
	if err != nil || dir.Code != 0 {
		return &converge.CommandError{Argv: []string{"mktemp", "-d"}, Output: dir}
	}
	defer transport.Do[transport.Done](ctx, h, transport.Remove{Path: tmp, Recursive: true}) //nolint:errcheck // below /tmp
	// the helper fetches as the user _apt, who must be able to write there
	if err := change(ctx, h, "", nil, "chown", "_apt", string(tmp)); err != nil {
		return err
	}
	file := tmp.Join("key")
	argv := []string{"/usr/lib/apt/apt-helper", "-o", "Acquire::Retries=3", "download-file", r.url, string(file)}
	out, err := r.exec(ctx, h, argv)
	if err != nil {
		return err
	}
	if out.Code != 0 {
		return r.explain(ctx, h, argv, out)
	}
	d, err := transport.Do[transport.Data](ctx, h, transport.Read{Path: file})
	if err != nil {
		return err
	}
	b, err := d.Content.ReadAll(keyLimit)
	if err != nil {
		return err
	}
	bin, _, err := checkKey(b, r.given)
	if err != nil {
		return &transport.Error{
			Kind: transport.Refused, Message: fmt.Sprintf("%s: %v", r.url, err), Err: err,
			Hint: "if the owner of the repository has changed the key and says so in a place that you trust, write the new fingerprint",
		}
	}
	_, err = transport.Do[transport.Written](ctx, h, transport.Write{Path: r.file(), Content: transport.Bytes(bin), Mode: "0644"})
	return err
}

func aptKeyAbsent(c *call, a aptNameArgs) (starlark.Value, error) {
	if err := checkAptName(a.Name); err != nil {
		return nil, fmt.Errorf("apt.key_absent: %w", err)
	}
	return c.converge(&aptFiles{"apt:key " + a.Name, []converge.Object{noFile(aptKeyrings.Join(a.Name + ".asc")), noFile(aptKeyrings.Join(a.Name + ".gpg"))}})
}
