package journal

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
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
	"time"

	"fabgo/transport"
)

// KeepLimit is the size up to which the bytes of contents are kept beside the records: 16 MiB. Larger ones are named only.
const KeepLimit = 16 << 20

// Store is the folder of all runs, readable by its owner only. Each run is a folder named after it, with one file of records per host and the
// contents that they name in blobs/.
type Store struct{ Dir string }

// Run is one run in a store.
type Run struct {
	ID  string
	dir string
	mu  sync.Mutex // serialises Keep between the sessions of the run
}

// NewRun makes the folder of a new run. Its ID is the time in UTC, with the milliseconds and a few random digits behind the dash, so
// that IDs sort by age, also of runs that began in the same second.
func (s Store) NewRun(now time.Time) (*Run, error) {
	var b [3]byte
	rand.Read(b[:])
	return s.Make(fmt.Sprintf("%s-%03d%s", now.UTC().Format(idTime), now.Nanosecond()/1e6, hex.EncodeToString(b[:])))
}

// Make makes the folder of a run that has its ID already: the copy of a run that another machine keeps too.
func (s Store) Make(id string) (*Run, error) {
	if !isID(id) || filepath.Base(id) != id {
		return nil, fmt.Errorf("make journal: %q is no ID of a run", id)
	}
	r := &Run{ID: id, dir: filepath.Join(s.Dir, id)}
	if err := makeDir(filepath.Join(r.dir, "blobs")); err != nil {
		return nil, fmt.Errorf("make journal: %w", err)
	}
	return r, nil
}

// Prune removes all but the latest runs.
func (s Store) Prune(keep int) error {
	runs, err := s.Runs()
	if err != nil {
		return err
	}
	for _, r := range runs[min(keep, len(runs)):] {
		err = errors.Join(err, os.RemoveAll(r.dir))
	}
	return err
}

const idTime = "20060102T150405Z"

func isID(name string) bool {
	at, _, ok := strings.Cut(name, "-")
	_, err := time.Parse(idTime, at)
	return ok && err == nil
}

// makeDir makes a folder and the missing ones above it, 0700 whatever the umask.
func makeDir(dir string) error {
	if st, err := os.Stat(dir); err == nil && st.IsDir() {
		return nil
	}
	if up := filepath.Dir(dir); up != dir {
		if err := makeDir(up); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		if st, serr := os.Stat(dir); serr == nil && st.IsDir() { // another run was faster
			return nil
		}
		return err
	}
	return os.Chmod(dir, 0o700)
}

// create makes a file, 0600 whatever the umask.
func create(name string, flag int) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|flag, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(0o600); err != nil && runtime.GOOS != "windows" { // which has no modes
		f.Close()
		return nil, err
	}
	return f, nil
}

// Runs lists the runs by age, the latest first.
func (s Store) Runs() ([]*Run, error) {
	es, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var out []*Run
	for _, e := range slices.Backward(es) {
		if e.IsDir() && isID(e.Name()) {
			out = append(out, &Run{ID: e.Name(), dir: filepath.Join(s.Dir, e.Name())})
		}
	}
	return out, nil
}

// Find gives the run of an ID, of an unambiguous beginning or end of one, or the latest for "last".
func (s Store) Find(id string) (*Run, error) {
	runs, err := s.Runs()
	if err != nil {
		return nil, err
	}
	if len(runs) == 0 {
		return nil, fmt.Errorf("no run is recorded in %s", s.Dir)
	}
	if id == "last" {
		return runs[0], nil
	}
	var hits []*Run
	for _, r := range runs {
		if r.ID == id {
			return r, nil
		}
		if id != "" && (strings.HasPrefix(r.ID, id) || strings.HasSuffix(r.ID, id)) {
			hits = append(hits, r)
		}
	}
	switch len(hits) {
	case 1:
		return hits[0], nil
	case 0:
		return nil, fmt.Errorf("no run %q in %s: `fabgo runs` lists them", id, s.Dir)
	}
	return nil, fmt.Errorf("%q is the beginning or the end of %d runs: give more of it", id, len(hits))
}

// Dir is the folder of the run.
func (r *Run) Dir() string { return r.dir }

