package converge

import "fabgo/internal/journal"

// carriedList are unsettled changes, one of a key, in the order in which their keys came. The zero list is empty.
type carriedList struct {
	list  []journal.Carried
	index map[string]int // by key
}

func newCarriedList(list []journal.Carried) (l carriedList) {
	for _, c := range list {
		l.put(c)
	}
	return l
}

// put adds a change, in the place of the one that has its key.
func (l *carriedList) put(c journal.Carried) {
	k := keyOf(c)
	if i, ok := l.index[k]; ok {
		l.list[i] = c
		return
	}
	if l.index == nil {
		l.index = map[string]int{}
	}
	l.index[k] = len(l.list)
	l.list = append(l.list, c)
}

// get finds the change of a key.
func (l *carriedList) get(key string) (journal.Carried, bool) {
	i, ok := l.index[key]
	if !ok {
		return journal.Carried{}, false
	}
	return l.list[i], true
}
