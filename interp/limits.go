package interp

import (
	"context"
	"errors"
	"fmt"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// DefaultMaxSteps is the limit on Starlark steps of one Instance. A bundle of a thousand resources takes well under a
// million; a hundred million is some three seconds of pure computation, after which a person would rather be told.
const DefaultMaxSteps = 100_000_000

// Limits on what is read. They are far above what people write and far below what hurts.
const (
	maxFileBytes    = 256 << 10
	maxClosureBytes = 8 << 20
	maxClosureFiles = 1000

	// maxNesting bounds the depth of a syntax tree. The parser bounds what it recurs on; chains that it reads in a loop
	// (1+1+..., a.b.c..., f()()(), elif) make trees just as deep, on which the resolver and compiler recur.
	maxNesting = 1000

	// maxProblems bounds how much is said about the names of one file.
	maxProblems = 100

	// maxLibrarySteps bounds the top level of one library. A library defines; a bound this low also keeps a list that is
	// nested by a loop shallow enough to be frozen without overflowing the stack of the process.
	maxLibrarySteps = 5_000_000

	// maxPrintedBytes bounds what one Instance may print.
	maxPrintedBytes = 16 << 20

	// maxValueDepth and maxValueNodes bound the values that are turned to text by a builtin of ours. Nodes are counted as
	// often as they are reached: sixty nested pairs that share their halves are 2^60.
	maxValueDepth = 500
	maxValueNodes = 2_000_000
)

// checkNesting refuses a tree too deep to be recurred on.
func checkNesting(f *syntax.File) (pos syntax.Position, ok bool) {
	depth, ok := 0, true
	syntax.Walk(f, func(n syntax.Node) bool {
		if n == nil {
			depth--
			return true
		}
		if depth >= maxNesting || !ok {
			if ok {
				ok = false
				pos = startOf(n)
			}
			return false
		}
		depth++
		return true
	})
	return pos, ok
}

// startOf is the start of a node without recurring down its left side, as syntax.Start does.
func startOf(n syntax.Node) syntax.Position {
	for range 100_000 {
		switch x := n.(type) {
		case *syntax.BinaryExpr:
			return x.OpPos
		case *syntax.DotExpr:
			return x.Dot
		case *syntax.CallExpr:
			return x.Lparen
		case *syntax.IndexExpr:
			return x.Lbrack
		case *syntax.SliceExpr:
			return x.Lbrack
		case *syntax.CondExpr:
			return x.If
		case *syntax.ExprStmt:
			n = x.X
		case *syntax.AssignStmt:
			return x.OpPos
		case *syntax.DictEntry:
			return x.Colon
		case *syntax.TupleExpr:
			if x.Lparen.IsValid() || len(x.List) == 0 {
				return x.Lparen
			}
			n = x.List[0]
		default:
			return syntax.Start(n)
		}
	}
	return syntax.Position{}
}

var errTooDeep = fmt.Errorf("the value is nested more than %d deep", maxValueDepth)
var errTooBig = fmt.Errorf("the value has more than %s parts", grouped(maxValueNodes))

// measure refuses a value whose text, as str or JSON, could overflow the stack or never end.
func measure(v starlark.Value) error { return measureParts(v, true) }

// measureText is measure for str, which does not spell out a range.
func measureText(v starlark.Value) error { return measureParts(v, false) }

func measureParts(v starlark.Value, ranges bool) error {
	nodes := 0
	var visit func(v starlark.Value, depth int) error
	visit = func(v starlark.Value, depth int) error {
		if nodes++; nodes > maxValueNodes {
			return errTooBig
		}
		if depth > maxValueDepth {
			return errTooDeep
		}
		switch v := v.(type) {
		case starlark.String, starlark.Bytes:
			return nil
		case starlark.IterableMapping:
			for _, item := range v.Items() {
				for _, x := range item {
					if err := visit(x, depth+1); err != nil {
						return err
					}
				}
			}
		case starlark.Iterable:
			if _, ok := v.(starlark.Sequence); !ok || v.Type() == "range" && !ranges {
				return nil
			}
			it := v.Iterate()
			defer it.Done()
			var x starlark.Value
			for it.Next(&x) {
				if err := visit(x, depth+1); err != nil {
					return err
				}
			}
		case starlark.HasAttrs:
			if v.Type() != "struct" {
				return nil
			}
			for _, name := range v.AttrNames() {
				x, err := v.Attr(name)
				if err != nil || x == nil {
					continue
				}
				if err := visit(x, depth+1); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return visit(v, 0)
}

// measureLength refuses a sequence that no bundle means to walk through: range(1 << 62) is small until it is.
func measureLength(v starlark.Value) error {
	if n := starlark.Len(v); n > maxValueNodes {
		return errTooBig
	}
	return nil
}

// measureJSON refuses JSON text nested too deep to be read recursively.
func measureJSON(s string) error {
	depth, inString := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			if depth++; depth > maxValueDepth {
				return errTooDeep
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return nil
}

// guard watches over one thread: it ends it when ctx ends or a limit is passed, and remembers which it was.
type guard struct {
	ctx     context.Context
	trace   func(Position) // may be nil
	limit   *LimitError    // set by the thread itself
	printed int
}

const guardKey = "fabgo.guard"

func newGuard(ctx context.Context, thread *starlark.Thread, maxSteps uint64, trace func(Position)) *guard {
	g := &guard{ctx: ctx, trace: trace}
	thread.SetLocal(guardKey, g)
	first := maxSteps
	if trace != nil {
		first = 1
	}
	thread.SetMaxExecutionSteps(first)
	thread.OnMaxSteps = func(t *starlark.Thread) {
		if t.Steps < maxSteps {
			g.tell(t)
			t.SetMaxExecutionSteps(min(maxSteps, t.Steps+stride(t.Steps)))
			return
		}
		if g.limit == nil {
			g.limit = &LimitError{What: "steps", Limit: maxSteps}
		}
		t.Cancel("too many steps")
	}
	return g
}

// stride is how many steps after step n the trace is told again. A program of few steps that does much in one of them
// is told step by step; in a long one every thousandth costs a hundredth of the time.
func stride(n uint64) uint64 { return max(1, min(n/256, 1024)) }

// tell tells the trace where the thread is.
func (g *guard) tell(t *starlark.Thread) {
	if pos := CallerPos(t); pos.IsValid() {
		g.trace(pos)
	}
}

// tellWhere is tell for what is about to do much in one step.
func tellWhere(thread *starlark.Thread) {
	if g, ok := thread.Local(guardKey).(*guard); ok && g.trace != nil {
		g.tell(thread)
	}
}

// print counts the bytes of a message against the limit.
func (g *guard) print(t *starlark.Thread, msg string) bool {
	if g.printed += len(msg) + 1; g.printed > maxPrintedBytes {
		if g.limit == nil {
			g.limit = &LimitError{What: "printed bytes", Limit: maxPrintedBytes}
		}
		t.Cancel("too much output")
		return false
	}
	return true
}

func (g *guard) stopped() error {
	if g.limit != nil {
		return g.limit
	}
	if g.ctx.Err() != nil {
		return context.Cause(g.ctx)
	}
	return nil
}

// Context is the context of the evaluation that the thread belongs to; natives that wait hand it on.
func Context(thread *starlark.Thread) context.Context {
	if g, ok := thread.Local(guardKey).(*guard); ok {
		return g.ctx
	}
	return context.Background()
}

// Stopped is why the thread may not go on: a *LimitError, or the cause of the context's end; nil when it may. A native
// that survives errors of what it calls (attempt, retry) asks this first and returns it.
func Stopped(thread *starlark.Thread) error {
	if g, ok := thread.Local(guardKey).(*guard); ok {
		return g.stopped()
	}
	return nil
}

// stopError gives the reason a thread was ended to errors.Is and errors.As, and keeps where it was.
type stopError struct {
	cause error
	where error
}

func (e *stopError) Error() string   { return e.cause.Error() }
func (e *stopError) Unwrap() []error { return []error{e.cause, e.where} }

// wrap replaces the interpreter's "computation cancelled" by its cause.
func (g *guard) wrap(err error) error {
	if err == nil {
		return nil
	}
	cause := g.stopped()
	var wrapped *stopError
	if cause == nil || errors.As(err, &wrapped) {
		return err
	}
	return &stopError{cause: cause, where: err}
}
