package main

import (
	"errors"
	"io"
	"path/filepath"
	"runtime"
	"time"

	"fabgo/internal/report"
)

// env is the world as main hands it to the commands: nothing else touches the process's own.
type env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Environ        []string // for git, which finds the user's credentials by it
	Args           []string
	Now            func() time.Time
	Version        string
	Terminal       func() (*terminal, error) // opens the terminal that questions are asked on, whatever the standard streams are

	helpers helpers
}

// color reports whether what goes to w is coloured.
func (e *env) color(w io.Writer) bool { return report.ColorFor(w, e.Getenv) }

// state is the folder for what fabgo remembers: $XDG_STATE_HOME/fabgo.
func (e *env) state() (string, error) {
	if d := e.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "fabgo"), nil
	}
	if d := e.Getenv("LOCALAPPDATA"); runtime.GOOS == "windows" && filepath.IsAbs(d) {
		return filepath.Join(d, "fabgo"), nil
	}
	if home := e.Getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "fabgo"), nil
	}
	return "", invalid(errors.New("find the folder for the journals of runs: neither XDG_STATE_HOME nor HOME is set"))
}

// cache is the folder for what can be made again: $XDG_CACHE_HOME/fabgo, or "" where there is no place for one.
func (e *env) cache() string {
	if d := e.Getenv("XDG_CACHE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "fabgo")
	}
	if d := e.Getenv("LOCALAPPDATA"); runtime.GOOS == "windows" && filepath.IsAbs(d) {
		return filepath.Join(d, "fabgo", "cache")
	}
	if home := e.Getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".cache", "fabgo")
	}
	return ""
}
