package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"fabgo/transport"
	"fabgo/transport/tables"
)

// bus is a connection to systemd: made when it is first needed, then kept, and made anew when systemd was executed anew meanwhile.
type bus struct {
	mu   sync.Mutex
	conn *dbus.Conn
}

const (
	privateBus  = "unix:path=/run/systemd/private" // root only: straight to systemd, for which no message bus has to run
	systemBus   = "unix:path=/run/dbus/system_bus_socket"
	systemd     = "org.freedesktop.systemd1"
	managerPath = dbus.ObjectPath("/org/freedesktop/systemd1")
	busPatience = 25 * time.Second // systemctl's own
	busWindow   = 64               // questions sent before the first answer is waited for; the message bus refuses more than 128
)

func (b *bus) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn == nil {
		return nil
	}
	err := b.conn.Close()
	b.conn = nil
	return err
}

// open answers the connection; fresh says that it was made just now.
func (b *bus) open() (conn *dbus.Conn, fresh bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil && b.conn.Connected() {
		return b.conn, false, nil
	}
	if b.conn != nil {
		b.conn.Close()
	}
	err = os.ErrPermission
	if os.Geteuid() == 0 {
		b.conn, err = dialBus(privateBus, false)
	}
	if err != nil {
		b.conn, err = dialBus(systemBus, true)
	}
	return b.conn, true, err
}

// drop closes a connection that does not answer as it should.
func (b *bus) drop(conn *dbus.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	conn.Close()
	if b.conn == conn {
		b.conn = nil
	}
}

func dialBus(address string, hello bool) (*dbus.Conn, error) {
	// The context is the connection's for as long as it lives: it ends only one whose greeting takes too long.
	ctx, cancel := context.WithCancel(context.Background())
	defer time.AfterFunc(busPatience, cancel).Stop()
	conn, err := dbus.Dial(address, dbus.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	if err = conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err == nil && hello {
		err = conn.Hello()
	}
	if err != nil {
		conn.Close()
		cancel()
		return nil, err
	}
	return conn, nil
}

// question is a call of a method; its answer is stored in into.
type question struct {
	path   dbus.ObjectPath
	method string
	args   []any
	into   any
}

// ask answers questions. ok is false where systemd cannot be asked this way.
func (b *bus) ask(ctx context.Context, questions []question) (ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	for {
		conn, fresh, err := b.open()
		if err != nil {
			return false, nil
		}
		for window := range slices.Chunk(questions, busWindow) {
			if err = send(ctx, conn, window); err != nil {
				break
			}
		}
		if err == nil {
			return true, nil
		}
		if ctx.Err() != nil {
			return false, busTimeout(ctx)
		}
		if _, said := errors.AsType[dbus.Error](err); said {
			return false, nil // an old systemd, or a policy of the bus: systemctl has words for it
		}
		b.drop(conn)
		if fresh {
			return false, nil
		}
		// systemd was executed anew, or the bus was. Nothing was asked but questions, so they are asked again.
	}
}

// send sends questions and stores their answers. Its error is the first one's.
func send(ctx context.Context, conn *dbus.Conn, questions []question) (err error) {
	calls := make([]*dbus.Call, len(questions))
	done := make(chan *dbus.Call, len(questions))
	for i, q := range questions {
		calls[i] = conn.Object(systemd, q.path).GoWithContext(ctx, q.method, 0, done, q.args...)
	}
	for range questions {
		<-done
	}
	for i, call := range calls {
		if e := call.Store(questions[i].into); e != nil && err == nil {
			err = e
		}
	}
	return err
}

func busTimeout(ctx context.Context) error {
	if ctx.Err() == context.DeadlineExceeded {
		return &transport.Error{Kind: transport.Timeout, Message: fmt.Sprintf("look up units: systemd did not answer within %v", busPatience), Err: ctx.Err()}
	}
	return interrupted("look up units", ctx.Err())
}

// systemdRuns reports whether systemd is this system's first process and answers for what we see: within a chroot it would answer for
// the system around it.
func systemdRuns() bool {
	var st, ours, its unix.Stat_t
	if unix.Lstat("/run/systemd/system", &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return false
	}
	if unix.Stat("/", &ours) == nil && unix.Stat("/proc/1/root", &its) == nil && (ours.Dev != its.Dev || ours.Ino != its.Ino) {
		return false
	}
	return true
}

// ShowUnits asks for each unit as systemctl does: by the path that its name makes, upon which systemd loads it. All properties that
// units have in common come in one answer, which costs systemd less than the eight that matter one by one; those of a service would be as
// many again.
func (s source) ShowUnits(ctx context.Context, names []string) (properties []map[string]string, ok bool, err error) {
	if !systemdRuns() {
		return nil, false, tables.NoSystemd()
	}
	common := make([]map[string]dbus.Variant, len(names))
	results := make([]dbus.Variant, len(names))
	var questions []question
	for i, name := range names {
		p := unitPath(name)
		questions = append(questions, question{p, "org.freedesktop.DBus.Properties.GetAll", []any{systemd + ".Unit"}, &common[i]})
		if hasResult(name) {
			questions = append(questions, question{p, "org.freedesktop.DBus.Properties.Get", []any{systemd + "." + unitType(name), "Result"}, &results[i]})
		}
	}
	if ok, err := s.h.bus.ask(ctx, questions); !ok {
		return nil, false, err
	}
	for i := range names {
		p := map[string]string{}
		for _, name := range []string{"Id", "LoadState", "ActiveState", "SubState", "UnitFileState", "FragmentPath"} {
			p[name], _ = common[i][name].Value().(string)
		}
		for _, name := range []string{"NeedDaemonReload", "CanReload"} {
			if yes, _ := common[i][name].Value().(bool); yes {
				p[name] = "yes"
			}
		}
		p["Result"], _ = results[i].Value().(string)
		properties = append(properties, p)
	}
	return properties, true, nil
}

// unitPath is the path of the object that stands for a unit.
func unitPath(name string) dbus.ObjectPath {
	var b strings.Builder
	b.WriteString("/org/freedesktop/systemd1/unit/")
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return dbus.ObjectPath(b.String())
}

// unitType is the interface of a unit's type: its suffix, with a capital letter.
func unitType(name string) string {
	suffix := strings.TrimPrefix(path.Ext(name), ".")
	return strings.ToUpper(suffix[:1]) + suffix[1:]
}

// hasResult reports whether units of the type of name have a result of their last run.
func hasResult(name string) bool {
	switch path.Ext(name) {
	case ".target", ".slice", ".device":
		return false
	}
	return true
}

func (s source) UnitNames(ctx context.Context) (names []string, ok bool, err error) {
	if !systemdRuns() {
		return nil, false, tables.NoSystemd()
	}
	var units []struct {
		Name, Description, Load, Active, Sub, Followed string
		Path                                           dbus.ObjectPath
		JobID                                          uint32
		JobType                                        string
		JobPath                                        dbus.ObjectPath
	}
	var files []struct{ Path, State string }
	ok, err = s.h.bus.ask(ctx, []question{
		{managerPath, systemd + ".Manager.ListUnits", nil, &units}, {managerPath, systemd + ".Manager.ListUnitFiles", nil, &files},
	})
	if !ok {
		return nil, false, err
	}
	for _, u := range units {
		// As systemctl does: units that are in memory for nothing but their name, and other names of devices, are left out.
		if u.Followed == "" && (u.Active != "inactive" || u.JobID != 0) {
			names = append(names, u.Name)
		}
	}
	for _, f := range files {
		names = append(names, path.Base(f.Path))
	}
	return names, true, nil
}
