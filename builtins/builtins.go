// Package builtins is what bundles can say: one prelude file in Starlark and one Go file for each family.
//
// The one rule: the public name, its signature, defaults and documentation stand in the prelude (prelude/file.star); below each public
// function lies one private native (_file_put), which decodes the arguments, builds a resource and hands it to converge.
//
// The trap: a native must ask the host through the session only, and must not know whether it plans or runs.
//
// The promise: what a function's documentation says holds in plan, run and replay alike, and a bad argument is an error that names
// the function, the argument, the value and what would do, before anything is touched.
package builtins

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"sync"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/interp"
)

//go:embed prelude/*.star
var prelude embed.FS

// Prelude holds the prelude's files.
func Prelude() fs.FS {
	sub, err := fs.Sub(prelude, "prelude")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return sub
}

// PreludeDigest names the text of the prelude, so that a journal can tell whether it was another one.
func PreludeDigest() string {
	h := sha256.New()
	err := fs.WalkDir(prelude, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := prelude.ReadFile(name)
		fmt.Fprintf(h, "%s %d\n%s", name, len(b), b)
		return err
	})
	if err != nil {
		panic(err) // the files are embedded above
	}
	return fmt.Sprintf("sha256:%x", h.Sum(nil))
}

// Natives are the functions under the prelude, by private name.
func Natives() starlark.StringDict {
	all := starlark.StringDict{}
	for _, family := range []starlark.StringDict{
		coreNatives(), fileNatives(), userNatives(), groupNatives(), serviceNatives(), systemdNatives(), pkgNatives(), aptNatives(), hostNatives(),
		cronNatives(), encodeNatives(), sshNatives(), hostnameNatives(), timezoneNatives(), localeNatives(),
		sysctlNatives(), kernelNatives(), mountNatives(), swapNatives(), limitsNatives(), alternativesNatives(), waitNatives(),
	} {
		maps.Copy(all, family)
	}
	return all
}

// Interp is an interpreter with this prelude. What else it needs (Fab, Modules, Root) comes from o.
func Interp(o interp.Options) (*interp.Interp, error) {
	o.Prelude, o.Natives = Prelude(), Natives()
	o.PerHost = []string{"host"}
	o.PerHostAttrs = map[string][]string{"host": factNames()}
	o.BundleOnly = map[string]string{
		"var":    "a library takes what it needs as parameters: read the variable in the bundle and hand it over",
		"secret": "a library takes what it needs as parameters: read the secret in the bundle and hand it over",
	}
	return interp.New(o)
}

// call is one call of a native.
type call struct {
	*Runtime
	thread *starlark.Thread
	name   string // "file.put"
	step   converge.Step
}

// native makes the native of a public function: it decodes the keyword arguments, which are all that a prelude passes, into A.
func native[A any](name string, fn func(c *call, a A) (starlark.Value, error)) starlark.StringDict {
	plan := sync.OnceValue(func() map[string]field { return fieldsOf(reflect.TypeFor[A]()) }) // most natives are never called
	private := "_" + dotless(name)
	return starlark.StringDict{private: starlark.NewBuiltin(private, func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		if len(args) > 0 {
			return nil, fmt.Errorf("%s: the prelude passes arguments by name", name)
		}
		rt, _ := t.Local(runtimeLocal).(*Runtime)
		if t.Local(checkLocal) != nil {
			var a A
			return starlark.None, (&call{Runtime: &Runtime{}, name: name}).decode(plan(), reflect.ValueOf(&a).Elem(), kwargs)
		}
		if rt == nil {
			return nil, fmt.Errorf("%s: there is no host yet while libraries are loaded: call it in a function, and the function from the bundle", name)
		}
		c := &call{Runtime: rt, thread: t, name: name, step: converge.Step{Builtin: name, Pos: interp.CallerPos(t).String()}}
		var a A
		if err := c.decode(plan(), reflect.ValueOf(&a).Elem(), kwargs); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return fn(c, a)
	})}
}

func dotless(name string) string {
	b := []byte(name)
	for i := range b {
		if b[i] == '.' {
			b[i] = '_'
		}
	}
	return string(b)
}

func merge(ds ...starlark.StringDict) starlark.StringDict {
	all := starlark.StringDict{}
	for _, d := range ds {
		maps.Copy(all, d)
	}
	return all
}

// converge hands a resource to the session and gives the bundle its Change.
func (c *call) converge(r converge.Resource) (starlark.Value, error) {
	ch, err := c.Session.Converge(c.step, r)
	if err != nil {
		return nil, err
	}
	return &Change{ch}, nil
}
