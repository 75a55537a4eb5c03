package confine

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"unicode"
	"unsafe"
)

// pageBytes is the size of the page that the child writes and the parent reads.
const pageBytes = 4096

// The page: the number of the slot in use, and two slots, each a line, a length and the name of a file. The child fills
// the other slot before it points to it, so that it can be ended at any moment and still have told a place.
const (
	slotInUse  = 0
	firstSlot  = 64
	slotBytes  = 1024
	slotHeader = 8
	maxName    = slotBytes - slotHeader
)

// page is memory that parent and child share. A nil page tells nothing.
type page struct {
	mem []byte
}

func (p *page) word(at int) *atomic.Uint32 { return (*atomic.Uint32)(unsafe.Pointer(&p.mem[at])) }

func slotAt(n uint32) int { return firstSlot + int(n&1)*slotBytes }

func (p *page) setFile(file string, line int) {
	if len(file) > maxName {
		file = file[len(file)-maxName:] // the end says more than the start
	}
	next := p.word(slotInUse).Load() + 1
	at := slotAt(next)
	copy(p.mem[at+slotHeader:at+slotBytes], file)
	binary.NativeEndian.PutUint32(p.mem[at+4:], uint32(len(file)))
	p.word(at).Store(uint32(line))
	p.word(slotInUse).Store(next)
}

func (p *page) setLine(line int) {
	p.word(slotAt(p.word(slotInUse).Load())).Store(uint32(line))
}

// where reads the page, which may hold anything: the child wrote it.
func (p *page) where() string {
	if p == nil || p.mem == nil {
		return ""
	}
	at := slotAt(p.word(slotInUse).Load())
	n := min(binary.NativeEndian.Uint32(p.mem[at+4:]), maxName)
	file := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, string(p.mem[at+slotHeader:at+slotHeader+int(n)]))
	switch line := p.word(at).Load(); {
	case file == "":
		return ""
	case line == 0:
		return file
	default:
		return fmt.Sprintf("%s:%d", file, line)
	}
}
