package beside

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Binaries are the helpers that this controller has: itself for hosts of its own platform, others from the folders.
type Binaries struct {
	// Self is the file of this program.
	Self string
	// Dirs are searched for fabgo-OS-ARCH.
	Dirs []string
	// Cache is a folder for what was compressed, which takes half a second of a processor; "" for none.
	Cache string

	mu    sync.Mutex
	found map[string]*binary
}

// binary is a helper for one platform.
type binary struct {
	file   string
	digest string // sha256 in hexadecimal
	size   int64
	cache  string // the folder

	once   sync.Once
	packed []byte
	err    error
}

// platform is what a host says of itself, in Go's words.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "/" + p.arch }

// platformOf translates uname -s and uname -m.
func platformOf(system, machine string) platform {
	p := platform{strings.ToLower(system), machine}
	switch {
	case machine == "x86_64":
		p.arch = "amd64"
	case machine == "aarch64":
		p.arch = "arm64"
	case strings.HasPrefix(machine, "armv"):
		p.arch = "arm"
	case len(machine) == 4 && machine[0] == 'i' && strings.HasSuffix(machine, "86"):
		p.arch = "386"
	}
	return p
}

// machines are the architectures as ELF files name them.
var machines = map[string]elf.Machine{
	"amd64": elf.EM_X86_64, "386": elf.EM_386, "arm64": elf.EM_AARCH64, "arm": elf.EM_ARM, "riscv64": elf.EM_RISCV, "s390x": elf.EM_S390, "ppc64le": elf.EM_PPC64,
}

// matches checks that a program is for the platform. One that is not must never get to a host: what the kernel there does not take for a
// program, a shell takes for a script.
func (p platform) matches(file string) error {
	want, known := machines[p.arch]
	if p.os == "darwin" || !known {
		return nil
	}
	f, err := elf.Open(file)
	if err != nil {
		return fmt.Errorf("%s is no program for %s: %w", file, p, err)
	}
	defer f.Close()
	if f.Machine != want {
		return fmt.Errorf("%s is no program for %s: it is for %s", file, p, f.Machine)
	}
	return nil
}

// Prepare reads the helper for hosts like this machine, so that it is there when the first of them is reached: its digest takes longer than
// most else that is done here, and there is time while a server makes up its mind. What is wrong with it shows where it is wanted.
func (b *Binaries) Prepare() { _, _ = b.own() }

// own is the helper for hosts like this machine.
func (b *Binaries) own() (*binary, error) {
	return b.get(platform{runtime.GOOS, runtime.GOARCH})
}

// get finds the helper for a platform.
func (b *Binaries) get(p platform) (*binary, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if x := b.found[p.String()]; x != nil {
		return x, nil
	}
	var files []string
	if p == (platform{runtime.GOOS, runtime.GOARCH}) {
		files = append(files, b.Self)
	}
	for _, d := range b.Dirs {
		files = append(files, filepath.Join(d, "fabgo-"+p.os+"-"+p.arch))
	}
	for _, f := range files {
		x, err := read(f, b.Cache)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && f != b.Self {
			err = p.matches(f)
		}
		if err != nil {
			return nil, fmt.Errorf("read the helper: %w", err)
		}
		if b.found == nil {
			b.found = map[string]*binary{}
		}
		b.found[p.String()] = x
		return x, nil
	}
	return nil, fmt.Errorf("there is no helper for %s here: no fabgo-%s-%s in %s (make release builds it)", p, p.os, p.arch, strings.Join(b.Dirs, ", "))
}

func read(file, cache string) (*binary, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if digest, ok := remembered(cache, file, st); ok {
		return &binary{file: file, digest: digest, size: st.Size(), cache: cache}, nil
	}
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return nil, err
	}
	x := &binary{file: file, digest: hex.EncodeToString(h.Sum(nil)), size: n, cache: cache}
	if n == st.Size() {
		remember(cache, file, st, x.digest)
	}
	return x, nil
}

// name is that of its file on hosts.
func (b *binary) name() string { return "fabgo-" + b.digest[:32] }

// pack compresses it, once for all hosts.
func (b *binary) pack() ([]byte, error) {
	b.once.Do(func() {
		if b.packed = b.cached(); b.packed != nil {
			return
		}
		if b.packed, b.err = b.compress(); b.err == nil {
			b.keep()
		}
	})
	return b.packed, b.err
}

func (b *binary) compress() ([]byte, error) {
	f, err := os.Open(b.file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, h), f); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if hex.EncodeToString(h.Sum(nil)) != b.digest {
		os.Remove(memo(b.cache, b.file)) // it remembers what is not so; there may be none
		return nil, fmt.Errorf("%s changed while it was read", b.file)
	}
	return out.Bytes(), nil
}

// In the cache a helper is named after its digest; the file begins with the digest of what follows, so that a damaged one is none.

func (b *binary) packedFile() string { return filepath.Join(b.cache, b.name()+".gz") }

func (b *binary) cached() []byte {
	if b.cache == "" {
		return nil
	}
	all, err := os.ReadFile(b.packedFile())
	if err != nil || len(all) <= sha256.Size {
		return nil
	}
	packed := all[sha256.Size:]
	if sha256.Sum256(packed) != [sha256.Size]byte(all) {
		return nil
	}
	return packed
}

// keptPacked is how many compressed helpers the cache holds: the platforms of one version, or so.
const keptPacked = 8

// keep puts it into the cache. A cache that cannot be written is none.
func (b *binary) keep() {
	if b.cache == "" || os.MkdirAll(b.cache, 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(b.cache, ".part-")
	if err != nil {
		return
	}
	sum := sha256.Sum256(b.packed)
	_, err = f.Write(sum[:])
	if err == nil {
		_, err = f.Write(b.packed)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), b.packedFile())
	}
	if err != nil {
		os.Remove(f.Name())
		return
	}
	b.sweep()
}

// sweep removes the oldest from the cache.
func (b *binary) sweep() {
	es, err := os.ReadDir(b.cache)
	if err != nil {
		return
	}
	var all []fs.FileInfo
	for _, e := range es {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), ".gz") {
			all = append(all, info)
		}
	}
	slices.SortFunc(all, func(x, y fs.FileInfo) int { return y.ModTime().Compare(x.ModTime()) })
	for _, old := range all[min(keptPacked, len(all)):] {
		os.Remove(filepath.Join(b.cache, old.Name()))
	}
}
