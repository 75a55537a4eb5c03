// Package beside plays bundles beside their hosts: it brings the helper there, hands it the bundle, reads the journal that it streams, and
// answers what it asks.
//
// The one rule: the helper is on a machine that may be in anybody's hands. It is told what the bundle needs and answered what the
// bundle names, and nothing else of this machine.
//
// The trap: the connection can end at any byte. What was read is counted in records, and the run goes on without us; whoever comes back
// says how many records are known.
//
// The promise: each record reaches the sinks once and in order, whatever happened to the connections.
package beside

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"fabgo/internal/helper"
	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/wire"
)

// Options are what a session needs of its controller.
type Options struct {
	Far      Far
	Binaries *Binaries
	Root     bool   // the acting user is root
	At       string // where on the host this program stands already; "" when it does not
	Version  string
	Prelude  string // its digest

	// Controller answers Ask ops.
	Controller transport.Host
	// Deliver puts a file of the host on the controller.
	Deliver func(name string, c transport.Content) error
	// Sinks take the records.
	Sinks []journal.Sink
	// Notice shows a line that belongs to no record.
	Notice func(text string)
	// Upload tells how much of the helper has left for the host, when that takes longer than a second, and again and again. nil: nobody is told.
	Upload func(sent, size int64)
	// Reconnect is for how long a lost connection is tried again. 0: not at all.
	Reconnect time.Duration
	Now       func() time.Time
}

// Locked says that another run holds the lock of the host.
type Locked struct{ Holder helper.Holder }

func (e *Locked) Error() string {
	return fmt.Sprintf("another run is under way on the host: %s", e.Holder)
}

// Failed says that a run could not begin on its host.
type Failed struct{ Why *transport.Error }

func (e *Failed) Error() string { return e.Why.Error() }
func (e *Failed) Unwrap() error { return e.Why }

// session is one job on its host, across connections.
type session struct {
	Options
	starter starter
	run     string
	name    string

	answers bool // this controller began the run, and knows its bundle

	mu      sync.Mutex
	hello   bool
	records int
	sent    bool          // something was sent to a helper
	began   bool          // a record has come
	restart time.Duration // the host restarts, and has to be back within that; 0: it does not
	done    *helper.Done
	failed  error // of a sink
	broken  error // of what the helper said
	offers  []transport.Content
	own     map[transport.Digest]transport.Content // what the helper has from here
	pulls   sync.WaitGroup
	ended   chan struct{}
}

// Play has a job done and returns when its end has been read. Before anything has begun the error can be an *Unable, a *Locked or what kept
// the connection from coming about; later, only that the journal could not be written. When soft ends, the step under way is the
// last; when hard ends, it is cut off.
func Play(soft, hard context.Context, j helper.Job, o Options) (journal.Verdict, error) {
	s := newSession(o, j.Holder.Run, j.Info.Name, j.Mode == journal.Planning)
	for _, f := range j.Files {
		s.own[f.Content.Digest] = f.Content
		if f.Bytes == nil {
			s.offers = append(s.offers, f.Content)
		}
	}
	j.Now = o.Now()
	packed, err := helper.EncodeJob(j)
	if err != nil {
		return journal.Invalid, err
	}
	mode := helper.ModeRun
	if j.Mode == journal.Planning {
		mode = helper.ModePlan
	}
	s.answers = true
	s.starter.abort = func(c *wire.Conn) { s.tell(c, helper.TopicKill, hard) }
	s.starter.soft, s.starter.halt = soft, func(c *wire.Conn) { s.tell(c, helper.TopicStop, soft) }
	c, err := s.connect(hard, mode, "", func(c *wire.Conn) error { return c.Send(helper.TopicJob, packed) })
	if err != nil && s.sent && mode == helper.ModeRun && transport.KindOf(err) == transport.Unreachable {
		c, err = s.reconnect(soft, hard, err) // the job may have got there, and the run begun
	}
	if err != nil {
		return journal.Unreachable, err
	}
	return s.follow(soft, hard, c)
}

// Attach follows a run that is under way on a host, or was: the one of an ID, or with "" the one that holds the lock, or the latest. Its
// records come from the first on. When leave ends, it is left to itself; stop has it end after the step under way.
func Attach(leave context.Context, name, run string, stop bool, o Options) (journal.Verdict, error) {
	s := newSession(o, run, name, false)
	c, err := s.attach(leave)
	if err != nil {
		return journal.Unreachable, err
	}
	soft, end := context.WithCancelCause(context.Background())
	defer end(nil)
	if stop {
		end(errors.New("fabgo attach --stop"))
	}
	left := context.AfterFunc(leave, func() { s.leave(c) })
	defer left()
	return s.follow(soft, context.Background(), c)
}

// errLeft says that a run was left to itself.
var errLeft = errors.New("left")

