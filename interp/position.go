package interp

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Position is a place in a file. Line and Col count from 1; Col counts characters. Zero means unknown.
type Position struct {
	File string // as people see it: relative to the current folder, or "@fab//x.star"
	Line int
	Col  int
}

func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// IsValid reports whether p names a file.
func (p Position) IsValid() bool { return p.File != "" }

func position(p syntax.Position) Position {
	if !p.IsValid() {
		return Position{}
	}
	return Position{File: p.Filename(), Line: int(p.Line), Col: int(p.Col)}
}

// Frame is one active call in a file of the user.
type Frame struct {
	Position
	Func   string // the function whose body this is; "" at the top level of a file
	Source string // the text of the line, when the file is known
}

// preludePrefix starts the file names of the prelude, which users never see: an error in file.put is an error of the
// line that called file.put.
const preludePrefix = "@prelude/"

const toplevelName = "<toplevel>"

func isUserFile(name string) bool {
	return !strings.HasPrefix(name, preludePrefix) && name != "<builtin>" && name != "<invalid>"
}

// CallerPos is the innermost position of the thread that lies in a file of the user, not in the prelude or in Go: the
// position of the step that is being made. It is the zero Position when there is none.
func CallerPos(thread *starlark.Thread) Position {
	for depth, n := 0, thread.CallStackDepth(); depth < n; depth++ {
		if fr := thread.CallFrame(depth); isUserFile(fr.Pos.Filename()) {
			return position(fr.Pos)
		}
	}
	return Position{}
}

// Callers is the active calls of the thread in the user's files, outermost first, without their source lines.
func Callers(thread *starlark.Thread) []Frame {
	return userFrames(thread.CallStack())
}

func userFrames(stack starlark.CallStack) []Frame {
	var frames []Frame
	for _, fr := range stack {
		if !isUserFile(fr.Pos.Filename()) {
			continue
		}
		f := Frame{Position: position(fr.Pos), Func: fr.Name}
		if f.Func == toplevelName {
			f.Func = ""
		}
		frames = append(frames, f)
	}
	return frames
}
