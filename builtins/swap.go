package builtins

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

func swapNatives() starlark.StringDict {
	return merge(native("swap.file", swapFile), native("swap.absent", swapAbsent))
}

const (
	mebibyte      = 1 << 20
	swapSignature = "SWAPSPACE2"
	swapHint      = "only root may; a container shares the kernel with others and may not: make it on the host. On btrfs a swap file has to lie in a folder with `chattr +C`"
)

// sizeOf reads a size: bytes, or a text with K, M, G or T, powers of 1024 each.
func sizeOf(v starlark.Value) (int64, error) {
	const want = "bytes, or a text such as \"512M\" or \"2G\""
	switch v := v.(type) {
	case starlark.Int:
		if n, ok := v.Int64(); ok {
			return n, nil
		}
	case starlark.String:
		digits := strings.TrimRight(string(v), "KMGTiB")
		shift, ok := map[string]int{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[strings.TrimSuffix(strings.TrimSuffix(string(v)[len(digits):], "B"), "i")]
		if n, err := strconv.ParseInt(digits, 10, 64); err == nil && ok && n >= 0 && n < 1<<(62-shift) {
			return n << shift, nil
		}
	}
	return 0, mismatch(v, want)
}

type swapArgs struct {
	common
	Path     transport.Path `arg:"path"`
	Size     starlark.Value `arg:"size"`
	Priority *int           `arg:"priority"`
	Persist  bool           `arg:"persist"`
}

func swapFile(c *call, a swapArgs) (starlark.Value, error) {
	size, err := sizeOf(a.Size)
	switch {
	case err != nil:
		err = fmt.Errorf("size: %w", err)
	case size < mebibyte || size%mebibyte != 0 || size > 1<<45:
		err = fmt.Errorf("size: %d bytes are not a whole number of MiB, one at the least", size)
	case a.Priority != nil && (*a.Priority < 0 || *a.Priority > 32767):
		err = fmt.Errorf("priority: got %d, want 0 to 32767", *a.Priority)
	default:
		err = checkMountPath(a.Path)
	}
	if err != nil {
		return nil, fmt.Errorf("swap.file: %w", err)
	}
	return c.converge(&swap{path: a.Path, size: size, priority: a.Priority, persist: a.Persist})
}

// swap is a file that the kernel swaps to.
type swap struct {
	path     transport.Path
	size     int64
	priority *int
	persist  bool
}

func (r *swap) Name() string { return "swap:" + string(r.path) }

func (r *swap) key() converge.Key { return converge.Key{Table: "swap", Name: string(r.path)} }

func (r *swap) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	if err := r.ours(ctx, h); err != nil {
		return nil, err
	}
	f := map[string]transport.Text{"size": transport.Text(strconv.FormatInt(r.size/mebibyte, 10) + " MiB"), "active": "yes"}
	options := "sw"
	if r.priority != nil {
		f["priority"] = transport.Text(strconv.Itoa(*r.priority))
		options += ",pri=" + strconv.Itoa(*r.priority)
	}
	want := []converge.Object{
		{Key: converge.FileKey(r.path), File: &converge.File{Type: transport.Regular, Mode: "0600", Owner: "root", Group: "root", Brought: true}},
		{Key: r.key(), Fields: f},
	}
	if !r.persist {
		return want, nil
	}
	line := fstabLine{source: string(r.path), dir: "none", fstype: "swap", options: options}
	o, _, err := changedFstab(ctx, h, &line, r.inFstab)
	return append(want, o), err
}

func (r *swap) inFstab(e fstabLine) bool { return e.source == string(r.path) && e.fstype == "swap" }

