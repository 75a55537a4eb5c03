package transport

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestDo(t *testing.T) {
	h := HostFunc(func(_ context.Context, op Op) (Result, error) {
		if op.Kind() == "read" {
			return nil, &Error{Kind: NotFound, Message: "read: no"}
		}
		return Done{}, nil
	})
	if r, err := Do[Done](t.Context(), h, Mkdir{}); err != nil || r != (Done{}) {
		t.Error(r, err)
	}
	if _, err := Do[FileInfo](t.Context(), h, Stat{}); KindOf(err) != Protocol {
		t.Errorf("a result of the wrong type: %v", err)
	}
	if _, err := Do[Data](t.Context(), h, Read{}); KindOf(err) != NotFound {
		t.Error(err)
	}
}

// TestReadOnly sends every op: none that changes may arrive.
func TestReadOnly(t *testing.T) {
	arrived := 0
	h := ReadOnly(HostFunc(func(_ context.Context, op Op) (Result, error) {
		if op.Changes() {
			t.Errorf("%T arrived", op)
		}
		arrived++
		return Done{}, nil
	}))
	want := 0
	for _, op := range ops {
		_, err := h.Do(t.Context(), op)
		if !op.Changes() {
			want++
		}
		if (KindOf(err) == Refused) != op.Changes() {
			t.Errorf("%T: %v", op, err)
		}
	}
	if arrived != want || want == 0 {
		t.Errorf("%d ops arrived, want %d", arrived, want)
	}
}

func TestKindOf(t *testing.T) {
	cause := errors.New("cause")
	e := &Error{Kind: Denied, Message: "no", Err: cause}
	if KindOf(fmt.Errorf("while: %w", e)) != Denied || !errors.Is(e, cause) || e.Error() != "no" {
		t.Error("a wrapped error loses its kind, cause or message")
	}
	if KindOf(cause) != "" || KindOf(nil) != "" {
		t.Error("an error of others has a kind")
	}
}
