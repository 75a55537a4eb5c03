// Package journal is the append-only truth about a run: what was asked of a host, what it answered, what changed and why.
//
// The one rule: the intent to change a host is written before the change is sent, its outcome after. Whatever shows a run (terminal,
// JSON, history) reads these records; nobody tells a user interface anything.
//
// The trap: a journal holds what files hold. It is readable by its owner only, and contents marked hidden are kept by name alone.
//
// The promise: from the journal of a finished run the run can be evaluated again with no host, ending with the same records, and a
// bundle that was edited since is told where it departs from them.
package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"fabgo/transport"
)

// Schema is the version of the record format. Fields are only ever added within a version; docs/journal.md describes it.
const Schema = 1

// Record is one line of a journal: a head that every record has, and a body by type.
type Record struct {
	Host string    // the session's host as the user names it
	Time time.Time // of the controller, UTC
	Step int       // the step it belongs to, counted from 1; 0 outside steps
	Body Body
}

// Body is what a record says. The set is closed.
type Body interface {
	// Type is the record's type in the file.
	Type() string
}

// Start opens a session.
type Start struct {
	Schema  int                        `json:"schema"`
	Run     string                     `json:"run"`
	Fabgo   string                     `json:"fabgo"` // version
	Mode    Mode                       `json:"mode"`
	Bundle  string                     `json:"bundle"`            // absolute path on the controller
	Digests map[string]string          `json:"digests,omitempty"` // of closure and prelude: "sha256:..."
	Tasks   []Task                     `json:"tasks,omitempty"`
	Vars    map[string]json.RawMessage `json:"vars,omitempty"` // what var() answered from
	Address string                     `json:"address,omitempty"`
	Login   string                     `json:"login,omitempty"` // the user that fabgo logs in as
	User    string                     `json:"user,omitempty"`  // the user that it acts as
	State   string                     `json:"state,omitempty"` // the folder on the host in which fabgo keeps what it has to remember there
	Carried []Carried                  `json:"carried,omitempty"`
}

// Carried is a change of a run that did not reach its end, as the host remembers it.
type Carried struct {
	Builtin  string `json:"builtin"`
	Resource string `json:"resource"`
	Run      string `json:"run"`              // in which it was made
	Tasks    []Task `json:"tasks,omitempty"`  // of that run
	Step     int    `json:"step"`             // of that run
	Done     bool   `json:"done,omitempty"`   // the step is known to have ended well; else that run may have ended in the middle of it
	Failed   bool   `json:"failed,omitempty"` // the run did reach its end, but this step had failed and the bundle went on
}

// Task is a task that was asked for, with its arguments as they stood on the command line.
type Task struct {
	Name string   `json:"name"`
	Args []string `json:"args,omitempty"`
}

// Mode says what a session does with changes.
type Mode string

// The modes.
const (
	Planning Mode = "plan" // predict
	Running  Mode = "run"  // make it so
)

// Begin opens a step.
type Begin struct {
	Builtin  string `json:"builtin"`            // "file.put"
	Resource string `json:"resource,omitempty"` // "file:/etc/motd"
	Label    string `json:"label,omitempty"`    // what the bundle wants shown instead
	Pos      string `json:"pos,omitempty"`      // "web1.star:4:9"
	Quiet    bool   `json:"quiet,omitempty"`    // the step only observes
}

// Intent says that a changing op is about to be sent.
type Intent struct {
	Index  int              `json:"index"` // of the op within its step
	Op     json.RawMessage  `json:"op"`
	Digest transport.Digest `json:"digest"`
}

// Outcome says what an op was answered.
type Outcome struct {
	Index  int              `json:"index"`
	Op     json.RawMessage  `json:"op"`
	Digest transport.Digest `json:"digest"`
	Result json.RawMessage  `json:"result,omitempty"`
	Error  *transport.Error `json:"error,omitempty"`
	Millis int64            `json:"ms"`
}

// End closes a step. It repeats what Begin said, so that it can be read alone.
type End struct {
	Begin
	Status  Status   `json:"status"`
	Changed bool     `json:"changed"` // in a plan: predicted
	Diff    []Delta  `json:"diff,omitempty"`
	Because string   `json:"because,omitempty"` // why it is unknown, skipped or carried
	Carried string   `json:"carried,omitempty"` // the step counts as changed because that run changed it and did not reach its end
	Error   *Failure `json:"error,omitempty"`
	Millis  int64    `json:"ms"`
}

// Status is how a step ended.
type Status string

// The statuses of a step.
const (
	OK      Status = "ok"      // it was so already
	Changed Status = "changed" // it was made so; in a plan: it would be
	Failed  Status = "failed"
	Unknown Status = "unknown" // in a plan: what is there cannot be known before the run
	Skipped Status = "skipped" // a guard said that there is nothing to do

	// Attempted is in counts only: a failed step whose failure the bundle held with attempt or retry.
	Attempted Status = "attempted"
)

