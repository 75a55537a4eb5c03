package builtins

import (
	"context"
	"io"

	"fabgo/internal/converge"
	"fabgo/transport"
)

const (
	// fewFiles are asked for and written one by one.
	fewFiles = 8
	// packBytes and packFiles are what one pack holds at the most: who makes one has it in memory.
	packBytes = 8 << 20
	packFiles = 4096
	// packable is the size up to which a file goes into a pack: the bytes of larger ones cost more than what is said about them.
	packable = 128 << 10
)

// syncPacks are the files of a delta that travel in packs.
type syncPacks struct {
	packs        []syncPack
	in           map[int]bool // positions in the delta
	owner, group transport.Text
}

// syncPack is one of them: its manifest has the modes that the files are to have.
type syncPack struct {
	entries []transport.SourceEntry
	size    int64
}

func (p *syncPacks) hold(i int) bool { return p != nil && p.in[i] }

func (p *syncPacks) add(i int, e transport.SourceEntry) {
	last := len(p.packs) - 1
	if last < 0 || len(p.packs[last].entries) == packFiles || p.packs[last].size+e.Size > packBytes {
		p.packs, last = append(p.packs, syncPack{}), last+1
	}
	p.packs[last].entries = append(p.packs[last].entries, e)
	p.packs[last].size += e.Size
	p.in[i] = true
}

// packs puts the small files of a delta whose contents are files of the bundle into packs. It is nil when they are few.
func (r *syncTree) packs(delta []converge.Pair) *syncPacks {
	p := &syncPacks{in: map[int]bool{}}
	for i, d := range delta {
		f, have := d.Want.File, d.Have.File
		if f == nil || f.Content == nil || f.Content.Size > packable || r.contents[f.Content.Digest] == nil {
			continue
		}
		if have != nil && have.Content != nil && have.Content.Digest == f.Content.Digest { // only its attributes differ
			continue
		}
		e, ok := r.named(d.Want)
		if !ok {
			continue
		}
		e.Mode = f.Mode
		p.owner, p.group = f.Owner, f.Group // of all of them
		p.add(i, e)
	}
	if len(p.in) <= fewFiles {
		return nil
	}
	return p
}

// named is the entry of the source that a file is made of, unless it is one whose name or content is not that of the source.
func (r *syncTree) named(want converge.Object) (transport.SourceEntry, bool) {
	i, ok := r.places[transport.Path(want.Key.Name)]
	if !ok || r.wanted[i].content != nil {
		return transport.SourceEntry{}, false
	}
	return r.wanted[i].SourceEntry, true
}

// unpack has the files of packs written. The bytes go from the controller to the host; here they are a name.
func (r *syncTree) unpack(ctx context.Context, h transport.Host, p *syncPacks) error {
	if p == nil {
		return nil
	}
	for _, pack := range p.packs {
		files := transport.Manifest(pack.entries)
		d, err := transport.Do[transport.Data](ctx, h, transport.Ask{What: transport.AskFiles, Name: transport.Text(r.name), Files: &files, Unseen: true})
		if err != nil {
			return err
		}
		op := transport.Unpack{Path: r.args.Dest, Files: files, Pack: d.Content, Owner: p.owner, Group: p.group}
		if _, err := transport.Do[transport.Done](ctx, h, op); err != nil {
			return err
		}
	}
	return nil
}

// Preview asks for the files whose lines will be shown, at once.
func (r *syncTree) Preview(ctx context.Context, h transport.Host, shown []converge.Pair) error {
	if r.args.Sensitive {
		return nil
	}
	p := r.packs(shown)
	if p == nil {
		return nil
	}
	files := transport.Manifest(p.packs[0].entries)
	d, err := transport.Do[transport.Data](ctx, h, transport.Ask{What: transport.AskFiles, Name: transport.Text(r.name), Files: &files})
	if err != nil {
		return err
	}
	entries, err := files.Entries() // in the order of the pack
	if err != nil {
		return err
	}
	return transport.EachPacked(d.Content, entries, func(e transport.SourceEntry, b []byte, err error) error {
		if err != nil {
			return err
		}
		content := transport.Bytes(append([]byte(nil), b...))
		if src := r.contents[e.Digest]; src != nil && src.got == nil {
			src.got = &content
		}
		return nil
	})
}

// sourceBytes is a content of the bundle, asked for once and only when its bytes are needed.
type sourceBytes struct {
	name string // one of the files that hold it
	got  *transport.Content
}

func (s *sourceBytes) ask(ctx context.Context, h transport.Host) error {
	if s.got != nil {
		return nil
	}
	d, err := transport.Do[transport.Data](ctx, h, transport.Ask{What: transport.AskFile, Name: transport.Text(s.name)})
	if err == nil {
		s.got = &d.Content
	}
	return err
}

func (r *syncTree) content(ctx context.Context, h transport.Host, s syncEntry) *transport.Content {
	if s.content != nil {
		return s.content
	}
	src := r.contents[s.Digest]
	if src == nil {
		src = &sourceBytes{name: r.sourceName(s.SourceEntry)}
		r.contents[s.Digest] = src
	}
	c := transport.Source(s.Digest, s.Size, func() (io.ReadCloser, error) {
		if err := src.ask(ctx, h); err != nil {
			return nil, err
		}
		return src.got.Open()
	})
	return &c
}
