package main

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func testEnv(args ...string) (*env, *bytes.Buffer, *bytes.Buffer) {
	var out, errs bytes.Buffer
	return &env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, Args: args,
		Now: time.Now, Version: "1.2.3", Terminal: func() (*terminal, error) { return nil, errors.New("none") },
	}, &out, &errs
}

type broken struct{}

func (broken) Write([]byte) (int, error) { panic("no bytes today") }

// TestDefect: a panic ends with code 70, its stack and a request to report it, not with Go's exit code 2.
func TestDefect(t *testing.T) {
	e, _, errs := testEnv("version")
	e.Stdout = broken{}
	if code := e.main(); code != exitBug {
		t.Errorf("exit code %d, want %d", code, exitBug)
	}
	for _, want := range []string{"internal error: no bytes today", "root.go", "This is a defect of fabgo 1.2.3: please report it"} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, errs)
		}
	}
	if strings.Contains(errs.String(), "--help") {
		t.Errorf("it blames the command line:\n%s", errs)
	}
}

// TestFullDisk: an output that cannot be written is a failure, and said.
func TestFullDisk(t *testing.T) {
	e, _, errs := testEnv("version")
	r, w := io.Pipe()
	r.CloseWithError(errors.New("no space left on device"))
	e.Stdout = w
	if code := e.main(); code != exitFailed || !strings.Contains(errs.String(), "no space left on device") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

// TestExitCodes: scripts of users depend on these numbers.
func TestExitCodes(t *testing.T) {
	for got, want := range map[int]int{
		exitOK: 0, exitFailed: 1, exitUsage: 2, exitInvalid: 3, exitUnreachable: 4, exitPending: 5, exitLocked: 6, exitBug: 70, exitInterrupted: 130,
	} {
		if got != want {
			t.Errorf("%d is to be %d", got, want)
		}
	}
}

func TestWorst(t *testing.T) {
	for _, c := range []struct {
		codes []int
		want  int
	}{
		{nil, exitOK},
		{[]int{exitOK, exitPending, exitOK}, exitPending},
		{[]int{exitPending, exitInvalid}, exitInvalid},
		{[]int{exitFailed, exitInvalid, exitLocked}, exitFailed},
		{[]int{exitUnreachable, exitFailed}, exitUnreachable},
		{[]int{exitInterrupted, exitUnreachable}, exitInterrupted},
		{[]int{exitBug, exitInterrupted}, exitBug},
	} {
		if got := worst(c.codes...); got != c.want {
			t.Errorf("worst of %v: %d, want %d", c.codes, got, c.want)
		}
	}
}

// TestOutsideWorld: only main.go touches the process's streams, environment and end; everything else goes through env.
func TestOutsideWorld(t *testing.T) {
	forbidden := []string{"Args", "Environ", "Exit", "Getenv", "LookupEnv", "Setenv", "Stderr", "Stdin", "Stdout", "UserConfigDir", "UserHomeDir"}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if name == "main.go" {
			if n := bytes.Count(src, []byte("\n")); n >= 60 {
				t.Errorf("main.go has %d lines", n)
			}
			continue
		}
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "os" && slices.Contains(forbidden, s.Sel.Name) {
					t.Errorf("%s: os.%s", fset.Position(s.Pos()), s.Sel.Name)
				}
			}
			return true
		})
	}
}
