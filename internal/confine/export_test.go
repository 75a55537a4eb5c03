package confine

// WatchOnly is the limits without the kernel's help.
func (l Limits) WatchOnly() Limits {
	l.watchOnly = true
	return l
}
