package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// TestCollectLate: only the first collection is late, and what somebody else has set stays.
func TestCollectLate(t *testing.T) {
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	for set, want := range map[int]int{latePercent: 100, 250: 250} {
		collectLate()
		debug.SetGCPercent(set)
		done := make(chan struct{})
		runtime.SetFinalizer(&struct{ bytes [16]byte }{}, func(any) { close(done) })
		runtime.GC()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatal("nothing was collected")
		}
		runtime.GC() // finalizers run in one goroutine, in no order: the second round ends what the first has begun
		again := make(chan struct{})
		runtime.SetFinalizer(&struct{ bytes [16]byte }{}, func(any) { close(again) })
		runtime.GC()
		select {
		case <-again:
		case <-time.After(time.Minute):
			t.Fatal("nothing was collected")
		}
		if got := debug.SetGCPercent(100); got != want {
			t.Errorf("set to %d: later collections come at %d%%, want %d%%", set, got, want)
		}
	}
}
