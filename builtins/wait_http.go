package builtins

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"fabgo/transport"
)

type waitHTTPArgs struct {
	patience
	URL      string            `arg:"url"`
	Status   starlark.Value    `arg:"status"`
	Text     string            `arg:"text"`
	Match    string            `arg:"match"`
	Method   string            `arg:"method"`
	Headers  map[string]string `arg:"headers"`
	Follow   bool              `arg:"follow"`
	Insecure bool              `arg:"insecure"`
	Request  time.Duration     `arg:"request_timeout"`
}

var (
	httpMethod = whenUsed(`^[A-Z]+$`)
	httpHeader = whenUsed(`^[A-Za-z0-9!#$%&'*+.^_|~-]+$`)
)

func (a waitHTTPArgs) check() ([]int, error) {
	if err := a.patience.check(); err != nil {
		return nil, err
	}
	u, err := url.Parse(a.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.ContainsAny(a.URL, " \t\r\n\x00\""):
		return nil, fmt.Errorf("url: %q is no address such as \"http://127.0.0.1:8080/health\"", a.URL)
	case u.User != nil:
		return nil, fmt.Errorf("url: it names a user: give headers = {\"Authorization\": ...}, so that no output shows the password")
	case !httpMethod().MatchString(a.Method):
		return nil, fmt.Errorf("method: %q is none such as \"GET\" or \"HEAD\"", a.Method)
	case a.Request < 10*time.Millisecond:
		return nil, fmt.Errorf("request_timeout: got %s, want 10ms or more", a.Request)
	}
	for _, k := range sortedKeys(a.Headers) {
		if !httpHeader().MatchString(k) {
			return nil, fmt.Errorf("headers: %q is no name of a header", k)
		}
		if err := oneLine("headers: "+k, a.Headers[k]); err != nil {
			return nil, fmt.Errorf("headers: %s holds a line break", k)
		}
	}
	return statusesOf(a.Status)
}

func statusesOf(v starlark.Value) ([]int, error) {
	it, ok := v.(starlark.Iterable)
	if !ok {
		it = starlark.Tuple{v}
	}
	var out []int
	iter := it.Iterate()
	defer iter.Done()
	for x := starlark.Value(nil); iter.Next(&x); {
		n, err := starlark.AsInt32(x)
		if err != nil || n < 100 || n > 599 {
			return nil, fmt.Errorf("status: got %s, want a status of HTTP, 100 to 599, or a list of such", x)
		}
		out = append(out, n)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("status: the list is empty")
	}
	return out, nil
}

// request is what curl reads on its standard input: no list of processes shows what headers hold.
func (a waitHTTPArgs) request(body bool) string {
	var b strings.Builder
	line := func(k, v string) {
		fmt.Fprintf(&b, "%s = \"%s\"\n", k, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v))
	}
	line("url", a.URL)
	line("max-time", strconv.FormatFloat(a.Request.Seconds(), 'f', -1, 64))
	line("write-out", `\n%{http_code}`)
	switch {
	case a.Method == "HEAD":
		b.WriteString("head\n")
	case a.Method != "GET":
		line("request", a.Method)
	}
	if !body {
		line("output", "/dev/null")
	}
	for _, k := range sortedKeys(a.Headers) {
		if a.Headers[k] == "" {
			line("header", k+";") // curl's word for an empty one
			continue
		}
		line("header", k+": "+a.Headers[k])
	}
	for _, f := range []struct {
		on   bool
		word string
	}{{true, "silent"}, {true, "show-error"}, {true, "globoff"}, {a.Follow, "location"}, {a.Insecure, "insecure"}} {
		if f.on {
			b.WriteString(f.word + "\n")
		}
	}
	return b.String()
}

func waitHTTP(c *call, a waitHTTPArgs) (starlark.Value, error) {
	statuses, err := a.check()
	re, perr := patternOf("match", a.Match)
	if err == nil {
		err = perr
	}
	if err == nil && a.Method == "HEAD" && (a.Text != "" || a.Match != "") {
		err = fmt.Errorf("method: the answer to HEAD has no text")
	}
	if err != nil {
		return nil, fmt.Errorf("wait.http: %w", err)
	}
	body := a.Text != "" || re.Regexp != nil
	stdin := transport.String(a.request(body))
	w := &wait{patience: a.patience, name: a.URL, each: a.Request + time.Second}
	w.look = func(ctx context.Context, h transport.Host) (bool, string, error) {
		c.Session.Hide(stdin)
		out, err := transport.Do[transport.Output](ctx, h, transport.Exec{Argv: transport.Texts("curl", "--disable", "--config", "-"), Stdin: &stdin, Timeout: w.each})
		if transport.KindOf(err) == transport.NotFound {
			return false, "", &transport.Error{Kind: transport.NotFound, Message: fmt.Sprintf("wait for %s: there is no curl", a.URL), Hint: "pkg.install(\"curl\") brings it", Err: err}
		}
		if err != nil {
			return false, "", err
		}
		if out.Code == 28 { // curl's own timeout: what it took counts
			w.waited += a.Request
		}
		if out.Code != 0 {
			return false, said(out, "it does not answer"), nil
		}
		text := string(out.Stdout)
		end := strings.LastIndexByte(text, '\n')
		code, _ := strconv.Atoi(text[end+1:])
		switch {
		case !slices.Contains(statuses, code):
			return false, fmt.Sprintf("it answers with status %d", code), nil
		case a.Text != "" && !strings.Contains(text[:max(end, 0)], a.Text):
			return false, fmt.Sprintf("its answer does not hold %q", a.Text), nil
		case re.Regexp != nil && !re.MatchString(text[:max(end, 0)]):
			return false, fmt.Sprintf("its answer does not match %q", a.Match), nil
		}
		return true, "", nil
	}
	return c.await(w)
}
