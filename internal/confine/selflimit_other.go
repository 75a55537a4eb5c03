//go:build !darwin && !freebsd

package confine

// limitSelf does nothing where the parent can do it, or nobody.
func limitSelf(orders) {}
