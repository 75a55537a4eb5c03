package interp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.starlark.net/starlark"
)

// TestFiftyHostsShareLibraries executes one bundle for fifty hosts at once; the race detector listens.
func TestFiftyHostsShareLibraries(t *testing.T) {
	o := testOptions()
	var mu sync.Mutex
	runs := map[string]int{} // how often each library's top level ran
	o.Natives["_boom"] = starlark.NewBuiltin("_boom", func(th *starlark.Thread, _ *starlark.Builtin, _ starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		mu.Lock()
		defer mu.Unlock()
		runs[CallerPos(th).File]++
		return starlark.None, nil
	})
	in, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := openText(in, map[string]string{
		"web1.star": "load(\"a.star\", \"a\")\nload(\"b.star\", \"b\")\nmine = []\ndef main():\n    mine.append(host)\n    file.put(a(host) + b[\"k\"][0])\n    return mine\n",
		"a.star":    "load(\"c.star\", \"c\")\nboom()\nprint(\"a\")\ndef a(x):\n    return c + x\n",
		"b.star":    "load(\"c.star\", \"c\")\nboom()\nprint(\"b\")\nb = {\"k\": [c]}\n",
		"c.star":    "boom()\nprint(\"c\")\nc = \"\".join([str(i) for i in range(1000)])\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			host := fmt.Sprintf("web%d", i)
			r := &recorder{}
			inst, err := b.Exec(t.Context(), ExecOptions{
				Locals:  map[string]any{recorderKey: r},
				PerHost: starlark.StringDict{"host": starlark.String(host)},
				Print:   func(_ Position, msg string) { r.calls = append(r.calls, msg) },
			})
			if err != nil {
				t.Error(Explain(err))
				return
			}
			for n := range 3 {
				v, err := inst.Call("main", nil, nil)
				if err != nil || v.(*starlark.List).Len() != n+1 {
					t.Errorf("%s: %v, %v", host, v, err)
				}
			}
			if got := strings.Join(r.calls[:3], " "); got != "c a b" {
				t.Errorf("%s heard %s", host, got)
			}
			if len(r.calls) != 6 || !strings.Contains(r.calls[3], host) {
				t.Errorf("%s made %d calls", host, len(r.calls))
			}
		})
	}
	wg.Wait()
	for _, f := range []string{"a.star", "b.star", "c.star"} {
		if runs[f] != 1 {
			t.Errorf("%s ran %d times", f, runs[f])
		}
	}
}

// TestLoadOutlivesItsLeader: the host that happens to execute a library is interrupted; the others still get it.
func TestLoadOutlivesItsLeader(t *testing.T) {
	o := testOptions()
	started := make(chan struct{}, 2)
	proceed := make(chan struct{})
	o.Natives["_boom"] = starlark.NewBuiltin("_boom", func(th *starlark.Thread, _ *starlark.Builtin, _ starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		started <- struct{}{}
		select {
		case <-proceed:
			return starlark.None, nil
		case <-Context(th).Done():
			return nil, Context(th).Err()
		}
	})
	in, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := openText(in, map[string]string{"web1.star": "load(\"a.star\", \"a\")\n", "a.star": "boom()\na = 1\n"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { _, _, err := execText(ctx, b); first <- err }()
	<-started
	second := make(chan error)
	go func() { _, _, err := execText(t.Context(), b); second <- err }()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the first host: %v", err)
	}
	<-started
	close(proceed)
	if err := <-second; err != nil {
		t.Errorf("the second host: %v", err)
	}
}

func TestLibrariesAreFrozenAndHaveNoSession(t *testing.T) {
	in := newTest(t)
	for name, tt := range map[string]struct{ bundle, lib, want string }{
		"frozen":    {"load(\"a.star\", \"x\")\nx.append(1)\n", "x = []\n", "web1.star:2:9: append: cannot append to frozen list"},
		"effect":    {"load(\"a.star\", \"x\")\n", "x = 1\nfile.put(\"/etc/motd\")\n", "a.star:2:9: there is no session here"},
		"var":       {"load(\"a.star\", \"x\")\n", "x = var(\"x\")\n", "a.star:1:5: var is not available in a library (variables belong to bundles; take a parameter)"},
		"host":      {"load(\"a.star\", \"x\")\n", "def x():\n    return host\n", "a.star:2:12: host is not available in a library (a library has no host"},
		"natives":   {"_record(1)\n", "", "web1.star:1:1: undefined: _record"},
		"time":      {"time.now()\n", "", "web1.star:1:1: undefined: time"},
		"recursion": {"def f(n):\n    return f(n)\nf(1)\n", "", "web1.star:2:12: function f called recursively (there is no recursion"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := openText(in, map[string]string{"web1.star": tt.bundle, "a.star": tt.lib})
			if err == nil {
				_, _, err = execText(t.Context(), b)
			}
			f := Explain(err)
			if f == nil {
				t.Fatal("it went well")
			}
			f.Msg = strings.TrimSuffix(f.Msg, "\n")
			if got := f.Pos.String() + ": " + f.Msg + " (" + f.Hint + ")"; !strings.Contains(got, tt.want) {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestLibraryFailureIsShared: every host gets the error, with the same frames.
func TestLibraryFailureIsShared(t *testing.T) {
	in := newTest(t)
	b, err := openText(in, map[string]string{"web1.star": "load(\"a.star\", \"x\")\n", "a.star": "x = fail(\"no\")\n"})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, _, err := execText(t.Context(), b)
		var fe *FailError
		if !errors.As(err, &fe) || Explain(err).Pos.String() != "a.star:1:9" || Explain(err).Msg != "no" {
			t.Errorf("got %v", Explain(err))
		}
	}
}
