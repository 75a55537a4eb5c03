//go:build !linux

package sandbox

import "context"

// Start answers ErrUnsupported.
func Start(context.Context, Options) (*Sandbox, error) { return nil, ErrUnsupported }

// Child answers ErrUnsupported.
func Child([]string) error { return ErrUnsupported }

// Remove answers ErrUnsupported.
func Remove(Options) error { return ErrUnsupported }