// Hosts lists the hosts of the run by name.
func (r *Run) Hosts() ([]string, error) {
	es, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, fmt.Errorf("list hosts of run %s: %w", r.ID, err)
	}
	var out []string
	for _, e := range es {
		base, ok := strings.CutSuffix(e.Name(), ".jsonl")
		if !ok || e.IsDir() {
			continue
		}
		name, err := decodeName(base)
		if err != nil {
			return nil, err
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return out, nil
}

// Writer opens the journal of a host in this run, as a Sink. It must be closed.
func (r *Run) Writer(host string) (*Writer, error) {
	f, err := create(r.file(host), os.O_EXCL|os.O_APPEND)
	if err != nil {
		return nil, fmt.Errorf("make journal: %w", err)
	}
	return &Writer{run: r, f: f, b: bufio.NewWriter(f)}, nil
}

// Appender opens the journal of a host in this run to go on with it.
func (r *Run) Appender(host string) (*Writer, error) {
	f, err := create(r.file(host), os.O_APPEND)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return &Writer{run: r, f: f, b: bufio.NewWriter(f)}, nil
}

// Contents are the contents that the run has kept.
func (r *Run) Contents() ([]transport.Content, error) {
	es, err := os.ReadDir(filepath.Join(r.dir, "blobs"))
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	var out []transport.Content
	for _, e := range es {
		info, err := e.Info()
		if err != nil || len(e.Name()) != 64 { // half a content is none
			continue
		}
		out = append(out, r.Blob(transport.Content{Digest: transport.Digest("sha256:" + e.Name()), Size: info.Size()}))
	}
	return out, nil
}

// Remove takes away a file that Save kept.
func (r *Run) Remove(name string) error { return os.Remove(filepath.Join(r.dir, name)) }

// Rewriter opens the journal of a host in this run anew: what is there is replaced by what comes, which begins with the first record again.
func (r *Run) Rewriter(host string) (*Writer, error) {
	f, err := create(r.file(host), os.O_TRUNC|os.O_APPEND)
	if err != nil {
		return nil, fmt.Errorf("make journal: %w", err)
	}
	return &Writer{run: r, f: f, b: bufio.NewWriter(f)}, nil
}

// Read gives the records of a host, in order. A last line that a crash cut short is left out.
func (r *Run) Read(host string) ([]Record, error) {
	f, err := os.Open(r.file(host))
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	defer f.Close()
	var out []Record
	br := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := br.ReadBytes('\n')
		if err == io.EOF {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("read journal: %w", err)
		}
		if n == 1 {
			if err := compatible(line); err != nil {
				return nil, fmt.Errorf("read journal %s: %w", f.Name(), err)
			}
		}
		var rec Record
		if err := json.Unmarshal(line, &rec); err != nil {
			return nil, fmt.Errorf("read journal %s:%d: %w", f.Name(), n, err)
		}
		out = append(out, rec)
	}
}

// compatible refuses the journal of a newer schema by its first line, before anything in it is misunderstood.
func compatible(first []byte) error {
	var s struct {
		Type, Fabgo string
		Schema      int
	}
	if err := json.Unmarshal(first, &s); err != nil {
		return err
	}
	if s.Type == "start" && s.Schema > Schema {
		return fmt.Errorf("its schema is %d, this fabgo reads up to %d: use the fabgo that wrote it (%s)", s.Schema, Schema, s.Fabgo)
	}
	return nil
}

// Save keeps a file of the run as a whole, such as the bundle's closure.
func (r *Run) Save(name string, b []byte) error {
	f, err := create(filepath.Join(r.dir, name), os.O_TRUNC)
	if err == nil {
		_, err = f.Write(b)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWrite, err)
	}
	return nil
}

// Load reads what Save kept.
func (r *Run) Load(name string) ([]byte, error) { return os.ReadFile(filepath.Join(r.dir, name)) }

// Blob gives the bytes to a content that was kept; one that was not stays known by name.
func (r *Run) Blob(c transport.Content) transport.Content {
	name := r.blob(c.Digest)
	if _, err := os.Stat(name); err != nil {
		return c
	}
	return transport.Source(c.Digest, c.Size, func() (io.ReadCloser, error) { return os.Open(name) })
}

func (r *Run) file(host string) string { return filepath.Join(r.dir, encodeName(host)+".jsonl") }

func (r *Run) blob(d transport.Digest) string {
	return filepath.Join(r.dir, "blobs", strings.TrimPrefix(string(d), "sha256:"))
}

// Writer is the journal of one session on disk.
type Writer struct {
	run *Run
	f   *os.File
	b   *bufio.Writer
}

// Record appends a line. Intents reach the operating system at once, so that they survive the death of this process; other
// records do with the next of them, at the end of each step or with Sync.
func (w *Writer) Record(rec Record) error {
	line, err := rec.MarshalJSON() // not compact, which would go through what that made once more
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWrite, err)
	}
	return w.Line(rec.Body.Type(), line)
}

// Line implements LineSink.
func (w *Writer) Line(typ string, line []byte) error {
	w.b.Write(line)
	w.b.WriteByte('\n')
	switch typ {
	case Outcome{}.Type(), Begin{}.Type():
		return nil
	}
	if err := w.b.Flush(); err != nil {
		return fmt.Errorf("%w: %w", ErrWrite, err)
	}
	return nil
}

// Keep stores a content of up to KeepLimit bytes in the run's blobs.
func (w *Writer) Keep(c transport.Content) error {
	if !c.Known() || c.Size > KeepLimit {
		return nil
	}
	w.run.mu.Lock()
	defer w.run.mu.Unlock()
	name := w.run.blob(c.Digest)
	if _, err := os.Stat(name); err == nil {
		return nil
	}
	r, err := c.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := create(name+".part", os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err := errors.Join(err, f.Close()); err != nil {
		os.Remove(name + ".part")
		return err
	}
	return os.Rename(name+".part", name)
}

// Sync flushes and fsyncs.
func (w *Writer) Sync() error {
	if err := w.b.Flush(); err != nil {
		return err
	}
	return w.f.Sync()
}

// Close flushes and closes.
func (w *Writer) Close() error { return errors.Join(w.b.Flush(), w.f.Close()) }

// encodeName makes a file name of a host's name: bytes other than letters, digits and @._- are written %XX.
func encodeName(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '@', c == '_', c == '-', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func decodeName(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("journal file name %q is damaged", s)
		}
		c, err := hex.DecodeString(s[i+1 : i+3])
		if err != nil {
			return "", fmt.Errorf("journal file name %q is damaged", s)
		}
		b.Write(c)
		i += 2
	}
	return b.String(), nil
}