// ours refuses to overwrite or remove a file that is no swap file. One that is not finished holds nothing but zeros.
func (r *swap) ours(ctx context.Context, h transport.Host) error {
	fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: r.path})
	if converge.CauseOf(err) != nil || err == nil && (fi.Type != transport.Regular || fi.Size == 0) {
		return nil // what is no file is refused where it matters
	}
	if err != nil {
		return err
	}
	signed, err := r.signed(ctx, h)
	blank := true
	// Where file systems and partition tables have their first words.
	for _, at := range []int64{0, 1 << 10, 32 << 10, 64 << 10} {
		if signed || err != nil || !blank || at >= fi.Size {
			break
		}
		var b string
		b, err = r.peek(ctx, h, at, 128)
		blank = strings.Trim(b, "\x00") == ""
	}
	switch {
	case converge.CauseOf(err) != nil: // a file of an earlier step of the plan
		return nil
	case err != nil:
		return err
	case signed || blank:
		return nil
	}
	return &transport.Error{Kind: transport.Refused, Path: r.path, Message: fmt.Sprintf("swap to %s: there is a file in its place that is no swap file", r.path),
		Hint: fmt.Sprintf("take another name, or take it away before: file.absent(%q)", string(r.path))}
}

// peek reads a few bytes, no more: what was swapped out is nobody's business, and not the journal's.
func (r *swap) peek(ctx context.Context, h transport.Host, at, n int64) (string, error) {
	d, err := transport.Do[transport.Data](ctx, h, transport.Read{Path: r.path, Offset: at, Limit: n})
	if err != nil {
		return "", err
	}
	b, err := d.Content.ReadAll(n)
	return string(b), err
}

// signed reports whether mkswap was here: its mark stands at the end of the first page, of 4, 16 or 64 KiB.
func (r *swap) signed(ctx context.Context, h transport.Host) (bool, error) {
	for _, page := range []int64{4 << 10, 16 << 10, 64 << 10} {
		if mark, err := r.peek(ctx, h, page-int64(len(swapSignature)), int64(len(swapSignature))); err != nil || mark == swapSignature {
			return err == nil, err
		}
	}
	return false, nil
}

// Probe finds the row of the swap file in what the kernel shows.
func (r *swap) Probe(ctx context.Context, h transport.Host, want []converge.Object) ([]converge.Object, error) {
	have := make([]converge.Object, len(want))
	for i, w := range want {
		if w.Key == r.key() {
			o, err := r.row(ctx, h)
			if err != nil {
				return nil, err
			}
			have[i] = o
			continue
		}
		found, err := converge.Find(ctx, h, want[i:i+1])
		if err != nil {
			return nil, err
		}
		have[i] = found[0]
	}
	return have, nil
}

func (r *swap) row(ctx context.Context, h transport.Host) (converge.Object, error) {
	o := converge.Object{Key: r.key()}
	fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: r.path})
	if cause := converge.CauseOf(err); cause != nil {
		o.Cause = cause
		return o, nil
	}
	if err != nil {
		return o, err
	}
	active, priority, err := activeSwap(ctx, h, r.path)
	if err != nil {
		return o, err
	}
	if fi.Type == transport.Absent && !active {
		o.Absent = true
		return o, nil
	}
	size := strconv.FormatInt(fi.Size/mebibyte, 10) + " MiB"
	if fi.Size%mebibyte != 0 {
		size = strconv.FormatInt(fi.Size, 10) + " bytes"
	}
	o.Fields = map[string]transport.Text{"size": transport.Text(size), "active": "no"}
	if active {
		o.Fields["active"], o.Fields["priority"] = "yes", transport.Text(priority)
	}
	return o, nil
}

// activeSwap reads /proc/swaps, where a path is written as in fstab.
func activeSwap(ctx context.Context, h transport.Host, p transport.Path) (active bool, priority string, err error) {
	d, err := transport.Do[transport.Data](ctx, h, transport.Read{Path: "/proc/swaps"})
	if transport.KindOf(err) == transport.NotFound {
		return false, "", nil // a kernel without swap
	}
	if err != nil {
		return false, "", err
	}
	b, err := d.Content.ReadAll(transport.ReadLimit)
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 5 && unescapeFstab(f[0]) == string(p) {
			return true, f[4], err
		}
	}
	return false, "", err
}

