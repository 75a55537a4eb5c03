package builtins

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
)

// answers lets a command give one answer after the other, the last one for good.
func answers(f *fake.Fake, name string, outs ...transport.Output) (asked *int, stdin *string) {
	asked, stdin = new(int), new(string)
	f.OnExec(name, func(_ context.Context, _ *fake.Fake, op transport.Exec) (transport.Output, error) {
		out := outs[min(*asked, len(outs)-1)]
		*asked++
		if op.Stdin != nil {
			b, err := op.Stdin.ReadAll(1 << 20)
			if err != nil {
				return out, err
			}
			*stdin = string(b)
		}
		return out, nil
	})
	return asked, stdin
}

var refused = transport.Output{Code: 1, Stderr: "bash: connect: Connection refused\nbash: line 1: /dev/tcp/127.0.0.1/80: Connection refused\n"}

func TestWaitPort(t *testing.T) {
	s, f := newFake(t)
	asked, _ := answers(f, "sh", refused, refused, transport.Output{})
	p := s.run(`wait.port(80)`).ok()
	if *asked != 3 || p.status() != "wait.port wait:127.0.0.1:80 ok" {
		t.Errorf("after %d looks: %s", *asked, p.status())
	}
	// the journal of a wait plays again, without a host
	again := *s
	again.again, again.host = p, transport.HostFunc(func(context.Context, transport.Op) (transport.Result, error) { panic("no host") })
	if got := again.run(`wait.port(80)`).ok().status(); got != p.status() {
		t.Errorf("the replay says %s", got)
	}
	asked, _ = answers(f, "sh", refused)
	s.run(`wait.port(80, host = "db", timeout = 10)`).fails(journal.Broken, "wait for db:80: after 10s nothing listens there (Connection refused)")
	if *asked != 11 {
		t.Errorf("10 seconds were %d looks", *asked)
	}
	asked, _ = answers(f, "sh", refused)
	p = s.plan(`wait.port(80, host = "::1")`).ok()
	if *asked != 1 || p.status() != "wait.port wait:[::1]:80 unknown" || len(p.changedResources()) > 0 {
		t.Errorf("the plan, after %d looks: %s", *asked, p.status())
	}
	p = s.plan("file.put(\"/etc/motd\", content = \"x\")\nwait.port(80)\nfile.put(\"/etc/issue\", content = \"x\")").ok()
	if !strings.Contains(p.status(), "wait:127.0.0.1:80 unknown\nfile.put file:/etc/issue changed") {
		t.Errorf("the plan: %s", p.status())
	}
	s.run(`wait.port(80, closed = True)`).ok()
	answers(f, "sh", transport.Output{})
	s.run(`wait.port(80, closed = True, timeout = 2)`).fails(journal.Broken, "something listens there")
	answers(f, "sh", transport.Output{Code: 127, Stderr: "neither bash nor nc is there\n"})
	s.run(`wait.port(80)`).fails(journal.Broken, "brings one")
	f.OnExec("sh", func(context.Context, *fake.Fake, transport.Exec) (transport.Output, error) {
		return transport.Output{}, &transport.Error{Kind: transport.Timeout, Message: "it did not end within 4s and was killed"}
	})
	s.run(`wait.port(80, timeout = 10, connect_timeout = 4)`).fails(journal.Broken, "no answer within 4s")
	s.run(`wait.port(80, closed = True)`).ok()
}

// TestWaitPortReally asks this machine.
func TestWaitPortReally(t *testing.T) {
	s := newLocal(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	go func() { // until it is closed
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			_, _ = c.Write([]byte("220 here \\ we are\r\nmore\n"))
			_ = c.Close()
		}
	}()
	s.run(`wait.port(` + port + `)`).ok()
	s.run(`wait.port(` + port + `, match = "^220 .*\\\\ we")`).ok()
	s.run(`wait.port(`+port+`, match = "^221", timeout = 1)`).fails(journal.Broken, `it greets with "220 here \\ we are`)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s.run(`wait.port(`+port+`, timeout = 1)`).fails(journal.Broken, "Connection refused")
	s.run(`wait.port(` + port + `, closed = True)`).ok()
}

