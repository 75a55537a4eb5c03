package helper

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"fabgo/internal/evaluator"
	"fabgo/internal/journal"
	"fabgo/transport"
)

// A run that restarts its machine leaves a marker in its folder: the job, and the boot that it was begun in. What finds the marker in
// another boot goes on with the run.

const markerFile = "reboot.json"

type marker struct {
	Boot string `json:"boot"` // the boot that ends
	Job  Job    `json:"job"`
}

func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
}

func readMarker(run *journal.Run) (marker, error) {
	var m marker
	b, err := run.Load(markerFile)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	return m, err
}

// reboots lets the bundle restart the machine, and goes on with a run that has.
func (o *owner) reboots(run *journal.Run, j Job, skew time.Duration) error {
	var contents []transport.Content
	if o.past != nil {
		var err error
		if contents, err = run.Contents(); err != nil {
			return err
		}
		if err := run.Remove(markerFile); err != nil {
			return fmt.Errorf("go on with the run: %w", err)
		}
	}
	o.child.Prepare(func(e *evaluator.Options) {
		e.Past, e.Contents, e.Suspended = o.past, contents, o.rebooting.Load
		e.Rebooting = func(wait time.Duration) error {
			boot, err := bootID()
			if err != nil {
				return &transport.Error{Kind: transport.Unsupported, Message: "restart the machine: " + err.Error(), Err: err}
			}
			j.Skew = skew
			b, err := json.Marshal(marker{Boot: boot, Job: j})
			if err != nil {
				return err
			}
			if err := run.Save(markerFile, b); err != nil {
				return err
			}
			o.rebooting.Store(true)
			o.hub.add(entry{topic: TopicReboot, payload: []byte(wait.String())})
			return nil
		}
	})
	return nil
}

// resume loads a run that is to go on.
func (o *owner) resume(id string) error {
	s, err := stateDir()
	if err != nil {
		return err
	}
	run, err := s.store().Find(id)
	if err != nil {
		return err
	}
	m, err := readMarker(run)
	if err != nil {
		return fmt.Errorf("go on with run %s: %w", id, err)
	}
	if o.past, err = run.Read(m.Job.Info.Name); err != nil {
		return err
	}
	if len(o.past) == 0 {
		return errors.New("the journal of the run is empty")
	}
	for _, r := range o.past {
		if err := o.hub.Record(r); err != nil {
			return err
		}
	}
	m.Job.Wait = max(m.Job.Wait, 30*time.Second)
	o.jobs <- m.Job
	return nil
}

// careful makes each record durable once the machine goes down: what a controller has seen must be what the run goes on from.
type careful struct {
	*journal.Writer
	down *atomic.Bool
}

// Record implements journal.Sink.
func (c *careful) Record(r journal.Record) error {
	err := c.Writer.Record(r)
	if err == nil && c.down.Load() {
		err = c.Writer.Sync()
	}
	return err
}

// Line implements journal.LineSink.
func (c *careful) Line(typ string, line []byte) error {
	err := c.Writer.Line(typ, line)
	if err == nil && c.down.Load() {
		err = c.Writer.Sync()
	}
	return err
}
