//go:build unix && !linux

package confine

import "os"

func anonymousFile() (*os.File, error) { return unlinkedFile() }

func seal(*os.File) {}
