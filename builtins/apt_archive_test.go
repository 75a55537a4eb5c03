//lint:file-ignore SA1019 openpgp of x/crypto is frozen, but signs a Release file of a test well enough, with no other library

package builtins

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/openpgp"
	"golang.org/x/crypto/openpgp/armor"
	"golang.org/x/crypto/openpgp/clearsign"
	"golang.org/x/crypto/openpgp/packet"
)

// archive is a Debian repository on a loopback port, signed with a key of its own.
type archive struct {
	t           *testing.T
	dir         string
	url         string
	signer      *openpgp.Entity
	key         string // armored
	fingerprint string
	validUntil  time.Time // zero: no limit
	published   int
}

func newArchive(t *testing.T) *archive {
	t.Helper()
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("building packages needs dpkg-deb")
	}
	a := &archive{t: t, dir: t.TempDir()}
	srv := httptest.NewServer(http.FileServer(http.Dir(a.dir)))
	t.Cleanup(srv.Close)
	a.url = srv.URL
	a.signer, a.key, a.fingerprint = pgpKey(t)
	return a
}

// pgpKey makes a key.
func pgpKey(t *testing.T) (e *openpgp.Entity, armored, fingerprint string) {
	t.Helper()
	e, err := openpgp.NewEntity("test", "", "test@example.org", &packet.Config{DefaultHash: crypto.SHA256, RSABits: 2048})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range e.Identities {
		if err := id.SelfSignature.SignUserId(id.UserId.Id, e.PrimaryKey, e.PrivateKey, nil); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serialize(w); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return e, b.String() + "\n", fmt.Sprintf("%X", e.PrimaryKey.Fingerprint)
}

// deb is a package to be built; files maps paths to contents, conffiles are those of them that are configuration.
type deb struct {
	name, version, fields string
	files                 map[string]string
	conffiles             []string
	scripts               map[string]string
}

// build builds a package and returns the file.
func (a *archive) build(d deb) string {
	a.t.Helper()
	root := a.t.TempDir()
	put := func(name, content string, mode os.FileMode) {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			a.t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), mode); err != nil {
			a.t.Fatal(err)
		}
	}
	put("DEBIAN/control", fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: test\n%s", d.name, d.version, d.fields), 0o644)
	for p, c := range d.files {
		put(p, c, 0o644)
	}
	for n, c := range d.scripts {
		put("DEBIAN/"+n, "#!/bin/sh\n"+c, 0o755)
	}
	if d.conffiles != nil {
		put("DEBIAN/conffiles", strings.Join(d.conffiles, "\n")+"\n", 0o644)
	}
	os.Chmod(root, 0o755)
	file := filepath.Join(a.dir, d.name+"_"+strings.ReplaceAll(d.version, ":", "%3a")+"_all.deb")
	if out, err := exec.Command("dpkg-deb", "--root-owner-group", "-Znone", "--build", root, file).CombinedOutput(); err != nil {
		a.t.Fatalf("dpkg-deb: %v\n%s", err, out)
	}
	return file
}

// publish writes the index of all packages and signs it.
func (a *archive) publish() {
	a.t.Helper()
	var index strings.Builder
	files, err := filepath.Glob(filepath.Join(a.dir, "*.deb"))
	if err != nil {
		a.t.Fatal(err)
	}
	for _, f := range files {
		control, err := exec.Command("dpkg-deb", "-f", f).Output()
		if err != nil {
			a.t.Fatal(err)
		}
		b, err := os.ReadFile(f)
		if err != nil {
			a.t.Fatal(err)
		}
		fmt.Fprintf(&index, "%sFilename: ./%s\nSize: %d\nSHA256: %x\n\n", control, filepath.Base(f), len(b), sha256.Sum256(b))
	}
	release := fmt.Sprintf("Origin: test\nLabel: test\nSuite: test\nDate: %s\n", time.Now().UTC().Add(-time.Hour).Format(time.RFC1123))
	if !a.validUntil.IsZero() {
		release += "Valid-Until: " + a.validUntil.UTC().Format(time.RFC1123) + "\n"
	}
	release += fmt.Sprintf("SHA256:\n %x %d Packages\n", sha256.Sum256([]byte(index.String())), index.Len())
	release = strings.ReplaceAll(release, "UTC", "+0000")
	var signed bytes.Buffer
	w, err := clearsign.Encode(&signed, a.signer.PrivateKey, &packet.Config{DefaultHash: crypto.SHA256})
	if err != nil {
		a.t.Fatal(err)
	}
	fmt.Fprint(w, release)
	w.Close()
	a.published++
	stamp := time.Now().Add(time.Duration(a.published) * 10 * time.Second) // apt asks only for what is newer
	for name, content := range map[string]string{"Packages": index.String(), "InRelease": signed.String()} {
		file := filepath.Join(a.dir, name)
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			a.t.Fatal(err)
		}
		if err := os.Chtimes(file, stamp, stamp); err != nil {
			a.t.Fatal(err)
		}
	}
}

// newAptStage is a sandbox that knows no repository yet, and an archive.
func newAptStage(t *testing.T) (*stage, *archive) {
	t.Helper()
	s, a := newSandbox(t), newArchive(t)
	s.run(`run("rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/apt/preferences.d/* /var/lib/apt/lists/* /var/lib/apt/periodic/*stamp")`).ok()
	// images of containers may turn these checks off
	s.run(`file.put("/etc/apt/apt.conf.d/zz-test", content = 'Acquire::Check-Valid-Until "true";\nAcquire::Check-Date "true";\n')`).ok()
	s.write("key.asc", a.key)
	return s, a
}

// repo is the part of a bundle that makes the archive known.
func (a *archive) repo() string {
	return fmt.Sprintf("apt.key(\"test\", src = \"key.asc\", fingerprint = %q)\napt.repo(\"test\", uris = %q, suites = \"./\", signed_by = \"test\")\n", a.fingerprint, a.url)
}

func (s *stage) named(t *testing.T) *stage {
	c := *s
	c.t = t
	return &c
}
