//go:build unix

package confine

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
)

func TestPage(t *testing.T) {
	p, f, err := newPage()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	defer f.Close()
	other, err := mapPage(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer other.close()
	in := &Inner{page: other}
	if got := p.where(); got != "" {
		t.Errorf("before anything was told: %q", got)
	}
	long := strings.Repeat("x", 5000) + "/web1.star"
	for _, tt := range []struct {
		file string
		line int
		want string
	}{
		{"web1.star", 0, "web1.star"}, {"web1.star", 12, "web1.star:12"}, {"lib/a.star", 3, "lib/a.star:3"}, {"web1.star", 4, "web1.star:4"},
		{long, 1, long[len(long)-maxName:] + ":1"}, {"a\x1b[31m\n\xff.star", 2, "a\uFFFD[31m\uFFFD\uFFFD.star:2"},
	} {
		if in.At(tt.file, tt.line); p.where() != tt.want {
			t.Errorf("told %.40q:%d, read %.60q", tt.file, tt.line, p.where())
		}
	}
	for i := range p.mem { // a child that has gone mad
		p.mem[i] = 0xff
	}
	if got := p.where(); len(got) > 3*maxName+20 {
		t.Errorf("read %d bytes", len(got))
	}
	binary.NativeEndian.PutUint32(p.mem[slotAt(1)+4:], math.MaxUint32)
	p.where()
}

// A page that a child cut short would end its parent.
func TestPageCannotBeCut(t *testing.T) {
	p, f, err := newPage()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	defer f.Close()
	if f.Truncate(0) == nil && strings.HasPrefix(f.Name(), "fabgo-where") {
		t.Error("the file behind the page could be cut")
	}
}

func TestCapture(t *testing.T) {
	var all strings.Builder
	c := &capture{next: &all}
	piece := make([]byte, 777)
	for i := range 100 {
		for j := range piece {
			piece[j] = byte('a' + (i+j)%26)
		}
		c.Write(piece)
	}
	got, want := c.String(), all.String()
	if !strings.HasPrefix(got, want[:headBytes]+"\n... ") || !strings.HasSuffix(got, " ...\n"+want[len(want)-tailBytes:]) {
		t.Error("head or tail is not that of what was written")
	}
}

func TestPause(t *testing.T) {
	l := Limits{}.withDefaults()
	for _, tt := range []struct {
		u        usage
		waits    bool
		measured bool
	}{{measured: true}, {u: usage{resident: l.Memory}, measured: true}, {waits: true, measured: true}, {}, {waits: true}} {
		for _, l := range []Limits{l, {Memory: -1, CPU: -1, Wall: -1, Total: -1}} {
			if d := l.pause(tt.u, 0, tt.waits, tt.measured); d < nearest || d > whenWaiting {
				t.Errorf("%+v: %v", tt, d)
			}
		}
	}
	if near, far := l.pause(usage{resident: l.memoryStop() - 1<<20}, 0, false, true), l.pause(usage{}, 0, false, true); near != nearest || far != farthest {
		t.Errorf("near the limit every %v, far from it every %v", near, far)
	}
	if _, over := (Limits{Memory: -1, CPU: -1, Wall: -1, Total: -1}).passed(usage{1 << 50, 1 << 60}, 1<<60, 1<<60, true); over {
		t.Error("what is not limited was passed")
	}
}
