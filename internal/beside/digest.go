package beside

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// read finds the digest of a helper's file: the one that was kept for it, while the file is what it was, since reading it all takes longer
// than evaluating a hundred resources.
func (b *Binaries) read(file string) (*binary, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	x := &binary{file: file, size: info.Size(), cache: b.Cache}
	mark, settled := stamp(info, time.Now())
	if settled && b.Cache != "" {
		if x.digest = x.keptDigest(mark); x.digest != "" {
			return x, nil
		}
	}
	h := sha256.New()
	if x.size, err = io.Copy(h, f); err != nil {
		return nil, err
	}
	x.digest = hex.EncodeToString(h.Sum(nil))
	if settled && b.Cache != "" {
		replace(x.digestFile(), []byte(mark+"\n"+x.digest+"\n"))
	}
	return x, nil
}

// digestFile is where the cache has the digest: a line with the stamp of the file, one with the digest.
func (b *binary) digestFile() string {
	sum := sha256.Sum256([]byte(b.file))
	return filepath.Join(b.cache, hex.EncodeToString(sum[:16])+".digest")
}

func (b *binary) keptDigest(mark string) string {
	all, err := os.ReadFile(b.digestFile())
	if err != nil {
		return ""
	}
	digest, ok := strings.CutPrefix(string(all), mark+"\n")
	digest, whole := strings.CutSuffix(digest, "\n")
	if raw, err := hex.DecodeString(digest); !ok || !whole || err != nil || len(raw) != sha256.Size {
		return ""
	}
	return digest
}

// forgetDigest drops one that is not that of the file, so that the next run reads it.
func (b *binary) forgetDigest() {
	if b.cache != "" {
		os.Remove(b.digestFile())
	}
}
