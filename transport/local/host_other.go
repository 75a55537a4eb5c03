//go:build !linux && !darwin && !freebsd

package local

import (
	"context"
	"runtime"

	"fabgo/transport"
)

// Host is this machine; on this system there is none.
type Host struct{}

// New answers an error of kind Unsupported.
func New(Options) (*Host, error) { return nil, unsupported() }

// Do answers an error of kind Unsupported.
func (*Host) Do(context.Context, transport.Op) (transport.Result, error) { return nil, unsupported() }

// Sync does nothing.
func (*Host) Sync() error { return nil }

// Forget does nothing.
func (*Host) Forget() {}

// Close does nothing.
func (*Host) Close() error { return nil }

func unsupported() error {
	return &transport.Error{Kind: transport.Unsupported, Message: "@local is not there on " + runtime.GOOS,
		Hint: "name a Linux host with -H; fabgo reaches it over SSH"}
}