// Delta is one difference between what is there and what is wanted.
type Delta struct {
	Object string `json:"object"`         // "file:/etc/motd"
	Attr   string `json:"attr"`           // "mode"; "" for the thing as a whole (made or removed)
	From   string `json:"from,omitempty"` // "" with an Attr: not set
	To     string `json:"to,omitempty"`
	Text   string `json:"text,omitempty"` // of contents: a unified diff
}

// Internal is the kind of a Failure that is a defect of fabgo itself.
const Internal transport.Kind = "internal"

// Failure is why a step or a session ended badly.
type Failure struct {
	Kind    transport.Kind `json:"kind,omitempty"`
	Message string         `json:"message"`
	Hint    string         `json:"hint,omitempty"`
	Command []string       `json:"command,omitempty"` // that failed
	Code    int            `json:"code,omitempty"`    // its exit code
	Stderr  string         `json:"stderr,omitempty"`  // its last lines
	Frames  []string       `json:"frames,omitempty"`  // "web1.star:4:9 in bootstrap_base", innermost first
	Source  string         `json:"source,omitempty"`  // the text of the line of the innermost frame
	Unkept  bool           `json:"unkept,omitempty"`  // the host's memory of unsettled changes could not be read or written
}

// Note is a line that the bundle wrote with note() or print(), or that fabgo has to say.
type Note struct {
	Text string `json:"text"`
	Pos  string `json:"pos,omitempty"`
}

// Finish closes a session.
type Finish struct {
	Status Verdict        `json:"status"`
	Counts map[Status]int `json:"counts"` // of steps; of quiet ones only those that failed or met an unknown
	Error  *Failure       `json:"error,omitempty"`
	Millis int64          `json:"ms"`
}

// Verdict is how a session ended.
type Verdict string

// The verdicts.
const (
	Finished    Verdict = "ok"
	Broken      Verdict = "failed"      // a step failed
	Invalid     Verdict = "error"       // the bundle is at fault
	Unreachable Verdict = "unreachable" // the host was
	Partial     Verdict = "partial"     // a plan that could not look further
	Interrupted Verdict = "interrupted"
	Locked      Verdict = "locked" // another run was under way on the host
)

// Type implementations.
func (Start) Type() string   { return "start" }
func (Begin) Type() string   { return "step" }
func (Intent) Type() string  { return "intent" }
func (Outcome) Type() string { return "op" }
func (End) Type() string     { return "end" }
func (Note) Type() string    { return "note" }
func (Finish) Type() string  { return "finish" }

type head struct {
	Type string    `json:"type"`
	Host string    `json:"host"`
	Time time.Time `json:"time"`
	Step int       `json:"step,omitempty"`
}

// MarshalJSON writes head and body as one flat object. Bytes of its texts that are not UTF-8 are written \xNN; ops and results keep
// them (see transport.Text).
func (r Record) MarshalJSON() ([]byte, error) {
	h, err := compact(head{r.Body.Type(), readable(r.Host), r.Time.UTC(), r.Step})
	if err != nil {
		return nil, err
	}
	b, err := compact(readableBody(r.Body))
	if err != nil {
		return nil, err
	}
	if len(b) == 2 {
		return h, nil
	}
	return append(append(h[:len(h)-1], ','), b[1:]...), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *Record) UnmarshalJSON(b []byte) error {
	rec, typ, err := Head(b)
	if err != nil {
		return err
	}
	if rec.Body, err = decodeBody(typ, b); err != nil {
		return err
	}
	*r = rec
	return nil
}

// Head reads what every record has; Body is nil. typ is the type of the body.
func Head(line []byte) (r Record, typ string, err error) {
	var h head
	if err := json.Unmarshal(line, &h); err != nil {
		return Record{}, "", err
	}
	return Record{Host: h.Host, Time: h.Time.UTC(), Step: h.Step}, h.Type, nil
}

func decodeBody(typ string, b []byte) (Body, error) {
	switch typ {
	case "start":
		return body[Start](b)
	case "step":
		return body[Begin](b)
	case "intent":
		return body[Intent](b)
	case "op":
		return body[Outcome](b)
	case "end":
		return body[End](b)
	case "note":
		return body[Note](b)
	case "finish":
		return body[Finish](b)
	}
	return nil, fmt.Errorf("journal: unknown record type %q: written by a newer fabgo?", typ)
}

func body[T Body](b []byte) (Body, error) {
	var v T
	err := json.Unmarshal(b, &v)
	return v, err
}

func compact(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
