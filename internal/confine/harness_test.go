//go:build linux

package confine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"go.starlark.net/starlark"

	"fabgo/internal/confine"
	"fabgo/interp"
	"fabgo/interp/template"
)

// The test binary is its own child: with this as its first argument it does what the second one says.
const childArg = "confined-child"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == childArg {
		os.Exit(child(os.Args[2]))
	}
	code := m.Run()
	if builtDir != "" {
		os.RemoveAll(builtDir)
	}
	os.Exit(code)
}

// command starts the test binary as a child. Under the race detector, whose shadow memory is beyond any limit, the
// child is a test binary without it.
func command(t *testing.T, kind string) *exec.Cmd {
	t.Helper()
	self, err := childBinary()
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(self, childArg, kind)
}

var builtDir string // where the child was built

var childBinary = sync.OnceValues(func() (string, error) {
	if !raceEnabled {
		return os.Executable()
	}
	dir, err := os.MkdirTemp("", "confine")
	if err != nil {
		return "", err
	}
	builtDir = dir
	bin := filepath.Join(dir, "child.test")
	build := exec.Command("go", "test", "-c", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the child: %w\n%s", err, out)
	}
	return bin, nil
})

func child(kind string) int {
	if kind == "parent" {
		return middle()
	}
	in, err := confine.Inside(os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	switch kind {
	case "evaluate":
		return evaluate(in)
	case "idle":
		fmt.Println("ready")
		io.Copy(io.Discard, os.Stdin)
	case "sleep":
		in.At("sleep.star", 7)
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		sleep := exec.Command("sleep", "3600")
		sleep.Stdout = os.Stdout // its end is the end of this pipe's writers
		if err := sleep.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println("ready")
		if os.Getenv("LEAVE") != "" {
			return 0
		}
		time.Sleep(time.Hour)
	case "spin":
		for i := 0; ; i++ {
			if i%1000 == 0 {
				in.At("spin.star", 3)
			}
		}
	case "stretches": // computes for 50 ms of its own time for every line it reads
		buf := make([]byte, 1)
		for {
			if _, err := os.Stdin.Read(buf); err != nil {
				return 0
			}
			burn(50 * time.Millisecond)
			fmt.Print(".")
		}
	case "grow":
		in.At("grow.star", 12)
		for all := [][]byte{}; ; {
			b := make([]byte, 64<<10)
			for i := range b {
				b[i] = 1
			}
			all = append(all, b)
			runtime.KeepAlive(all)
		}
	case "garbage": // holds 300 MiB, throws away twenty times that
		var all [300][]byte
		for i := range 20 * len(all) {
			b := make([]byte, 1<<20)
			for j := 0; j < len(b); j += 4096 {
				b[j] = 1
			}
			all[i%len(all)] = b
		}
		fmt.Println("done")
	case "deep":
		in.At("deep.star", 1)
		deep(1)
	case "panic":
		in.At("panic.star", 5)
		panic("as a bug would")
	case "exit":
		fmt.Fprintln(os.Stderr, "could not do it")
		return 3
	case "noisy":
		line := append(bytes.Repeat([]byte("x"), 999), '\n')
		for range 10_000 {
			os.Stderr.Write(line)
		}
		panic("the end")
	}
	return 0
}

func burn(d time.Duration) {
	used := func() time.Duration {
		var r syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &r)
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	for end := used() + d; used() < end; {
	}
}

func deep(n int) int {
	if n == 0 { // never
		return 0
	}
	var a [64]int
	a[n%64] = n
	return deep(n+1) + a[(n+1)%64]
}

// middle is a parent for the test of its death: it says "ready" when its own child runs.
func middle() int {
	cmd := exec.Command(os.Args[0], childArg, "sleep")
	cmd.Stdout = os.Stdout
	c, err := confine.Start(cmd, confine.Limits{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	c.Waiting(true)
	c.Wait()
	return 0
}

// job is what the evaluating child reads.
type job struct {
	Bundle string
	Files  map[string]string
}

// evaluate evaluates a bundle through interp, as an evaluator does, and writes how it ended.
func evaluate(in *confine.Inner) int {
	var j job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	err := j.run(in)
	if err == nil {
		fmt.Println("finished")
		return 0
	}
	var internal *interp.PanicError
	if errors.As(err, &internal) {
		fmt.Printf("defect: %v\n%s\n", err, internal.Stack)
		return 1
	}
	fmt.Printf("error: %s", interp.Explain(err))
	return 0
}

func (j job) run(inner *confine.Inner) error {
	in, err := interp.New(interp.Options{
		Prelude: fstest.MapFS{"core.star": {Data: []byte("\"\"\"Core.\"\"\"\n\ndef render(text, **vars):\n    \"\"\"Render a template.\"\"\"\n    return _render(text, vars)\n")}},
		Natives: starlark.StringDict{"_render": starlark.NewBuiltin("_render", render)},
		Trace:   func(p interp.Position) { inner.At(p.File, p.Line) },
	})
	if err != nil {
		return err
	}
	c := interp.Closure{Bundle: "//" + j.Bundle}
	for name, text := range j.Files {
		c.Files = append(c.Files, interp.File{Name: "//" + name, Content: text})
	}
	b, err := in.OpenClosure(c)
	if err != nil {
		return err
	}
	_, err = b.Exec(context.Background(), interp.ExecOptions{})
	return err
}

func render(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	vars := starlark.StringDict{}
	for _, item := range args[1].(*starlark.Dict).Items() {
		vars[string(item[0].(starlark.String))] = item[1]
	}
	text, _ := starlark.AsString(args[0])
	t, err := template.Compile("t.j2", []byte(text), nil, template.Options{})
	if err != nil {
		return nil, err
	}
	out, err := t.Render(interp.Context(thread), vars)
	return starlark.String(out), err
}