func TestWaitHTTP(t *testing.T) {
	body := func(status int, text string) transport.Output {
		return transport.Output{Stdout: transport.Text(fmt.Sprintf("%s\n%d", text, status))}
	}
	down := transport.Output{Code: 7, Stderr: "curl: (7) Failed to connect to 127.0.0.1 port 80\n"}
	s, f := newFake(t)
	s.run(`wait.http("http://127.0.0.1/")`).fails(journal.Broken, `pkg.install("curl")`)
	for _, c := range []struct {
		name, args string
		answers    []transport.Output
		looks      int
		fails      string
	}{
		{"comes up", ``, []transport.Output{down, body(503, ""), body(200, "")}, 3, ""},
		{"another status", `, status = [404, 401]`, []transport.Output{body(200, ""), body(401, "")}, 2, ""},
		{"text", `, text = "ready"`, []transport.Output{body(200, "not yet"), body(200, "it is\nready.")}, 2, ""},
		{"match", `, match = "^ready \\d+$"`, []transport.Output{body(200, "not ready 5"), body(200, "it is\nready 7\n")}, 2, ""},
		{"down", `, timeout = 3`, []transport.Output{down}, 4, "after 3s it does not answer (curl: (7) Failed to connect"},
		{"status", `, timeout = 1`, []transport.Output{body(500, "")}, 2, "it answers with status 500"},
		{"other text", `, timeout = 1, text = "ready"`, []transport.Output{body(200, "no")}, 2, `does not hold "ready"`},
		{"no match", `, timeout = 1, match = "re+dy"`, []transport.Output{body(200, "no")}, 2, `does not match "re+dy"`},
		{"slow", `, timeout = 25`, []transport.Output{{Code: 28, Stderr: "curl: (28) Operation timed out\n"}}, 3, "Operation timed out"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.on(t)
			asked, _ := answers(f, "curl", c.answers...)
			p := s.run(`wait.http("http://127.0.0.1/"` + c.args + `)`)
			if c.fails == "" {
				p.ok()
			} else {
				p.fails(journal.Broken, c.fails)
			}
			if *asked != c.looks {
				t.Errorf("%d looks, want %d", *asked, c.looks)
			}
		})
	}
	_, stdin := answers(f, "curl", body(200, "x"))
	p := s.run(`wait.http("https://[::1]:8443/a?b=%22", text = "x", method = "POST", headers = {"X-Key": "s3cr\"et\\", "Empty": ""}, follow = True, insecure = True, request_timeout = "1500ms")`).ok()
	want := "url = \"https://[::1]:8443/a?b=%22\"\nmax-time = \"1.5\"\nwrite-out = \"\\\\n%{http_code}\"\nrequest = \"POST\"\nheader = \"Empty;\"\nheader = \"X-Key: s3cr\\\"et\\\\\"\nsilent\nshow-error\ngloboff\nlocation\ninsecure\n"
	if *stdin != want {
		t.Errorf("curl read\n%s\nwant\n%s", *stdin, want)
	}
	for _, content := range p.kept {
		if b, _ := content.ReadAll(1 << 20); strings.Contains(string(b), "s3cr") {
			t.Error("the journal keeps the headers")
		}
	}
	if got := s.plan(`wait.http("http://127.0.0.1/", status = 204)`).ok().status(); got != "wait.http wait:http://127.0.0.1/ unknown" {
		t.Errorf("the plan: %s", got)
	}
}

func TestWaitFile(t *testing.T) {
	s, f := newFake(t)
	s.run(`wait.file("/etc/hostname")`).ok()
	s.run(`wait.file("/etc/hostname", match = "^fa[k]e$")`).ok()
	s.run(`wait.file("/etc/nothing", absent = True)`).ok()
	s.run(`wait.file("/etc/nothing", timeout = 2)`).fails(journal.Broken, "after 2s it is not there")
	s.run(`wait.file("/etc/nothing", match = "x", timeout = 2)`).fails(journal.Broken, "it is not there")
	s.run(`wait.file("/etc/hostname", absent = True, timeout = 2)`).fails(journal.Broken, "it is still there")
	s.run(`wait.file("/etc/hostname", match = "x", timeout = 2)`).fails(journal.Broken, `nothing in it matches "x"`)
	p := s.plan("file.put(\"/etc/made\", content = \"ready\")\nwait.file(\"/etc/made\", match = \"ready\")\nwait.file(\"/etc/nothing\")").ok()
	if !strings.Contains(p.status(), "wait:/etc/made ok\nwait.file wait:/etc/nothing unknown") {
		t.Errorf("the plan: %s", p.status())
	}
	if len(f.Commands()) > 0 {
		t.Errorf("it executed %q", f.Commands())
	}
}

func TestWaitRefusals(t *testing.T) {
	s, _ := newFake(t)
	for _, c := range []struct{ source, want string }{
		{`wait.port(0)`, "is no port"},
		{`wait.port(70000)`, "is no port"},
		{`wait.port("http")`, "want a whole number"},
		{`wait.port(80, host = "a b")`, "is no name or address"},
		{`wait.port(80, host = "-a")`, "is no name or address"},
		{`wait.port(80, host = "a/b")`, "is no name or address"},
		{`wait.port(80, interval = 0)`, "want 10ms or more"},
		{`wait.port(80, timeout = "2d")`, "want 24h or less"},
		{`wait.port(80, connect_timeout = 0)`, "connect_timeout"},
		{`wait.port(80, match = "(")`, "match"},
		{`wait.port(80, match = "x", closed = True)`, "sends nothing"},
		{`wait.http("127.0.0.1")`, "is no address"},
		{`wait.http("ftp://x/")`, "is no address"},
		{`wait.http("http://x/ y")`, "is no address"},
		{`wait.http("http://u:p@x/")`, "it names a user"},
		{`wait.http("http://x/", status = 42)`, "want a status of HTTP"},
		{`wait.http("http://x/", status = "ok")`, "want a status of HTTP"},
		{`wait.http("http://x/", status = [])`, "the list is empty"},
		{`wait.http("http://x/", method = "get it")`, "is none such as"},
		{`wait.http("http://x/", method = "HEAD", text = "x")`, "has no text"},
		{`wait.http("http://x/", match = "(")`, "match"},
		{`wait.http("http://x/", headers = {"A B": "x"})`, "is no name of a header"},
		{`wait.http("http://x/", headers = {"A": "x\ny"})`, "holds a line break"},
		{`wait.http("http://x/", request_timeout = 0)`, "request_timeout"},
		{`wait.file("x")`, "is not absolute"},
		{`wait.file("/x", match = "(")`, "match"},
		{`wait.file("/x", match = "x", absent = True)`, "has no content"},
	} {
		s.run(c.source).fails(journal.Invalid, c.want)
	}
}