func (s *session) leave(c *wire.Conn) {
	s.mu.Lock()
	s.failed = errLeft
	s.mu.Unlock()
	c.Close()
}

// Left reports whether Attach returned because it was told to leave.
func Left(err error) bool { return errors.Is(err, errLeft) }

func newSession(o Options, run, name string, plan bool) *session {
	s := &session{Options: o, run: run, name: name, ended: make(chan struct{}), own: map[transport.Digest]transport.Content{}}
	s.starter = starter{far: o.Far, binaries: o.Binaries, root: o.Root, plan: plan, at: o.At, upload: o.Upload}
	return s
}

func (s *session) attach(ctx context.Context) (*wire.Conn, error) {
	s.mu.Lock()
	known, err := json.Marshal(helper.Attach{Records: s.records, Answers: s.answers})
	restart := s.restart
	s.restart = 0 // a helper that has not gone down yet says it again
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	mode := helper.ModeAttach
	if restart > 0 {
		mode = helper.ModeResume
	}
	c, err := s.connect(ctx, mode, s.run, func(c *wire.Conn) error { return c.Send(helper.TopicAttach, known) })
	if err != nil {
		s.mu.Lock()
		s.restart = restart
		s.mu.Unlock()
	}
	return c, err
}

// connect starts a helper and sends it what it has to know first.
func (s *session) connect(ctx context.Context, mode, arg string, first func(*wire.Conn) error) (*wire.Conn, error) {
	var current *wire.Conn
	return s.starter.start(ctx, mode, arg, wire.Options{
		Host: transport.HostFunc(s.ask),
		Call: s.call,
		Receive: func(topic string, payload []byte) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			err := s.receive(current, topic, payload)
			if err != nil && s.failed == nil {
				s.broken = err
			}
			return err
		},
	}, func(c *wire.Conn) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		current, s.sent = c, true
		for _, content := range s.offers {
			c.Offer(content)
		}
		return first(c)
	})
}

// follow reads until the end, on new connections where the old ones are lost.
func (s *session) follow(soft, hard context.Context, c *wire.Conn) (journal.Verdict, error) {
	told := 0                   // how much of the interrupt the helper was told: 1 soft, 2 hard
	var enough <-chan time.Time // when a helper that was told to cut off has had its time
	for {
		softDone, hardDone := soft.Done(), hard.Done()
		if told > 0 {
			softDone = nil
		}
		if told > 1 {
			hardDone = nil
		}
		select {
		case <-s.ended:
			return s.finish(c)
		case <-softDone:
			told = 1
			s.tell(c, helper.TopicStop, soft)
			if !s.answers {
				c.Flush()
				s.Notice("told to end: the step under way is the last one")
			}
		case <-hardDone:
			told = 2
			enough = time.After(lastWord)
			s.tell(c, helper.TopicKill, hard)
		case <-enough:
			return s.mute(c, context.Cause(hard))
		case <-c.Done():
			select {
			case <-s.ended:
				return s.finish(c)
			default:
			}
			next, err := s.reconnect(soft, hard, c.Err())
			if err != nil {
				return s.lost(err)
			}
			c, told = next, 0
		}
	}
}

// lastWord is how long a helper that was told to cut off what is under way may take to say how that ended.
const lastWord = 10 * time.Second

// mute ends the session of a run whose host was told to cut it off and says nothing.
func (s *session) mute(c *wire.Conn, why error) (journal.Verdict, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ended: // just now
		go c.Close()
		return s.done.Verdict, s.failed
	default:
	}
	s.failed = cmp.Or(s.failed, errMute) // what still comes is not recorded behind the end
	go c.Close()
	if s.failed != errMute {
		return journal.Unreachable, s.failed
	}
	status := journal.Interrupted
	e := &transport.Error{Kind: transport.Interrupted, Message: why.Error(), Err: why}
	if te, ok := errors.AsType[*transport.Error](why); ok {
		status, e.Kind, e.Message = journal.Broken, te.Kind, te.Message
	}
	e.Message += fmt.Sprintf("; the host was told, and has not answered for %s: what became of the step under way is not known", lastWord)
	if !s.starter.plan {
		e.Hint = fmt.Sprintf("`fabgo attach %s` asks again", s.name)
	}
	return s.endAs(status, e)
}

var errMute = errors.New("the host does not answer")

