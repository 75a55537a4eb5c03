package beside

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"fabgo/internal/helper"
	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/wire"
)

// receive takes a message of the helper. An error ends the connection.
func (s *session) receive(c *wire.Conn, topic string, payload []byte) error {
	switch topic {
	case helper.TopicHello:
		var h helper.Hello
		if err := json.Unmarshal(payload, &h); err != nil {
			return fmt.Errorf("the helper's greeting: %w", err)
		}
		if h.Version != s.Version || h.Prelude != s.Prelude {
			return fmt.Errorf("the helper is fabgo %s, not %s as here: build the helpers of this version (make release)", h.Version, s.Version)
		}
		s.hello = true
	case helper.TopicNotice:
		s.Notice(string(payload))
	case helper.TopicLocked:
		var h helper.Holder
		if err := json.Unmarshal(payload, &h); err != nil {
			return err
		}
		s.Notice("waiting for another run: " + h.String())
	case helper.TopicReboot:
		wait, err := time.ParseDuration(string(payload))
		if err != nil {
			return fmt.Errorf("the restart of the host: %w", err)
		}
		s.restart = max(wait, time.Minute)
	case helper.TopicRecord:
		return s.record(payload)
	case helper.TopicKeep:
		return s.keep(c, payload)
	case helper.TopicDone:
		var d helper.Done
		if err := json.Unmarshal(payload, &d); err != nil {
			return fmt.Errorf("the end of the run: %w", err)
		}
		if s.done == nil {
			s.done = &d
			close(s.ended)
		}
	}
	return nil
}

func (s *session) record(payload []byte) error {
	if s.failed != nil {
		return s.failed
	}
	if !s.hello {
		return errors.New("the helper sends records before it has said who it is")
	}
	var r journal.Record
	if err := r.UnmarshalJSON(payload); err != nil { // not json.Unmarshal, which would go through it once more
		return fmt.Errorf("a record of the helper: %w", err)
	}
	r.Host = s.name // the host does not choose whose records it writes
	s.records++
	s.began = true
	if err := s.each(func(k journal.Sink) error { return k.Record(r) }); err != nil {
		return err
	}
	if _, ok := r.Body.(journal.Finish); ok {
		return s.each(journal.Sink.Sync)
	}
	return nil
}

// keep stores a content that the records name: at once when its bytes have come along, else beside the reading.
func (s *session) keep(c *wire.Conn, payload []byte) error {
	var f helper.File
	if err := json.Unmarshal(payload, &f); err != nil {
		return fmt.Errorf("a content of the helper: %w", err)
	}
	if own, ok := s.own[f.Content.Digest]; ok {
		return s.each(func(k journal.Sink) error { return k.Keep(own) })
	}
	if f.Bytes != nil || f.Content.Size == 0 {
		content := transport.Bytes(f.Bytes)
		return s.each(func(k journal.Sink) error { return k.Keep(content) })
	}
	if f.Content.Size > journal.KeepLimit {
		return nil
	}
	s.pulls.Go(func() {
		b, err := c.Remote(f.Content).ReadAll(journal.KeepLimit)
		if err != nil {
			return // it is a copy: the journal names it all the same
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = s.each(func(k journal.Sink) error { return k.Keep(transport.Bytes(b)) })
	})
	return nil
}

// ask answers an Ask. Nothing else is answered here: the helper has a host of its own.
func (s *session) ask(ctx context.Context, op transport.Op) (transport.Result, error) {
	a, ok := op.(transport.Ask)
	if !ok {
		return nil, &transport.Error{Kind: transport.Refused, Message: op.Kind() + ": the controller is no host"}
	}
	res, err := s.Controller.Do(ctx, a)
	if d, ok := res.(transport.Data); ok && err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if a.What == transport.AskFile || a.What == transport.AskFiles {
			s.offers = append(s.offers, d.Content) // also on the connections to come
		}
		if !a.Unseen {
			s.own[d.Content.Digest] = d.Content
		}
	}
	return res, err
}

func (s *session) call(_ context.Context, name string, args []byte, content *transport.Content) ([]byte, error) {
	if name != helper.CallDeliver || content == nil {
		return nil, &transport.Error{Kind: transport.Unsupported, Message: name + ": the controller does not know this"}
	}
	if s.starter.plan {
		return nil, &transport.Error{Kind: transport.Refused, Message: "a plan writes nothing, here neither"}
	}
	return nil, s.Deliver(string(args), *content)
}
