//go:build unix

package journal

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"fabgo/transport"
)

// TestPermissions: whatever the umask, the owner can read the journal and nobody else can.
func TestPermissions(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o077, 0o377, 0o777} {
		top := filepath.Join(t.TempDir(), "state", "fabgo")
		old := syscall.Umask(mask)
		err := func() error {
			defer syscall.Umask(old)
			run, err := Store{filepath.Join(top, "runs")}.NewRun(noon)
			if err != nil {
				return err
			}
			w, err := run.Writer("web1")
			if err != nil {
				return err
			}
			defer w.Close()
			if err := w.Record(Record{Body: Note{Text: "x"}}); err != nil {
				return err
			}
			if err := run.Save("closure.json", []byte("{}")); err != nil {
				return err
			}
			return w.Keep(transport.String("x"))
		}()
		if err != nil {
			t.Errorf("umask %04o: %v", mask, err)
			continue
		}
		files := 0
		err = filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			st, err := os.Stat(p)
			if err != nil {
				return err
			}
			want := fs.FileMode(0o600)
			if d.IsDir() {
				want = 0o700
			} else {
				files++
			}
			if st.Mode().Perm() != want {
				t.Errorf("umask %04o: %s is %04o, want %04o", mask, p, st.Mode().Perm(), want)
			}
			return nil
		})
		if err != nil || files != 3 {
			t.Errorf("umask %04o: %d files, %v", mask, files, err)
		}
	}
}
