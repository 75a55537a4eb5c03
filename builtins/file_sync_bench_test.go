package builtins

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.starlark.net/starlark"

	"fabgo/internal/controller"
	"fabgo/transport/local"
)

// BenchmarkSyncUnchanged is file.sync of 5,000 files that are as they are to be: well under a second on a machine that has nothing else to do.
func BenchmarkSyncUnchanged(b *testing.B) {
	src, dest := b.TempDir(), b.TempDir()
	for i := range 5000 {
		for _, dir := range []string{src + "/many", dest} {
			p := fmt.Sprintf("%s/%02d/%d", dir, i%50, i)
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(p, fmt.Appendf(nil, "file %d\n", i), 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
	h, err := local.New(local.Options{})
	if err != nil {
		b.Fatal(err)
	}
	host := (&controller.Controller{Root: src}).Over(h)
	for b.Loop() {
		v, err := callFile(host, "sync", map[string]starlark.Value{"src": str("many"), "dest": str(dest)})
		if err != nil || v.Truth() {
			b.Fatalf("%v, %v", v, err)
		}
	}
}
