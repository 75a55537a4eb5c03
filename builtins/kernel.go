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

func kernelNatives() starlark.StringDict {
	return merge(
		native("kernel.module", kernelModule),
		native("kernel.module_absent", kernelModuleAbsent),
		native("kernel.blacklist", kernelBlacklist),
		native("kernel.blacklist_absent", kernelBlacklistAbsent),
	)
}

const (
	modulesLoad = transport.Path("/etc/modules-load.d")
	modprobeD   = transport.Path("/etc/modprobe.d")
	moduleTable = transport.Table("module")
	moduleHint  = "only root loads modules; a container shares the kernel with others and may not: loaded = False keeps to the files"
)

var (
	moduleName   = whenUsed(`^[A-Za-z0-9_][A-Za-z0-9_-]*$`)
	moduleOption = whenUsed(`^[A-Za-z0-9_.-]+$`)
)

type moduleNameArgs struct {
	common
	Name string `arg:"name"`
}

func (a moduleNameArgs) check() error {
	if !moduleName().MatchString(a.Name) {
		return fmt.Errorf("name: %q is no name of a kernel module such as \"br_netfilter\"", a.Name)
	}
	return nil
}

type moduleArgs struct {
	moduleNameArgs
	Options map[string]string `arg:"options"`
	Loaded  bool              `arg:"loaded"`
	Persist bool              `arg:"persist"`
}

func (a moduleArgs) check() error {
	if err := a.moduleNameArgs.check(); err != nil {
		return err
	}
	for k, v := range a.Options {
		if !moduleOption().MatchString(k) {
			return fmt.Errorf("options: %q is no name of an option", k)
		}
		if strings.ContainsAny(v, "\"\\#\x00\r\n") {
			return fmt.Errorf("options: %s: %q holds a quote, a backslash, a \"#\" or a line break, which modprobe.d cannot", k, v)
		}
	}
	if !a.Loaded && !a.Persist && a.Options == nil {
		return fmt.Errorf("with loaded = False and persist = False there is nothing to do")
	}
	return nil
}

// words are the options as modprobe takes them, quoted for a file where a blank is in them.
func (a moduleArgs) words(quote string) []string {
	var out []string
	for _, k := range sortedKeys(a.Options) {
		v := a.Options[k]
		if strings.ContainsAny(v, " \t") {
			v = quote + v + quote
		}
		if v == "" {
			out = append(out, k)
			continue
		}
		out = append(out, k+"="+v)
	}
	return out
}

func moduleFile(folder transport.Path, name, text string) converge.Object {
	content := transport.String(text)
	return converge.Object{Key: converge.FileKey(folder.Join(name + ".conf")), File: &converge.File{Type: transport.Regular, Content: &content, Mode: "0644"}}
}

// anyFolder is a folder that has to be there, as it may be: minimal systems lack those that packages bring.
func anyFolder(p transport.Path) converge.Object {
	return converge.Object{Key: converge.FileKey(p), File: &converge.File{Type: transport.Dir, Follow: true}}
}

func kernelModule(c *call, a moduleArgs) (starlark.Value, error) {
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("kernel.module: %w", err)
	}
	r := &module{name: a.Name, words: a.words(`"`)}
	switch {
	case len(a.Options) > 0:
		r.files = append(r.files, anyFolder(modprobeD), moduleFile(modprobeD, a.Name, "options "+a.Name+" "+strings.Join(a.words(`"`), " ")+"\n"))
	case a.Options != nil:
		r.files = append(r.files, noFile(modprobeD.Join(a.Name+".conf")))
	}
	if a.Persist {
		r.files = append(r.files, anyFolder(modulesLoad), moduleFile(modulesLoad, a.Name, a.Name+"\n"))
	}
	if a.Loaded {
		r.live = &converge.Object{Key: converge.Key{Table: moduleTable, Name: a.Name}, Fields: map[string]transport.Text{}, As: "loaded"}
		return c.converge(&loadedModule{r})
	}
	return c.converge(r)
}

func kernelModuleAbsent(c *call, a struct {
	moduleNameArgs
	Unload bool `arg:"unload"`
}) (starlark.Value, error) {
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("kernel.module_absent: %w", err)
	}
	r := &module{name: a.Name, files: []converge.Object{noFile(modulesLoad.Join(a.Name + ".conf")), noFile(modprobeD.Join(a.Name + ".conf"))}}
	if a.Unload {
		r.live = &converge.Object{Key: converge.Key{Table: moduleTable, Name: a.Name}, Absent: true}
	}
	return c.converge(r)
}

// module is a module of the kernel: the files that say what becomes of it, and whether it is loaded.
type module struct {
	name  string
	words []string
	files []converge.Object
	live  *converge.Object // nil: it does not matter
}

// loadedModule is a module that brings, when it is loaded, other modules, settings and devices.
type loadedModule struct{ *module }

