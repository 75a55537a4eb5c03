package converge

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"fabgo/internal/journal"
	"fabgo/transport"
)

// Info is what a session knows of its host without asking it.
type Info struct {
	Name    string // as the user names it: "web1"
	Address string // "10.0.0.5:22", "local"
	User    string // the login
	Acting  string // the user that ops act as: root after sudo
}

// Session is one bundle on one host. It is used from one goroutine at a time.
type Session struct {
	Info
	ctx     context.Context // ends the session: no further step is begun
	ops     context.Context // ends ops under way
	mode    journal.Mode
	rec     *journal.Recorder
	host    transport.Host // the top of the stack
	overlay *Overlay       // of a plan
	changes int            // opaque changes so far
	open    bool           // a step is under way

	unsettled unsettled
}

// New makes a session over what a Recorder records. When ctx ends, the step under way is ended properly and no other is begun; when ops ends,
// what is under way is cut off.
func New(ctx, ops context.Context, info Info, mode journal.Mode, rec *journal.Recorder) *Session {
	s := &Session{Info: info, ctx: ctx, ops: ops, mode: mode, rec: rec, host: rec}
	if mode == journal.Planning {
		s.overlay = NewOverlay(rec, info.Acting)
		s.host = s.overlay
	}
	return s
}

// Planning reports whether changes are only predicted. A builtin has no reason to ask but to word a message.
func (s *Session) Planning() bool { return s.mode == journal.Planning }

// Generation changes with every opaque change: facts that were read before may be stale.
func (s *Session) Generation() int { return s.changes }

// Note writes a line to the journal, and so to the screen.
func (s *Session) Note(text, pos string) error {
	return s.rec.Note(journal.Note{Text: text, Pos: pos})
}

// Hide keeps a content out of the journal.
func (s *Session) Hide(c transport.Content) { s.rec.Hide(c) }

// HideReads keeps all that the step under way reads out of the journal.
func (s *Session) HideReads() { s.rec.HideReads() }

// Forgive counts the last failed step as attempted: the bundle was prepared for its failure.
func (s *Session) Forgive() { s.rec.Forgive() }

// Step is what a builtin says of itself when it opens a step.
type Step struct {
	Builtin string // "file.put"
	Label   string // "" for its own words
	Pos     string // of the call: "web1.star:4:9"
}

// Change is the outcome of a step that may change the host.
type Change struct {
	Step     int
	Resource string
	Status   journal.Status
	Changed  bool // in a plan: predicted; true when it is unknown
	Because  string
	Diff     []journal.Delta

	Builtin string
	Origin  string // names the change, from run to run: a carried one keeps the name that it got when it was made; "" where there is none
	Carried string // the run that made it, when this one found nothing to do

	want, have []Object // the objects that the step wanted, and how it left them
}

// StepError is a step that failed. It ends the session unless the bundle attempts it.
type StepError struct {
	Step     int
	Builtin  string
	Resource string
	Pos      string
	Host     string
	Failure  journal.Failure
	Err      error
}

// Error names the step, the host and the cause.
func (e *StepError) Error() string {
	what := e.Builtin
	if r := strings.TrimPrefix(e.Resource, e.Builtin+":"); r != "" { // "run run:true" would say it twice
		what += " " + r
	}
	return fmt.Sprintf("%s on %s: %s", what, e.Host, e.Failure.Message)
}

// Unwrap is the cause.
func (e *StepError) Unwrap() error { return e.Err }

// CommandError is a command that exited with a code that its step does not take for success.
type CommandError struct {
	Argv   []string
	Output transport.Output
	Hint   string
}

// Error names the command and its code.
func (e *CommandError) Error() string {
	return fmt.Sprintf("%s: exit code %d", commandLine(e.Argv), e.Output.Code)
}

// begin opens a step; a step within a step is a fault of a builtin.
func (s *Session) begin(st Step, resource string, quiet bool) error {
	if s.open {
		return fmt.Errorf("%s: a step was opened within a step", st.Builtin)
	}
	if err := s.ctx.Err(); err != nil {
		return &transport.Error{Kind: transport.Interrupted, Message: fmt.Sprintf("%s was not begun: %v", st.Builtin, context.Cause(s.ctx)), Err: err}
	}
	_, err := s.rec.Begin(journal.Begin{Builtin: st.Builtin, Resource: resource, Label: st.Label, Pos: st.Pos, Quiet: quiet})
	s.open = err == nil
	return err
}

// end closes the step with a change, or with the error that broke it.
func (s *Session) end(st Step, c Change, err error) (Change, error) {
	s.open = false
	c.Step, c.Builtin = s.rec.Step(), st.Builtin
	if c.Changed && c.Origin == "" {
		c.Origin = s.unsettled.origin(c.Step)
	}
	e := journal.End{Status: c.Status, Changed: c.Changed, Diff: c.Diff, Because: c.Because, Carried: c.Carried}
	if err == nil {
		if c.Changed {
			s.unsettled.tell(st.Builtin, c.Resource)
		}
		return c, s.rec.End(e)
	}
	e.Carried = ""
	if cause := CauseOf(err); cause != nil {
		e.Status, e.Changed, e.Because = journal.Unknown, false, err.Error()
		return c, errors.Join(err, s.rec.End(e))
	}
	f := failure(err)
	e.Status, e.Changed, e.Error = journal.Failed, false, &f
	if jerr := s.rec.End(e); jerr != nil {
		return c, jerr
	}
	return c, &StepError{Step: c.Step, Builtin: st.Builtin, Resource: c.Resource, Pos: st.Pos, Host: s.Name, Failure: f, Err: err}
}

// Observe runs a step that only looks: look asks the host through h.
func (s *Session) Observe(st Step, resource string, look func(ctx context.Context, h transport.Host) error) error {
	if err := s.begin(st, resource, true); err != nil {
		return err
	}
	err := look(s.ops, s.host)
	_, err = s.end(st, Change{Resource: resource, Status: journal.OK}, err)
	return err
}

// Ask puts a question to the controller, outside of any step.
func (s *Session) Ask(what transport.Question, name string) (transport.Content, error) {
	d, err := transport.Do[transport.Data](s.ops, s.host, transport.Ask{What: what, Name: transport.Text(name)})
	return d.Content, err
}

func failure(err error) journal.Failure {
	f := journal.Failure{Kind: transport.KindOf(err), Message: err.Error()}
	if e, ok := errors.AsType[*transport.Error](err); ok {
		f.Hint, f.Stderr = e.Hint, tail(string(e.Stderr))
	}
	if e, ok := errors.AsType[*CommandError](err); ok {
		f.Command, f.Code, f.Hint = e.Argv, e.Output.Code, e.Hint
		f.Stderr = tail(string(e.Output.Stderr))
		if f.Stderr == "" {
			f.Stderr = tail(string(e.Output.Stdout))
		}
	}
	if _, ok := errors.AsType[*UnkeptError](err); ok {
		f.Unkept = true
		switch f.Kind {
		case transport.NoSpace, transport.ReadOnlyFS, transport.Denied, transport.NotFound:
			f.Hint = "FABGO_STATE_DIR names another folder on the host for what fabgo has to remember there"
		}
	}
	return f
}
