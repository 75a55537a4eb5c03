package helper

import (
	"encoding/json"
	"path"
	"sync"

	"fabgo/transport"
)

// readahead asks for files before their turn. Whoever has asked for the listing of a tree will ask for its files one after the other, and
// a round trip for each would be most of the time that it takes.
type readahead struct {
	mu     sync.Mutex
	next   map[string]string   // the file behind a file of a tree
	coming map[string]*arrival // asked for, and not yet taken
	window int                 // how many are asked for at once: it doubles while they are wanted
}

const (
	mostAhead  = 64
	aheadLimit = 128 << 10 // larger files come in their turn: not many of them are needed to fill a line
)

type arrival struct {
	done chan struct{}
	res  transport.Result
	err  error
}

// tree learns the files of a tree.
func (r *readahead) tree(name string, listing transport.Content) {
	b, err := listing.ReadAll(MaxListing)
	if err != nil {
		return // it is asked for file by file then
	}
	var entries []transport.SourceEntry
	if json.Unmarshal(b, &entries) != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		r.next, r.coming = map[string]string{}, map[string]*arrival{}
	}
	last := ""
	for _, e := range entries {
		if e.Type != transport.Regular || e.Size > aheadLimit {
			continue
		}
		file := join(name, string(e.Path))
		if last != "" {
			r.next[last] = file
		}
		last = file
	}
	if last != "" {
		r.next[last] = ""
	}
}

// MaxListing is how long the listing of a tree may be.
const MaxListing = 64 << 20

// join is a file of a tree, by the name that a bundle asks for it.
func join(tree, file string) string {
	if tree == "//" {
		return tree + file
	}
	return tree + "/" + path.Clean(file)
}

// file answers for a file: with what has come already, else by asking. The files behind it in its tree are asked for meanwhile.
func (r *readahead) file(name string, ask func(name string) (transport.Result, error)) (transport.Result, error) {
	r.mu.Lock()
	mine, hit := r.coming[name]
	delete(r.coming, name)
	next, known := r.next[name]
	switch {
	case !known:
		r.mu.Unlock()
		return ask(name)
	case hit:
		r.window = min(2*r.window, mostAhead)
	default: // what was fetched is not what is wanted
		clear(r.coming)
		r.window = 1
	}
	for n := 0; n < r.window && next != ""; n++ {
		if r.coming[next] == nil {
			r.coming[next] = fetch(next, ask)
		}
		next = r.next[next]
	}
	r.mu.Unlock()
	if !hit {
		return ask(name)
	}
	<-mine.done
	return mine.res, mine.err
}

func fetch(name string, ask func(name string) (transport.Result, error)) *arrival {
	a := &arrival{done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.res, a.err = ask(name)
	}()
	return a
}
