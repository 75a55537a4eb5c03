package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"fabgo/builtins"
	"fabgo/internal/helper"
	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/wire"
)

// liar makes the test binary a helper that lies: liar HOW FILE helper MODE. What it was answered goes to the file.
const liar = "liar"

// lie speaks the helper's part of the protocol, badly.
func lie(how, file string) error {
	job := make(chan struct{}, 1)
	c := wire.New(os.Stdin, os.Stdout, os.Stdin.Close, wire.Options{Receive: func(topic string, _ []byte) error {
		if topic == helper.TopicJob || topic == helper.TopicAttach {
			select {
			case job <- struct{}{}:
			default:
			}
		}
		return nil
	}})
	defer c.Close()
	send := func(topic string, v any) {
		b, err := json.Marshal(v)
		if err == nil {
			_ = c.Send(topic, b)
		}
	}
	record := func(host string, b journal.Body) {
		line, err := (journal.Record{Host: host, Time: time.Now(), Body: b}).MarshalJSON()
		if err == nil {
			_ = c.Send(helper.TopicRecord, line)
		}
	}
	hello := helper.Hello{Version: version, Prelude: builtins.PreludeDigest()}
	switch how {
	case "other version":
		hello.Version = "v0.0.1"
	case "no hello":
		<-job
		record("web1", journal.Start{Schema: journal.Schema, Mode: journal.Running})
		<-c.Done()
		return nil
	}
	send(helper.TopicHello, hello)
	<-job
	start := journal.Start{Schema: journal.Schema, Run: "../../evil", Mode: journal.Running}
	switch how {
	case "asks":
		var b strings.Builder
		for _, ask := range []transport.Ask{
			{What: transport.AskFile, Name: "//vars/all.json"}, {What: transport.AskFile, Name: "//.git/config"}, {What: transport.AskFile, Name: "/etc/passwd"},
			{What: transport.AskFile, Name: "//../key"}, {What: transport.AskFile, Name: "//free"}, {What: transport.AskTree, Name: "//"}, {What: transport.AskTree, Name: "/"},
			{What: "shell", Name: "id"},
		} {
			_, err := c.Do(context.Background(), ask)
			fmt.Fprintf(&b, "%s %s: %v\n", ask.What, ask.Name, err)
		}
		for _, op := range []transport.Op{transport.Read{Path: "/etc/passwd"}, transport.Exec{Argv: transport.Texts("id"), Change: true}, transport.Write{Path: transport.Path(file + ".written"), Content: transport.String("x")}} {
			_, err := c.Do(context.Background(), op)
			fmt.Fprintf(&b, "%s: %v\n", op.Kind(), err)
		}
		content := transport.String("evil")
		for _, name := range []string{"//lie.star", "//lib/x.star", "//.git/hooks/pre-commit", "//vars/all.json", "/root/.ssh/authorized_keys", file + ".delivered", "//../up", "//got/motd"} {
			_, err := c.Call(context.Background(), helper.CallDeliver, []byte(name), &content)
			fmt.Fprintf(&b, "deliver %s: %v\n", name, err)
		}
		_, err := c.Call(context.Background(), "exec", []byte("id"), nil)
		fmt.Fprintf(&b, "exec: %v\n", err)
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			return err
		}
		record("web1", start)
		record("web1", journal.Finish{Status: journal.Finished})
	case "others":
		record("web2", start)
		record("../../web3", journal.Finish{Status: journal.Finished})
	case "escapes":
		_ = c.Send(helper.TopicNotice, []byte("a notice \x1b]0;evil\x07\u202e"))
		record("web1", start)
		record("web1", journal.Begin{Builtin: "note\x1b[2J", Resource: "x\x1b[31m"})
		record("web1", journal.Finish{Status: journal.Broken, Error: &journal.Failure{Message: "broken \x1b]0;evil\x07"}})
	case "no record":
		_ = c.Send(helper.TopicRecord, []byte(`{"type":"nonsense"`))
		<-c.Done()
		return nil
	case "floods":
		record("web1", start)
		for n := 0; ; n++ {
			select {
			case <-c.Done():
				return nil
			default:
				send(helper.TopicNotice, "again and again")
			}
		}
	case "large":
		record("web1", start)
		_, err := os.Stdout.Write([]byte{0xff, 0xff, 0xff, 0xff, 'm'})
		<-c.Done()
		return err
	}
	send(helper.TopicDone, helper.Done{Verdict: journal.Finished})
	<-c.Done()
	return nil
}
