package helper

import (
	"path"
	"sync"

	"fabgo/transport"
)

// readahead asks for files before their turn. Whoever has asked for the listing of a tree will ask for its files one after the other, and
// a round trip for each would be most of the time that it takes.
type readahead struct {
	mu     sync.Mutex
	unread []tree
	next   map[string]string   // the file behind a file of a tree
	coming map[string]*arrival // asked for, and not yet taken
	window int                 // how many are asked for at once: it doubles while they are wanted
}

const (
	mostAhead  = 64
	aheadLimit = 128 << 10 // larger files come in their turn: not many of them are needed to fill a line
)

type tree struct {
	name    string
	listing transport.Content
}

type arrival struct {
	done chan struct{}
	res  transport.Result
	err  error
}

// tree notes that the files of a tree may be asked for. What they are is read when the first of them is.
func (r *readahead) tree(name string, listing transport.Content) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unread = append(r.unread, tree{name, listing})
}

// learn reads the listings of trees.
func (r *readahead) learn() {
	for _, t := range r.unread {
		entries, err := t.listing.Entries()
		if err != nil {
			continue // it is asked for file by file then
		}
		if r.next == nil {
			r.next, r.coming = map[string]string{}, map[string]*arrival{}
		}
		last := ""
		for _, e := range entries {
			if e.Type != transport.Regular || e.Size > aheadLimit {
				continue
			}
			file := join(t.name, string(e.Path))
			if last != "" {
				r.next[last] = file
			}
			last = file
		}
		if last != "" {
			r.next[last] = ""
		}
	}
	r.unread = nil
}

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
	r.learn()
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
