// Package evaluator evaluates a bundle in a process of its own: a child of whoever holds the lock, the journal and the connection.
//
// The one rule: the child changes nothing. What the bundle asks goes to the parent as ops, what it did as records; the parent writes an intent
// down before it carries out the op that follows it on the same pipe. Only what looks, and is small, the child answers itself where it
// can (near).
//
// The trap: the child can die in the middle of anything, by its own limits or by a bundle that takes all memory. The parent then ends
// the step and the session in its stead, so that a journal always has an end.
//
// The promise: a bundle cannot take more than its limits, and cannot take the parent along.
package evaluator

import (
	"encoding/json"
	"time"

	"fabgo/internal/converge"
	"fabgo/internal/journal"
	"fabgo/interp"
	"fabgo/transport"
)

// Job is a bundle to be evaluated against a host.
type Job struct {
	Closure interp.Closure             `json:"closure"`
	Tasks   []string                   `json:"tasks,omitempty"` // words of a command line
	Vars    map[string]json.RawMessage `json:"vars,omitempty"`
	Mode    journal.Mode               `json:"mode"`
	Reboots bool                       `json:"reboots,omitempty"` // the host may be restarted
	Info    converge.Info              `json:"info"`
	Start   journal.Start              `json:"start"`
	Beside  bool                       `json:"beside,omitempty"` // the host is the machine of this process
	State   transport.Path             `json:"state,omitempty"`  // the folder in which the host remembers what is unsettled, where it is not the usual one
	Skew    time.Duration              `json:"skew,omitempty"`   // what to add to this machine's clock for the controller's
}

// Words are tasks as words of a command line.
func Words(tasks []interp.TaskCall) []string {
	var out []string
	for _, t := range tasks {
		out = append(out, t.Task.Name)
		for _, a := range t.Args {
			out = append(out, a.Name+"="+a.Value)
		}
	}
	return out
}

// The topics of messages and the names of calls between parent and child.
const (
	topicPast   = "past"   // to the child: a journal.Record of a run that goes on
	topicJob    = "job"    // to the child: a Job
	topicStop   = "stop"   // to the child: a reason; the step under way is the last
	topicKill   = "kill"   // to the child: a reason; what is under way is cut off
	topicHeard  = "heard"  // to the parent: topicStop was heard
	topicRecord = "record" // to the parent: a journal.Record
	topicDone   = "done"   // to the parent: an ending
	topicKeep   = "keep"   // to the parent: keep the content of this digest, which it answered with just now
	callKeep    = "keep"   // to the parent: keep a content
	callSync    = "sync"   // to the parent: make what was recorded durable
	callSleep   = "sleep"  // to the parent: come back after a time
	callReboot  = "reboot" // to the parent: the host is about to restart
	callDeliver = "deliver"
)

// ending is how the child saw its session end.
type ending struct {
	Verdict journal.Verdict `json:"verdict"`
	Error   string          `json:"error,omitempty"` // the journal could not be written, or a defect
}

// reason is why a session is to end: an error of the seam keeps its kind.
type reason struct {
	Kind    transport.Kind `json:"kind,omitempty"`
	Message string         `json:"message"`
	Hint    string         `json:"hint,omitempty"`
}
