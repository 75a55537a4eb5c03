package builtins

import (
	"context"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

func mountNatives() starlark.StringDict {
	return merge(native("mount.present", mountPresent), native("mount.absent", mountAbsent))
}

type mountArgs struct {
	common
	Path    transport.Path `arg:"path"`
	Src     string         `arg:"src"`
	FSType  string         `arg:"fstype"`
	Options []string       `arg:"options"`
	Dump    int            `arg:"dump"`
	Passno  int            `arg:"passno"`
	Mounted bool           `arg:"mounted"`
	Persist bool           `arg:"persist"`
}

func checkMountPath(p transport.Path) error {
	if err := oneLine("path", string(p)); err != nil {
		return err
	}
	if p == "" {
		return fmt.Errorf("path: it is empty")
	}
	return nil
}

func (a mountArgs) check() error {
	if err := checkMountPath(a.Path); err != nil {
		return err
	}
	for _, o := range a.Options {
		if o == "" || strings.ContainsAny(o, " \t\n\r\x00") {
			return fmt.Errorf("options: %q is no option of mount(8)", o)
		}
	}
	switch {
	case a.Src == "" || strings.HasPrefix(a.Src, "-") || oneLine("src", a.Src) != nil:
		return fmt.Errorf("src: %q is nothing that can be mounted: want a device, \"UUID=...\", \"LABEL=...\", \"server:/path\", a folder (with the option bind), or a word such as \"tmpfs\"", a.Src)
	case a.FSType == "" || strings.HasPrefix(a.FSType, "-") || strings.ContainsAny(a.FSType, " \t\n\r/\x00"):
		return fmt.Errorf("fstype: %q is no type of a file system such as \"ext4\", \"nfs\" or \"tmpfs\"; \"none\" with the option bind, \"auto\" to have it found out", a.FSType)
	case a.FSType == "swap":
		return fmt.Errorf("fstype: swap is not mounted: swap.file makes it")
	case a.Dump < 0 || a.Dump > 1:
		return fmt.Errorf("dump: got %d, want 0 or 1", a.Dump)
	case a.Passno < 0 || a.Passno > 9:
		return fmt.Errorf("passno: got %d, want 0 (never checked), 1 (the root) or 2 (others)", a.Passno)
	case !a.Mounted && !a.Persist:
		return fmt.Errorf("with mounted = False and persist = False there is nothing to do")
	}
	return nil
}

// options are those of a line of fstab.
func (a mountArgs) options() string {
	if len(a.Options) == 0 {
		return "defaults"
	}
	return strings.Join(a.Options, ",")
}

func mountPresent(c *call, a mountArgs) (starlark.Value, error) {
	var all []string
	for _, o := range a.Options { // one text may hold several
		all = append(all, splitOptions(o)...)
		if o == "" {
			all = append(all, o)
		}
	}
	a.Options = all
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("mount.present: %w", err)
	}
	return c.converge(&mount{args: a})
}

// mount is a mounted file system: its line in fstab, and whether and how it is mounted now.
type mount struct {
	args    mountArgs
	changed bool // the line has other options than before: some of them the kernel does not show
}

func (r *mount) Name() string { return "mount:" + string(r.args.Path) }

func (r *mount) Reach() []converge.Object {
	return []converge.Object{{Key: converge.FileKey(fstabFile), File: &converge.File{Type: transport.Regular, Follow: true}}, {Key: converge.FileKey(r.args.Path), File: &converge.File{Type: transport.Dir}}}
}

func (r *mount) key() converge.Key {
	return converge.Key{Table: transport.Mounts, Name: string(r.args.Path)}
}

func (r *mount) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	var want []converge.Object
	a := r.args
	if a.Mounted {
		live, there, err := r.live(ctx, h)
		if err != nil {
			return nil, err
		}
		if !there {
			if want, err = r.folder(ctx, h); err != nil {
				return nil, err
			}
		}
		want = append(want, live)
	}
	if !a.Persist {
		return want, nil
	}
	line := fstabLine{a.Src, string(a.Path), a.FSType, a.options(), a.Dump, a.Passno}
	o, old, err := changedFstab(ctx, h, &line, func(e fstabLine) bool { return e.dir == line.dir })
	r.changed = old != nil && old.options != line.options
	return append(want, o), err
}

