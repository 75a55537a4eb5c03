package builtins

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

// When the package index was refreshed last: apt's own files do not tell, as a mirror's times stand on them. The first stamp is
// fabgo's, the second is that of Debian's daily job; both are set only when all went well. The third is Ubuntu's: it is set also when a
// part of the repositories failed, so it counts for the age, but does not tell that a new repository was read.
const (
	aptStamp      transport.Path = "/var/lib/apt/periodic/fabgo-update-stamp"
	aptDailyStamp transport.Path = "/var/lib/apt/periodic/update-stamp"
	aptHookStamp  transport.Path = "/var/lib/apt/periodic/update-success-stamp"
	aptLists      transport.Path = "/var/lib/apt/lists"
	aptSources    transport.Path = "/etc/apt/sources.list"
	aptSourcesD   transport.Path = "/etc/apt/sources.list.d"
)

// aptMemory is what a session knows of the package index beyond what the host can tell: that a step refreshed it, or would.
type aptMemory struct{ refreshed *converge.Cause }

// aptIndex is the state of the package index.
type aptIndex struct {
	age     time.Duration
	never   bool  // it was never fetched, or it was deleted
	behind  bool  // the list of repositories changed since
	read    int64 // when all repositories were read last, seconds since 1970
	pending *converge.Cause
}

func (x aptIndex) String() string {
	switch {
	case x.never:
		return "never fetched"
	case x.behind:
		return "older than the list of repositories"
	case x.age < 2*time.Minute:
		return "fresh"
	case x.age < 2*time.Hour:
		return fmt.Sprintf("%d minutes old", int(x.age.Minutes()))
	case x.age < 48*time.Hour:
		return fmt.Sprintf("%d hours old", int(x.age.Hours()))
	}
	return fmt.Sprintf("%d days old", int(x.age.Hours()/24))
}

// fresh reports whether the index is not older than that.
func (x aptIndex) fresh(max time.Duration) bool { return !x.never && !x.behind && x.age <= max }

// index looks at the state of the package index. pending is set where the host's index is not fresh, but an earlier step of a plan
// would refresh it.
func (c *call) aptIndex(ctx context.Context, h transport.Host) (aptIndex, error) {
	var failed error
	stat := func(p transport.Path) transport.FileInfo {
		fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: p, Follow: true})
		if err != nil && converge.CauseOf(err) == nil && failed == nil {
			failed = err
		}
		return fi
	}
	strict := max(stat(aptStamp).ModTime, stat(aptDailyStamp).ModTime)
	last := max(strict, stat(aptHookStamp).ModTime)
	lists := stat(aptLists).ModTime
	changed := max(stat(aptSources).ModTime, stat(aptSourcesD).ModTime)
	if failed != nil {
		return aptIndex{}, failed
	}
	newest, predicted, err := newestSource(ctx, h)
	if err != nil {
		return aptIndex{}, err
	}
	now, err := hostTime(ctx, h)
	if err != nil {
		return aptIndex{}, err
	}
	x := aptIndex{read: strict, never: last == 0, behind: max(changed, newest) > strict}
	if !x.never {
		x.age = max(now.Sub(time.Unix(last, 0)), 0)
		if lists >= last { // times are whole seconds: an index that was deleted right after it was fetched has the same
			if x.never, err = noLists(ctx, h); err != nil {
				return x, err
			}
		}
	}
	if !x.fresh(time.Hour) && c.apt.refreshed != nil {
		x.pending = c.apt.refreshed
	}
	x.behind = x.behind || predicted && c.apt.refreshed == nil
	return x, nil
}

// newestSource is when a list of repositories was edited last. predicted: an earlier step of a plan would write one, whose time is
// not known.
func newestSource(ctx context.Context, h transport.Host) (newest int64, predicted bool, err error) {
	list, err := transport.Do[transport.Listing](ctx, h, transport.List{Path: aptSourcesD})
	if transport.KindOf(err) == transport.NotFound || converge.CauseOf(err) != nil {
		return 0, false, nil
	}
	for _, e := range list.Entries {
		if strings.HasSuffix(string(e.Path), ".list") || strings.HasSuffix(string(e.Path), ".sources") {
			newest = max(newest, e.ModTime)
			predicted = predicted || e.ModTime == 0
		}
	}
	return newest, predicted, err
}

// noLists reports whether there is no index at all, though there are repositories: images of containers come without.
func noLists(ctx context.Context, h transport.Host) (bool, error) {
	if d, err := transport.Do[transport.Data](ctx, h, transport.Read{Path: aptStamp}); err == nil {
		if b, err := d.Content.ReadAll(transport.ReadLimit); err == nil && strings.TrimSpace(string(b)) == stampEmpty {
			return false, nil
		}
	}
	list, err := transport.Do[transport.Listing](ctx, h, transport.List{Path: aptLists})
	if err != nil {
		return transport.KindOf(err) == transport.NotFound, nil
	}
	for _, e := range list.Entries {
		if strings.HasSuffix(string(e.Path), "Release") {
			return false, nil
		}
	}
	return true, nil
}