func (r *loadedModule) Opaque() converge.Scope { return converge.Scope{Kernel: true} }

func (r *module) Name() string { return "module:" + r.name }

func (r *module) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	want := r.files[:len(r.files):len(r.files)]
	if r.live == nil {
		return want, nil
	}
	if r.live.Absent {
		in, err := builtIn(ctx, h, r.name)
		if err != nil {
			return nil, err
		}
		if in {
			return nil, &transport.Error{Kind: transport.Refused, Message: fmt.Sprintf("unload %s: it is built into the kernel", r.name), Hint: "unload = False keeps to the files"}
		}
	}
	return append(want, *r.live), nil
}

// Probe asks the kernel's own folder of modules. What is built in is as good as loaded.
func (r *module) Probe(ctx context.Context, h transport.Host, want []converge.Object) ([]converge.Object, error) {
	n := len(r.files)
	have, err := converge.Find(ctx, h, want[:n])
	if err != nil || r.live == nil {
		return have, err
	}
	o := converge.Object{Key: r.live.Key, Absent: true}
	fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: transport.Path("/sys/module").Join(plainModule(r.name)), Follow: true})
	there := fi.Type == transport.Dir
	if err == nil && !there {
		there, err = builtIn(ctx, h, r.name)
	}
	switch {
	case converge.CauseOf(err) != nil:
		o = converge.Object{Key: r.live.Key, Cause: converge.CauseOf(err)}
	case err != nil:
		return nil, err
	case there:
		o = converge.Object{Key: r.live.Key, Fields: map[string]transport.Text{}, As: "loaded"}
	}
	return append(have, o), nil
}

// plainModule writes a name as the kernel does.
func plainModule(name string) string { return strings.ReplaceAll(name, "-", "_") }

// builtIn reports whether the kernel that runs holds the module in itself.
func builtIn(ctx context.Context, h transport.Host, name string) (bool, error) {
	f, ok, err := row(ctx, h, transport.Sysctls, "kernel.osrelease")
	if err != nil || !ok {
		return false, err
	}
	p, err := transport.NewPath("/lib/modules/" + string(f["value"]) + "/modules.builtin")
	if err != nil {
		return false, err
	}
	b, err := readPieces(ctx, h, p, editLimit)
	if transport.KindOf(err) == transport.NotFound {
		return false, nil // containers have none
	}
	for line := range strings.Lines(string(b)) {
		base, _, _ := strings.Cut(line[strings.LastIndexByte(line, '/')+1:], ".ko")
		if plainModule(base) == plainModule(name) {
			return true, nil
		}
	}
	return false, err
}

// Apply writes the options first, as modprobe reads them there. What cannot be loaded now is not to be loaded at the next start either.
func (r *module) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	ours := func(p converge.Pair) bool {
		return p.Want.Key == converge.FileKey(modprobeD) || transport.Path(p.Want.Key.Name).Dir() == modprobeD
	}
	if err := applyFiles(ctx, h, slices.DeleteFunc(slices.Clone(delta), func(p converge.Pair) bool { return !ours(p) })); err != nil {
		return err
	}
	for _, p := range delta {
		if p.Want.Key.Table == moduleTable {
			if err := r.modprobe(ctx, h, p.Want.Absent); err != nil {
				return err
			}
		}
	}
	return applyFiles(ctx, h, slices.DeleteFunc(slices.Clone(delta), ours))
}

func (r *module) modprobe(ctx context.Context, h transport.Host, remove bool) error {
	argv, hint := append([]string{"modprobe", r.name}, r.words...), moduleHint
	if remove {
		argv, hint = []string{"modprobe", "-r", r.name}, "it is in use, or this is a container, which shares the kernel with others: unload = False keeps to the files"
	}
	err := change(ctx, h, hint, nil, argv...)
	if transport.KindOf(err) == transport.NotFound {
		return &transport.Error{Kind: transport.NotFound, Message: fmt.Sprintf("load %s: there is no command modprobe", r.name), Hint: "pkg.install(\"kmod\") brings it; " + moduleHint, Err: err}
	}
	return err
}

func kernelBlacklist(c *call, a struct {
	moduleNameArgs
	Hard bool `arg:"hard"`
}) (starlark.Value, error) {
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("kernel.blacklist: %w", err)
	}
	text := "blacklist " + a.Name + "\n"
	if a.Hard {
		text += "install " + a.Name + " /bin/false\n"
	}
	return c.converge(wholeFiles("module:"+a.Name, anyFolder(modprobeD), moduleFile(modprobeD, "blacklist-"+a.Name, text)))
}

func kernelBlacklistAbsent(c *call, a moduleNameArgs) (starlark.Value, error) {
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("kernel.blacklist_absent: %w", err)
	}
	return c.converge(wholeFiles("module:"+a.Name, noFile(modprobeD.Join("blacklist-"+a.Name+".conf"))))
}