// folder is the mount point where there is none yet, with the missing folders above it. One that is there stays as it is: it may be that of the
// file system.
func (r *mount) folder(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	p := r.args.Path
	fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: p})
	switch {
	case converge.CauseOf(err) != nil, err == nil && fi.Type == transport.Absent:
	case err != nil:
		return nil, err
	case fi.Type == transport.Symlink:
		return nil, &transport.Error{Kind: transport.Refused, Path: p, Message: fmt.Sprintf("mount %s: it is a symlink to %s", p, fi.Target), Hint: "name the folder that it points to"}
	default:
		return nil, nil // a file can be a mount point too
	}
	above, err := missingParents(ctx, h, p, "")
	return append(above, converge.Object{Key: converge.FileKey(p), File: &converge.File{Type: transport.Dir}}), err
}

// live is the mount as it is to be shown by the kernel; there says that something is mounted there now.
func (r *mount) live(ctx context.Context, h transport.Host) (o converge.Object, there bool, err error) {
	o = converge.Object{Key: r.key(), Fields: map[string]transport.Text{"flags": mountFlags(r.args.Options)}, As: "mounted"}
	have, there, err := row(ctx, h, transport.Mounts, string(r.args.Path))
	if err != nil && converge.CauseOf(err) == nil {
		return o, false, err
	}
	if !r.bind() { // of a bind mount the kernel shows the file system that the folder is on
		o.Fields["source"] = transport.Text(r.args.Src)
		if r.args.FSType != "auto" {
			o.Fields["fstype"] = transport.Text(r.args.FSType)
		}
	}
	if !there {
		return o, false, nil
	}
	if _, ok := o.Fields["fstype"]; ok && sameFSType(r.args.FSType, string(have["fstype"])) {
		o.Fields["fstype"] = have["fstype"]
	}
	if _, ok := o.Fields["source"]; ok {
		same, err := sameSource(ctx, h, r.args.Src, string(have["source"]))
		if err != nil {
			return o, true, err
		}
		if same {
			o.Fields["source"] = have["source"]
		}
	}
	return o, true, nil
}

func (r *mount) bind() bool {
	return containsString(r.args.Options, "bind") || containsString(r.args.Options, "rbind")
}

// Probe adds to what the table of mounts knows the flags among the options, the only ones that the kernel shows as they are given.
func (r *mount) Probe(ctx context.Context, h transport.Host, want []converge.Object) ([]converge.Object, error) {
	have, err := converge.Find(ctx, h, want)
	if err != nil {
		return nil, err
	}
	for i, w := range want {
		if w.Key != r.key() || have[i].Fields == nil {
			continue
		}
		f := map[string]transport.Text{"flags": mountFlags(split(have[i].Fields["options"]))}
		for k, v := range have[i].Fields {
			f[k] = v
		}
		if w.Fields["source"] != "" && f["source"] != w.Fields["source"] { // after a mount the kernel has its own name for it
			same, err := sameSource(ctx, h, string(w.Fields["source"]), string(f["source"]))
			if err != nil {
				return nil, err
			}
			if same {
				f["source"] = w.Fields["source"]
			}
		}
		if sameFSType(string(w.Fields["fstype"]), string(f["fstype"])) {
			f["fstype"] = w.Fields["fstype"]
		}
		have[i].Fields = f
	}
	return have, nil
}

// Conceals is the folder, when something else is mounted there: what it holds the plan cannot see.
func (r *mount) Conceals(delta []converge.Pair) []converge.Object {
	for _, p := range delta {
		if p.Want.Key == r.key() && (p.Have.Fields == nil || r.another(&p)) {
			return []converge.Object{{Key: converge.FileKey(r.args.Path)}}
		}
	}
	return nil
}

func (r *mount) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	var file *converge.Pair
	var live *converge.Pair
	for i, p := range delta {
		switch {
		case p.Want.Key == r.key():
			live = &delta[i]
		case p.Want.Key == converge.FileKey(fstabFile):
			file = &delta[i]
		default:
			if err := converge.ApplyFile(ctx, h, p, converge.FileOptions{}); err != nil {
				return err
			}
		}
	}
	if err := r.mount(ctx, h, live); err != nil {
		return err
	}
	if file == nil {
		return nil
	}
	if err := converge.ApplyFile(ctx, h, *file, converge.FileOptions{}); err != nil {
		return err
	}
	return reloadMounts(ctx, h)
}

