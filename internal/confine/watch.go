package confine

import "time"

// How often the child is looked at. Between two looks it can take at most pace bytes a second, which is more than a
// kernel can clear: near its limit it is looked at often, far from it rarely. A look costs some microseconds.
const (
	pace        = 4 << 30
	nearest     = time.Millisecond
	farthest    = 100 * time.Millisecond
	whenWaiting = 250 * time.Millisecond
)

// usage is what the child has used.
type usage struct {
	resident int64
	cpu      time.Duration
}

// watch looks at the child until it has ended, and ends it when it has passed a limit.
func (c *Child) watch(m *meter) {
	defer m.close()
	timer := time.NewTimer(nearest)
	defer timer.Stop()
	var base time.Duration // the processor time when the stretch began
	var wall time.Duration // since the stretch began
	stretch, last := c.stretch.Load(), time.Now()
	for {
		select {
		case <-c.exited:
			return
		case <-timer.C:
		}
		u, measured := m.read()
		now := time.Now()
		// A parent that was stopped itself (Ctrl-Z, a frozen machine) must not take that for the child's time.
		wall += min(now.Sub(last), time.Second)
		last = now
		waits := c.waiting.Load() > 0
		if s := c.stretch.Load(); s != stretch || waits {
			stretch, wall, base = s, 0, u.cpu
		}
		if why, over := c.limits.passed(u, u.cpu-base, wall, measured); over {
			c.kill(why)
			return
		}
		timer.Reset(c.limits.pause(u, u.cpu-base, waits, measured))
	}
}

// passed says which limit has been passed.
func (l Limits) passed(u usage, stretch, wall time.Duration, measured bool) (Killed, bool) {
	switch {
	case measured && l.Memory > 0 && u.resident >= l.memoryStop():
		return Killed{Reason: Memory, Limit: bytesText(l.Memory)}, true
	case measured && l.CPU > 0 && stretch >= l.CPU:
		return Killed{Reason: CPU, Limit: l.CPU.String()}, true
	case measured && l.Total > 0 && u.cpu >= l.Total:
		return Killed{Reason: CPU, Limit: l.Total.String() + " in all"}, true
	case l.Wall > 0 && wall >= l.Wall:
		return Killed{Reason: Time, Limit: l.Wall.String()}, true
	}
	return Killed{}, false
}

// pause is how long the child can be left alone.
func (l Limits) pause(u usage, stretch time.Duration, waits, measured bool) time.Duration {
	d := farthest
	if waits {
		d = whenWaiting
	}
	if l.Wall > 0 {
		d = min(d, l.Wall/10)
	}
	if measured && l.CPU > 0 {
		d = min(d, max(5*time.Millisecond, (l.CPU-stretch)/2))
	}
	if measured && l.Memory > 0 {
		d = min(d, time.Duration(float64(l.memoryStop()-u.resident)/pace*float64(time.Second)))
	}
	return max(d, nearest)
}
