package beside

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	encoding "encoding/binary"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestPlatforms(t *testing.T) {
	for _, c := range []struct{ system, machine, want string }{
		{"Linux", "x86_64", "linux/amd64"},
		{"Linux", "aarch64", "linux/arm64"},
		{"Linux", "armv7l", "linux/arm"},
		{"Linux", "armv6l", "linux/arm"},
		{"Linux", "i686", "linux/386"},
		{"Linux", "i586", "linux/386"},
		{"Linux", "riscv64", "linux/riscv64"},
		{"FreeBSD", "amd64", "freebsd/amd64"},
		{"Darwin", "arm64", "darwin/arm64"},
		{"SunOS", "i86pc", "sunos/i86pc"},
	} {
		if got := platformOf(c.system, c.machine).String(); got != c.want {
			t.Errorf("uname says %s %s: %s, want %s", c.system, c.machine, got, c.want)
		}
	}
}

// program is what looks like a program for a machine: the head of an ELF file, and a text.
func program(t *testing.T, machine elf.Machine, text string) string {
	t.Helper()
	var b bytes.Buffer
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Ehsize: 64, Phentsize: 56, Shentsize: 64}
	copy(h.Ident[:], elf.ELFMAG+string([]byte{byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)}))
	if err := encoding.Write(&b, encoding.LittleEndian, h); err != nil {
		t.Fatal(err)
	}
	return b.String() + text
}

func TestBinariesFindHelpers(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return p
	}
	self := put("dist/fabgo-"+runtime.GOOS+"-"+runtime.GOARCH, "this program")
	own := "fabgo-" + runtime.GOOS + "-" + runtime.GOARCH
	put("dist/helpers/"+own, "another build")
	released, there := program(t, elf.EM_X86_64, "as make release leaves it"), program(t, elf.EM_RISCV, "only there")
	put("dist/helpers/fabgo-freebsd-amd64", released)
	put("data/fabgo-freebsd-amd64", program(t, elf.EM_X86_64, "what was put there once"))
	put("data/fabgo-linux-riscv64", there)
	b := &Binaries{Self: self, Dirs: []string{filepath.Join(dir, "dist"), filepath.Join(dir, "dist/helpers"), filepath.Join(dir, "data")}}

	content := func(os, arch string) string {
		t.Helper()
		x, err := b.get(platform{os, arch})
		if err != nil {
			t.Fatal(err)
		}
		packed, err := x.pack()
		if err != nil {
			t.Fatal(err)
		}
		r, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil || int64(len(text)) != x.size {
			t.Fatalf("%d bytes of %d: %v", len(text), x.size, err)
		}
		return string(text)
	}
	for _, c := range []struct{ os, arch, want string }{
		{runtime.GOOS, runtime.GOARCH, "this program"},
		{"freebsd", "amd64", released},
		{"linux", "riscv64", there},
	} {
		if got := content(c.os, c.arch); got != c.want {
			t.Errorf("%s/%s: %q, want %q", c.os, c.arch, got, c.want)
		}
	}
	_, err := b.get(platform{"linux", "s390x"})
	if err == nil || !strings.Contains(err.Error(), "there is no helper for linux/s390x here") || !strings.Contains(err.Error(), "dist/helpers") {
		t.Errorf("%v: want it to say for what, and where it looked", err)
	}
}

func TestBinariesSeeAChange(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fabgo")
	if err := os.WriteFile(file, []byte("one"), 0o755); err != nil {
		t.Fatal(err)
	}
	b := &Binaries{Self: file}
	x, err := b.own()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("two"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := x.pack(); err == nil {
		t.Error("a helper that was exchanged since its digest was taken would go to a host")
	}
}