// hostTime is the host's own clock, as it is the one that the stamps were made by.
func hostTime(ctx context.Context, h transport.Host) (time.Time, error) {
	out, err := ask(ctx, h, "date", "+%s")
	if err != nil {
		return time.Time{}, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
	return time.Unix(n, 0), err
}

// maxAge reads an argument that says how old the index may be: False is never, True and 0 always.
func maxAge(v starlark.Value) (age time.Duration, refresh bool, err error) {
	switch v := v.(type) {
	case nil, starlark.NoneType:
		return 24 * time.Hour, true, nil
	case starlark.Bool:
		return 0, bool(v), nil
	}
	age, err = durationOf(v)
	return age, true, err
}

// indexResource is the package index with a greatest age.
type indexResource struct {
	*apt
	max time.Duration
	why string // what the diff shows instead of the age
}

var indexKey = converge.Key{Table: "apt", Name: "index"}

func (r *indexResource) Name() string { return indexKey.String() }

func (r *indexResource) Want(context.Context, transport.Host) ([]converge.Object, error) {
	return []converge.Object{{Key: indexKey, Fields: map[string]transport.Text{"state": "fresh"}}}, nil
}

func (r *indexResource) Probe(ctx context.Context, h transport.Host, want []converge.Object) ([]converge.Object, error) {
	x, err := r.aptIndex(ctx, h)
	if err != nil {
		return nil, err
	}
	state := transport.Text("fresh")
	if r.why != "" && r.apt.call.apt.refreshed == nil {
		state = transport.Text(r.why)
	} else if !x.fresh(max(r.max, 2*time.Minute)) && x.pending == nil {
		state = transport.Text(x.String())
	}
	return []converge.Object{{Key: indexKey, Fields: map[string]transport.Text{"state": state}}}, nil
}

func (r *indexResource) Apply(ctx context.Context, h transport.Host, _ []converge.Pair) error {
	r.why = ""
	return r.refresh(ctx, h)
}

// stampScript leaves the stamp; where nothing was to be fetched, as all repositories are disabled, it says so.
const stampScript = `mkdir -p "$1" && { ls "$3"/*Release >/dev/null 2>&1 || echo "$4"; } >"$2" && touch "$2"`

const stampEmpty = "no repositories"

// refreshTries bounds how often a refresh is tried, when a mirror is in the middle of its own update or not to be reached.
const refreshTries = 3

// refresh fetches the index of all repositories. One that fails makes it fail: apt itself would go on with what it has.
func (a *apt) refresh(ctx context.Context, h transport.Host) error {
	for try := 1; ; try++ {
		out, err := a.change(ctx, h, "-o", "APT::Update::Error-Mode=any", "update")
		if err == nil { // apt before 2.1.8 does not know Error-Mode
			if said := string(out.Stderr); strings.Contains(said, "Failed to fetch") || strings.Contains(said, "Some index files failed") {
				err = a.explain(ctx, h, []string{"apt-get", "update"}, out)
			}
		}
		if err == nil {
			break
		}
		ce, ok := errors.AsType[*converge.CommandError](err)
		if !ok || try == refreshTries || !passing(string(ce.Output.Stderr)) {
			return err
		}
		if err := a.wait(5 * time.Second); err != nil {
			return err
		}
	}
	return change(ctx, h, "", nil, "/bin/sh", "-c", stampScript, "sh", string(aptStamp.Dir()), string(aptStamp), string(aptLists), stampEmpty)
}

// passing reports whether trying again may help.
func passing(said string) bool {
	for _, s := range []string{"Hash Sum mismatch", "unexpected size", "Mirror sync in progress", "Temporary failure", "onnection timed out", "Connection failed", "503  ", "502  ", "504  "} {
		if strings.Contains(said, s) {
			return true
		}
	}
	return false
}

// freshIndex is the step in which the index is refreshed for others.
func (a *apt) freshIndex(max time.Duration, why string) (converge.Change, error) {
	st := converge.Step{Builtin: "apt.update", Pos: a.step.Pos}
	r := &indexResource{apt: a, max: max, why: why}
	ch, err := a.Session.Converge(st, r)
	if err == nil && ch.Changed && ch.Carried == "" {
		a.call.apt.refreshed = &converge.Cause{Step: ch.Step, What: st.Builtin + " " + ch.Resource, Pos: st.Pos}
	}
	return ch, err
}

func aptUpdate(c *call, a struct {
	aptArgs
	MaxAge time.Duration `arg:"max_age"`
}) (starlark.Value, error) {
	p, err := c.newApt(a.aptArgs)
	if err != nil {
		return nil, err
	}
	r := &indexResource{apt: p, max: a.MaxAge}
	ch, err := c.Session.Converge(c.step, r)
	if err != nil {
		return nil, err
	}
	if ch.Changed && ch.Carried == "" {
		c.apt.refreshed = &converge.Cause{Step: ch.Step, What: c.name + " " + ch.Resource, Pos: c.step.Pos}
	}
	return &Change{ch}, nil
}
