//go:build linux

package local

// WalkByComponent makes h walk as it does on a kernel without openat2.
func WalkByComponent(h *Host) *Host {
	h.byComponent = true
	return h
}