// finish takes leave of the helper when all that it names has been read.
func (s *session) finish(c *wire.Conn) (journal.Verdict, error) {
	s.pulls.Wait()
	_ = c.Send(helper.TopicBye, nil)
	c.Flush()
	s.starter.stream.Flush() // a helper that does not hear it would wait for us to come back
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.done
	switch {
	case s.failed != nil:
		return d.Verdict, s.failed
	case d.Locked != nil:
		return journal.Broken, &Locked{*d.Locked}
	case d.NoRun && s.answers:
		return journal.Unreachable, &transport.Error{Kind: transport.Unreachable, Message: "the connection was lost before the run began; nothing was changed"}
	case d.NoRun:
		return journal.Unreachable, &transport.Error{Kind: transport.NotFound, Message: d.Error, Hint: d.Hint}
	case d.Error != "":
		e := &transport.Error{Kind: cmp.Or(d.Kind, transport.IO), Message: d.Error, Hint: d.Hint}
		if !s.began {
			e.Message = "begin the run on the host: " + e.Message
			return journal.Broken, &Failed{e}
		}
		if e.Kind == transport.Lost {
			return s.end(e)
		}
		return s.endAs(journal.Broken, e)
	}
	return d.Verdict, nil
}

// reconnect tries to come back to the run.
func (s *session) reconnect(soft, hard context.Context, why error) (*wire.Conn, error) {
	s.mu.Lock()
	failed, began, patience := cmp.Or(s.failed, s.broken), s.began, s.Reconnect
	restarting := s.restart > 0
	if restarting {
		patience = s.restart
	}
	s.mu.Unlock()
	if failed != nil { // it would fail again
		return nil, failed
	}
	if s.starter.plan || patience <= 0 || !began && s.run == "" {
		return nil, why
	}
	switch {
	case restarting:
		s.Notice(fmt.Sprintf("the host restarts; waiting for it for up to %s", patience))
	case began:
		s.Notice(fmt.Sprintf("the connection was lost, the run goes on there; connecting again for %s (%v)", patience, why))
	default:
		s.Notice(fmt.Sprintf("the connection was lost, the run may have begun; connecting again for %s (%v)", patience, why))
	}
	end := time.Now().Add(patience)
	unable := 0
	for pause := 200 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		ctx, cancel := context.WithDeadline(hard, end)
		c, err := s.attach(ctx)
		cancel()
		if err == nil {
			s.Notice("connected again")
			return c, nil
		}
		switch kind := transport.KindOf(err); {
		case kind == transport.HostKey, !restarting && (kind == transport.Auth || kind == transport.Escalation): // while it starts, it may let nobody in
			return nil, err
		}
		if u, ok := errors.AsType[*Unable](err); ok && !restarting {
			if unable++; unable == 3 { // once can be a run that ended just as we came to it
				return nil, u
			}
		}
		why = err
		if time.Until(end) < pause {
			return nil, why
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)): // jittered: many hosts may have been lost at once
		case <-soft.Done():
			return nil, context.Cause(soft)
		}
	}
}

// lost ends the session of a run that could not be followed to its end.
func (s *session) lost(why error) (journal.Verdict, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return journal.Unreachable, s.failed
	}
	if s.broken != nil {
		e := &transport.Error{Kind: transport.Protocol, Message: s.broken.Error(), Err: s.broken}
		if !s.began {
			return journal.Broken, &Failed{e}
		}
		return s.endAs(journal.Broken, e)
	}
	if !s.began && s.starter.plan {
		return journal.Unreachable, &transport.Error{Kind: transport.Unreachable, Message: "the connection was lost: " + why.Error(), Err: why}
	}
	e := &transport.Error{Kind: transport.Lost, Message: "the connection was lost, so the end of the run is not known here: " + why.Error(), Err: why}
	if !s.starter.plan {
		e.Hint = fmt.Sprintf("the run goes on on the host: `fabgo attach %s` follows it", s.name)
	}
	if k := transport.KindOf(why); k == transport.HostKey || k == transport.Auth {
		e.Kind, e.Message, e.Hint = k, why.Error(), ""
	}
	return s.end(e)
}

// end writes the end of a session that has not brought its own.
func (s *session) end(e *transport.Error) (journal.Verdict, error) {
	return s.endAs(journal.Unreachable, e)
}

func (s *session) endAs(status journal.Verdict, e *transport.Error) (journal.Verdict, error) {
	if !s.began && status == journal.Unreachable {
		return status, e
	} else if !s.began {
		return status, &Failed{e}
	}
	f := journal.Failure{Kind: e.Kind, Message: e.Message, Hint: e.Hint}
	rec := journal.Record{Host: s.name, Time: s.Now(), Body: journal.Finish{Status: status, Error: &f}}
	err := s.each(func(k journal.Sink) error { return errors.Join(k.Record(rec), k.Sync()) })
	return status, err
}

func (s *session) tell(c *wire.Conn, topic string, ctx context.Context) {
	_ = c.Send(topic, helper.EncodeReason(context.Cause(ctx))) // a connection that is lost is seen as such
}

func (s *session) each(f func(journal.Sink) error) error {
	var first error
	for _, k := range s.Sinks {
		if err := f(k); err != nil && first == nil {
			first = err
		}
	}
	if first != nil && s.failed == nil {
		s.failed = fmt.Errorf("write journal: %w", first)
	}
	return first
}
