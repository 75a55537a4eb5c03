package helper

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"fabgo/internal/evaluator"
	"fabgo/internal/journal"
	"fabgo/transport"
)

// Command is the hidden command of fabgo that is the far end; its next word is one of the modes.
const Command = "helper"

// The modes of the helper.
const (
	ModeRun      = "run"      // a run, in a process that outlives its connection
	ModePlan     = "plan"     // a plan, in this process
	ModeAttach   = "attach"   // a run that is under way or over; its ID follows, or nothing for the one that holds the lock
	ModeResume   = "resume"   // a run whose host has restarted; its ID follows
	ModeOps      = "ops"      // ops
	modeOwn      = "own"      // the process that a run belongs to
	modeEvaluate = "evaluate" // the process that evaluates
)

// The topics of messages, and the names of calls, between controller and helper.
const (
	TopicHello  = "hello"   // to the controller: Hello, first of all
	TopicJob    = "job"     // to the helper: a Job
	TopicAttach = "attach"  // to the helper: Attach
	TopicStop   = "stop"    // to the helper: a reason; the step under way is the last
	TopicKill   = "kill"    // to the helper: a reason; what is under way is cut off
	TopicBye    = "bye"     // to the helper: the end has been read
	TopicNotice = "notice"  // to the controller: a line for the person who waits
	TopicLocked = "locked"  // to the controller: a Holder; the run waits for it
	TopicReboot = "reboot"  // to the controller: the host restarts, and has to be back after the time given
	TopicRecord = "record"  // to the controller: a journal.Record
	TopicKeep   = "keep"    // to the controller: a content that the records name, to be pulled
	TopicDone   = "done"    // to the controller: Done
	CallDeliver = "deliver" // to the controller: put a file of the host where the arguments say
)

// Hello is what a helper says of itself.
type Hello struct {
	Version string `json:"version"`
	Prelude string `json:"prelude"` // its digest
	Started time.Time
}

// Attach is what a controller says that comes to a run which has begun already.
type Attach struct {
	Records int  `json:"records"` // how many it has
	Answers bool `json:"answers"` // it is the one that began the run, and knows the bundle
}

// Job is a run or a plan.
type Job struct {
	evaluator.Job
	Holder    Holder          `json:"holder"`
	Wait      time.Duration   `json:"wait,omitempty"`      // for the lock
	Reconnect time.Duration   `json:"reconnect,omitempty"` // how long a question waits for a controller that is gone
	Stop      bool            `json:"stop,omitempty"`      // the step under way is the last when the connection is lost
	Now       time.Time       `json:"now"`                 // by the controller's clock
	Files     map[string]File `json:"files,omitempty"`     // answers to AskFile that are known beforehand
}

// File is a file of the bundle, or a content of the journal, with its bytes where it is small.
type File struct {
	Content transport.Content `json:"content"`
	Bytes   []byte            `json:"bytes,omitempty"`
	Yours   bool              `json:"yours,omitempty"` // of TopicKeep: it came from the controller, which has it
}

// Holder is who holds the lock of a host. It is for messages only.
type Holder struct {
	User       string    `json:"user"`       // who typed
	Controller string    `json:"controller"` // where
	Run        string    `json:"run"`
	Bundle     string    `json:"bundle"`
	Since      time.Time `json:"since"`
}

// String says who and since when.
func (h Holder) String() string {
	if h.Run == "" {
		return "somebody who left no name"
	}
	return fmt.Sprintf("run %s (%s) of %s at %s, since %s", h.Run, h.Bundle, h.User, h.Controller, h.Since.Format(time.RFC3339))
}

// Done is how a job ended.
type Done struct {
	Verdict journal.Verdict `json:"verdict,omitempty"`
	Locked  *Holder         `json:"locked,omitempty"` // it did not begin: somebody else holds the lock
	Error   string          `json:"error,omitempty"`  // it could not begin, or its journal could not be written
	Kind    transport.Kind  `json:"kind,omitempty"`   // of Error; Lost: nobody knows how it ended
	Hint    string          `json:"hint,omitempty"`
	NoRun   bool            `json:"noRun,omitempty"` // there is no run to attach to: Error says which was looked for
}

// maxJob is how large a job may be when it is unpacked.
const maxJob = 64 << 20

// EncodeJob packs a job for its way.
func EncodeJob(j Job) ([]byte, error) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		return nil, err
	}
	if err := json.NewEncoder(w).Encode(j); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func decodeJob(b []byte) (Job, error) {
	var j Job
	r := io.LimitReader(flate.NewReader(bytes.NewReader(b)), maxJob)
	if err := json.NewDecoder(r).Decode(&j); err != nil {
		return j, fmt.Errorf("read the job: %w", err)
	}
	return j, nil
}

// EncodeReason is why a run is to end: the payload of TopicStop and TopicKill.
func EncodeReason(err error) []byte { return evaluator.EncodeReason(err) }

// WasTold is what people see when an interrupt has reached the process that evaluates. Until then a step that ends may be followed by the next.
const WasTold = "the run was told: nothing begins behind the step under way"
