package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// openTerminal opens the console that the process belongs to, also when its standard streams are something else.
func openTerminal() (*terminal, error) {
	in, err := os.OpenFile("CONIN$", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile("CONOUT$", os.O_RDWR, 0)
	if err != nil {
		in.Close()
		return nil, err
	}
	return &terminal{in: in, out: out}, nil
}

// quiet turns the echo of what is typed off.
func quiet(f *os.File) (undo func(), err error) {
	var was uint32
	h := windows.Handle(f.Fd())
	if err := windows.GetConsoleMode(h, &was); err != nil {
		return nil, err
	}
	mode := was&^windows.ENABLE_ECHO_INPUT | windows.ENABLE_PROCESSED_INPUT | windows.ENABLE_LINE_INPUT
	if err := windows.SetConsoleMode(h, mode); err != nil {
		return nil, err
	}
	return func() { _ = windows.SetConsoleMode(h, was) }, nil
}