func (r *swap) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	now, err := r.row(ctx, h)
	if err != nil {
		return err
	}
	active := now.Fields["active"] == "yes"
	for _, p := range delta {
		switch {
		case p.Want.Key == r.key():
			if active {
				if err := swapOff(ctx, h, r.path); err != nil {
					return err
				}
				active = false
			}
			if now.Fields["size"] != p.Want.Fields["size"] {
				if err := r.fill(ctx, h); err != nil {
					return err
				}
			}
			if err := r.activate(ctx, h); err != nil {
				return err
			}
		case p.Want.Key == converge.FileKey(fstabFile):
			if err := converge.ApplyFile(ctx, h, p, converge.FileOptions{}); err != nil {
				return err
			}
			if err := reloadMounts(ctx, h); err != nil {
				return err
			}
		case p.Have.File != nil: // a new one gets its attributes before its first byte
			if err := converge.ApplyFile(ctx, h, p, converge.FileOptions{}); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill makes the file anew. It is written in full: the kernel takes none with holes. What could not be is removed again.
func (r *swap) fill(ctx context.Context, h transport.Host) error {
	if _, err := transport.Do[transport.Done](ctx, h, transport.Remove{Path: r.path}); err != nil && transport.KindOf(err) != transport.NotFound {
		return err
	}
	if _, err := transport.Do[transport.Written](ctx, h, transport.Write{Path: r.path, Content: transport.String(""), Mode: "0600", Owner: "root", Group: "root"}); err != nil {
		return err
	}
	err := change(ctx, h, "is there room for it? df shows that", nil,
		"dd", "if=/dev/zero", "of="+string(r.path), "bs=1048576", "count="+strconv.FormatInt(r.size/mebibyte, 10), "conv=notrunc,fsync")
	if err != nil {
		_, _ = transport.Do[transport.Done](ctx, h, transport.Remove{Path: r.path})
	}
	return err
}

func (r *swap) activate(ctx context.Context, h transport.Host) error {
	signed, err := r.signed(ctx, h)
	if err != nil {
		return err
	}
	if !signed {
		if err := change(ctx, h, swapHint, nil, "mkswap", string(r.path)); err != nil {
			return err
		}
	}
	argv := []string{"swapon"}
	if r.priority != nil {
		argv = append(argv, "--priority", strconv.Itoa(*r.priority))
	}
	return change(ctx, h, swapHint, nil, append(argv, string(r.path))...)
}

func swapOff(ctx context.Context, h transport.Host, p transport.Path) error {
	return change(ctx, h, "what is in it has to go back into memory, and may not fit there", nil, "swapoff", string(p))
}

func swapAbsent(c *call, a struct {
	common
	Path transport.Path `arg:"path"`
}) (starlark.Value, error) {
	if err := checkMountPath(a.Path); err != nil {
		return nil, fmt.Errorf("swap.absent: %w", err)
	}
	return c.converge(&swapGone{swap{path: a.Path}})
}

// swapGone is a swap file that is not to be there.
type swapGone struct{ swap }

func (r *swapGone) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	if err := r.ours(ctx, h); err != nil {
		return nil, err
	}
	o, _, err := changedFstab(ctx, h, nil, r.inFstab)
	return []converge.Object{{Key: r.key(), Absent: true}, {Key: converge.FileKey(r.path), Absent: true}, o}, err
}

func (r *swapGone) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	active, _, err := activeSwap(ctx, h, r.path)
	if err != nil {
		return err
	}
	if active {
		if err := swapOff(ctx, h, r.path); err != nil {
			return err
		}
	}
	for _, p := range delta {
		if p.Want.Key == r.key() {
			continue
		}
		if err := converge.ApplyFile(ctx, h, p, converge.FileOptions{}); err != nil {
			return err
		}
		if p.Want.Key == converge.FileKey(fstabFile) {
			if err := reloadMounts(ctx, h); err != nil {
				return err
			}
		}
	}
	return nil
}
