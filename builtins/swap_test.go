package builtins

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
)

// swappable lets dd, mkswap, swapon and swapoff do what they do, and /proc/swaps show it.
func swappable(f *fake.Fake) {
	active := map[string]string{}
	show := func() {
		text := "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
		for _, p := range sortedKeys(active) {
			text += fmt.Sprintf("%s file\t\t1020\t\t0\t\t%s\n", fstabEscapes.Replace(p), active[p])
		}
		f.WriteFile("/proc/swaps", text, "0444")
	}
	show()
	last := func(op transport.Exec) transport.Path { return transport.Path(op.Argv[len(op.Argv)-1]) }
	f.OnExec("dd", func(_ context.Context, f *fake.Fake, op transport.Exec) (transport.Output, error) {
		count, _ := strconv.Atoi(strings.TrimPrefix(string(op.Argv[4]), "count="))
		if count > 100 {
			return transport.Output{Code: 1, Stderr: "dd: error writing: No space left on device\n"}, nil
		}
		f.WriteFile(transport.Path(strings.TrimPrefix(string(op.Argv[2]), "of=")), strings.Repeat("\x00", count*mebibyte), "0600")
		return transport.Output{}, nil
	})
	f.OnExec("mkswap", func(_ context.Context, f *fake.Fake, op transport.Exec) (transport.Output, error) {
		text, _ := f.ReadFile(last(op))
		f.WriteFile(last(op), text[:4086]+swapSignature+text[4096:], "0600")
		return transport.Output{}, nil
	})
	f.OnExec("swapon", func(_ context.Context, _ *fake.Fake, op transport.Exec) (transport.Output, error) {
		active[string(last(op))] = "-2"
		if len(op.Argv) == 4 {
			active[string(last(op))] = string(op.Argv[2])
		}
		show()
		return transport.Output{}, nil
	})
	f.OnExec("swapoff", func(_ context.Context, _ *fake.Fake, op transport.Exec) (transport.Output, error) {
		delete(active, string(last(op)))
		show()
		return transport.Output{}, nil
	})
}

func TestSwapLaws(t *testing.T) {
	s, f := newFake(t)
	swappable(f)
	for _, c := range []struct{ name, source, fstab, swaps string }{
		{"new", `swap.file("/swap file", size = "2M")`, "/swap\\040file\tnone\tswap\tsw\t0\t0\n", "/swap\\040file file -2"},
		{"priority", `swap.file("/swap file", size = "2MiB", priority = 5)`, "/swap\\040file\tnone\tswap\tsw,pri=5\t0\t0\n", "/swap\\040file file 5"},
		{"larger", `swap.file("/swap file", size = 3145728)`, "/swap\\040file\tnone\tswap\tsw\t0\t0\n", "/swap\\040file file -2"},
		{"absent", `swap.absent("/swap file")`, "", ""},
		{"for now", `swap.file("/s", size = "1M", persist = False)`, "", "/s file -2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.on(t).law(c.source, f.Snapshot)
			holds(t, f, fstabFile, c.fstab)
			swaps, _ := f.ReadFile("/proc/swaps")
			var shown []string
			for _, line := range strings.Split(strings.TrimSpace(swaps), "\n")[1:] {
				w := strings.Fields(line)
				shown = append(shown, w[0]+" "+w[1]+" "+w[4])
			}
			if got := strings.Join(shown, "\n"); got != c.swaps {
				t.Errorf("active is %q, want %q", got, c.swaps)
			}
		})
	}
	if _, ok := f.ReadFile("/swap file"); ok {
		t.Error("the file is still there")
	}
	if _, err := f.Do(t.Context(), transport.SetAttr{Path: "/s", Mode: "0644"}); err != nil {
		t.Fatal(err)
	}
	if got := s.law(`swap.file("/s", size = "1M", persist = False)`, f.Snapshot).diffs(); !strings.Contains(got, "mode: 0644 -> 0600") {
		t.Errorf("got %s", got)
	}
	f.WriteFile("/half", strings.Repeat("\x00", 4096), "0600")
	s.law(`swap.file("/half", size = "1M")`, f.Snapshot)
}

func TestSwapFailures(t *testing.T) {
	s, f := newFake(t)
	swappable(f)
	s.run(`swap.file("/big", size = "1G")`).fails(journal.Broken, "No space left")
	if _, ok := f.ReadFile("/big"); ok {
		t.Error("what could not be filled was left")
	}
	f.OnExec("swapon", fake.Exits(255, "swapon: /s: swapon failed: Operation not permitted\n"))
	s.run(`swap.file("/s", size = "1M")`).fails(journal.Broken, "a container shares the kernel")
	holds(t, f, fstabFile, "")
	f.WriteFile("/precious", "data", "0600")
	s.run(`swap.file("/precious", size = "1M")`).fails(journal.Broken, "no swap file")
	s.run(`swap.absent("/precious")`).fails(journal.Broken, "no swap file")
	holds(t, f, "/precious", "data")
	f.WriteFile("/image", strings.Repeat("\x00", 1080)+"\x53\xef"+strings.Repeat("\x00", 90000), "0600")
	s.run(`swap.file("/image", size = "1M")`).fails(journal.Broken, "no swap file")
	s.run(`swap.absent("/nothing")`).ok()
	full, g := newFake(t)
	swappable(g)
	full.run(`swap.file("/s", size = "1M")`).ok()
	g.OnExec("swapoff", fake.Exits(4, "swapoff: /s: swapoff failed: Cannot allocate memory\n"))
	full.run(`swap.absent("/s")`).fails(journal.Broken, "may not fit there")
	full.run(`swap.file("/s", size = "2M")`).fails(journal.Broken, "may not fit there")
	holds(t, g, fstabFile, "/s\tnone\tswap\tsw\t0\t0\n")
	for _, c := range []struct{ args, want string }{
		{`"swap", size = "1M"`, "is not absolute"},
		{`"/a\nb", size = "1M"`, "line break"},
		{`"/s", size = "1X"`, `such as "512M"`},
		{`"/s", size = "M"`, `such as "512M"`},
		{`"/s", size = "1.5G"`, `such as "512M"`},
		{`"/s", size = True`, `such as "512M"`},
		{`"/s", size = "99999999T"`, `such as "512M"`},
		{`"/s", size = 4096`, "whole number of MiB"},
		{`"/s", size = -1`, "whole number of MiB"},
		{`"/s", size = "1M", priority = -1`, "want 0 to 32767"},
	} {
		s.run("swap.file("+c.args+")").fails(journal.Invalid, c.want)
	}
	s.run(`swap.absent("s")`).fails(journal.Invalid, "is not absolute")
}