// mount mounts what is not mounted and, where only options differ, mounts it anew in its place. The line in fstab follows: while it is not
// written, the next run sees that there is something to do.
func (r *mount) mount(ctx context.Context, h transport.Host, live *converge.Pair) error {
	a := r.args
	switch {
	case !a.Mounted, live == nil && !r.changed:
		return nil
	case live == nil, !live.Have.Absent && !r.another(live):
		return r.remount(ctx, h, live)
	case !live.Have.Absent:
		if err := unmount(ctx, h, a.Path); err != nil {
			return err
		}
	}
	return change(ctx, h, "what the kernel says more about it stands in dmesg; in a container only some file systems can be mounted", nil,
		"mount", "-t", a.FSType, "-o", a.options(), a.Src, string(a.Path))
}

// remount names the source too, or mount(8) would add the options of before; some versions leave flags that are not taken back by name.
func (r *mount) remount(ctx context.Context, h transport.Host, live *converge.Pair) error {
	options := "remount,"
	if live != nil {
		for _, f := range split(live.Have.Fields["flags"]) {
			if back := mountOpposite(f); back != "" && !containsString(split(live.Want.Fields["flags"]), f) {
				options += back + ","
			}
		}
	}
	return change(ctx, h, fmt.Sprintf("some options can be set only while it is not mounted: mount.absent(%q, keep_fstab = True) before this", string(r.args.Path)), nil,
		"mount", "-o", options+r.args.options(), r.args.Src, string(r.args.Path))
}

// another reports whether something else is mounted there.
func (r *mount) another(p *converge.Pair) bool {
	for _, k := range []string{"source", "fstype"} {
		if w, ok := p.Want.Fields[k]; ok && w != p.Have.Fields[k] {
			return true
		}
	}
	return false
}

func unmount(ctx context.Context, h transport.Host, p transport.Path) error {
	return change(ctx, h, "fuser -vm or lsof shows who uses it; what is mounted below it has to go first", nil, "umount", string(p))
}

func mountAbsent(c *call, a struct {
	common
	Path      transport.Path `arg:"path"`
	KeepFstab bool           `arg:"keep_fstab"`
}) (starlark.Value, error) {
	err := checkMountPath(a.Path)
	if err == nil && a.Path == "/" {
		err = fmt.Errorf("path: the root is not unmounted")
	}
	if err != nil {
		return nil, fmt.Errorf("mount.absent: %w", err)
	}
	return c.converge(&mountGone{a.Path, a.KeepFstab})
}

// mountGone is a folder on which nothing is mounted.
type mountGone struct {
	path      transport.Path
	keepFstab bool
}

func (r *mountGone) Name() string { return "mount:" + string(r.path) }

func (r *mountGone) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	want := []converge.Object{{Key: converge.Key{Table: transport.Mounts, Name: string(r.path)}, Absent: true}}
	if r.keepFstab {
		return want, nil
	}
	o, _, err := changedFstab(ctx, h, nil, func(e fstabLine) bool { return e.dir == string(r.path) })
	return append(want, o), err
}

// Conceals is the folder, of which the plan sees what is mounted there, and not what it holds itself.
func (r *mountGone) Conceals(delta []converge.Pair) []converge.Object {
	if delta[0].Want.Key.Table == transport.Mounts {
		return []converge.Object{{Key: converge.FileKey(r.path)}}
	}
	return nil
}

// mountsInOnePlace is how many file systems may lie on top of each other.
const mountsInOnePlace = 16

func (r *mountGone) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	for _, p := range delta {
		if p.Want.File != nil {
			if err := converge.ApplyFile(ctx, h, p, converge.FileOptions{}); err != nil {
				return err
			}
			if err := reloadMounts(ctx, h); err != nil {
				return err
			}
			continue
		}
		for n, ok := 0, true; ok && n < mountsInOnePlace; n++ {
			if err := unmount(ctx, h, r.path); err != nil {
				return err
			}
			var err error
			if _, ok, err = row(ctx, h, transport.Mounts, string(r.path)); err != nil {
				return err
			}
		}
	}
	return nil
}
