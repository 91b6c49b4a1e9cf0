package ondemand

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/ipcguard"
)

// request is the header of a frame to the worker. The body is the definitions that the worker does not have yet, the
// schema of the outputs, and the records, one after the other.
type request struct {
	Views   []viewHeader `json:"views"`
	Full    bool         `json:"full"`   // full feature names
	Forget  bool         `json:"forget"` // all definitions that were sent before
	Outputs int          `json:"outputs"`
	Max     int64        `json:"max"` // bytes that the answer may have
}

// viewHeader is what the worker has to know of a view besides its definition.
type viewHeader struct {
	ID         string   `json:"id"` // of the definition
	Name       string   `json:"name"`
	Alias      string   `json:"alias"`
	Outputs    []string `json:"outputs"`    // columns
	Definition int      `json:"definition"` // its bytes in the body; 0: sent before
}

// response is the header of a frame from the worker. The body of a good answer is an IPC stream with one record.
type response struct {
	Failure *failure `json:"failure"`
}

// failure says why there is no answer. The worker goes on.
type failure struct {
	View string   `json:"view"`
	Kind string   `json:"kind"` // refused, size; anything else is the fault of the view
	Text string   `json:"text"`
	More []string `json:"more"` // the end of a traceback
}

// maxLoaded bounds the definitions that a worker keeps.
const maxLoaded = 64

// ask puts the request for a worker together. sent are the definitions that the worker is to keep if all goes well.
func (t *Transformation) ask(w *worker, records []byte, most int64) (header request, body [][]byte, sent []string) {
	lacking := 0
	for _, v := range t.views {
		if !w.loaded[v.ID] {
			lacking++
		}
	}
	header = request{Full: t.full, Outputs: len(t.outputs), Max: most, Forget: len(w.loaded)+lacking > maxLoaded}
	for _, v := range t.views {
		h := v.viewHeader
		if (header.Forget || !w.loaded[h.ID]) && !slices.Contains(sent, h.ID) {
			h.Definition = len(v.definition)
			body, sent = append(body, v.definition), append(sent, h.ID)
		}
		header.Views = append(header.Views, h)
	}
	return header, append(body, t.outputs, records), sent
}

// run has a worker transform records, encoded, of so many rows. If broken is set, the worker has ended.
func (t *Transformation) run(ctx context.Context, w *worker, records []byte, rows int64, o Options) (out arrow.Record, broken bool, err error) {
	header, parts, sent := t.ask(w, records, o.MaxMessage)
	if header.Forget {
		clear(w.loaded)
	}
	var answer response
	body, err := w.exchange(ctx, o, &answer, header, parts)
	if err == nil && answer.Failure != nil {
		return nil, false, answer.Failure.error(t)
	}
	if err == nil {
		out, err = t.decode(ctx, body, rows)
	}
	if err != nil {
		w.end()
		return nil, true, t.broken(ctx, w, err, rows, o)
	}
	for _, id := range sent {
		w.loaded[id] = true
	}
	return out, false, nil
}

// decode reads the record that came back. It is as untrusted as anything that comes over a wire.
func (t *Transformation) decode(ctx context.Context, body []byte, rows int64) (out arrow.Record, err error) {
	limit := 2*int64(len(body)) + 16<<20 // for what is not aligned, and for the structures around it
	r, err := ipcguard.NewReader(ctx, ipcguard.Bytes(body), ipcguard.Limits{Bytes: limit})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errGarbage, err)
	}
	defer r.Release()
	for i, f := range t.added.Fields() {
		if len(r.Schema().Fields()) != len(t.added.Fields()) || !arrow.TypeEqual(r.Schema().Field(i).Type, f.Type) {
			return nil, fmt.Errorf("%w: columns %v, %v were asked for", errGarbage, r.Schema().Fields(), t.added.Fields())
		}
	}
	for rec, err := range r.Records() {
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errGarbage, err)
		}
		if out != nil {
			return nil, fmt.Errorf("%w: two records", errGarbage)
		}
		out = rec
	}
	if out == nil || out.NumRows() != rows {
		return nil, fmt.Errorf("%w: an answer of another number of rows", errGarbage)
	}
	return out, nil
}

// error is the failure as an error of the request.
func (f *failure) error(t *Transformation) error {
	kind, view := fault.Precondition, t.String()
	switch f.Kind {
	case "refused":
		kind = fault.Unimplemented
	case "size":
		kind = fault.Exhausted
	}
	if f.View != "" {
		view = fmt.Sprintf("on-demand feature view %.200q", f.View)
	}
	text := cut(f.Text, mostText)
	if len(f.More) > 0 {
		text += "\n" + cut(strings.Join(f.More, "\n"), mostLines)
	}
	err := fault.New(kind, "%s: %s", view, text)
	if kind == fault.Exhausted {
		return tooLarge{err}
	}
	return err
}

// tooLarge is the error of outputs that are larger than a message; those of fewer rows may fit.
type tooLarge struct{ error }

func (e tooLarge) Unwrap() error { return e.error }

// broken is the error of an exchange that came to no answer. The worker has ended.
func (t *Transformation) broken(ctx context.Context, w *worker, err error, rows int64, o Options) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fault.New(fault.Exhausted, "%v: %d rows took longer than the %v that a batch may take; make the transformation faster%s", t, rows, o.Timeout, w.said())
	case errors.Is(err, errGarbage):
		return fault.New(fault.Precondition, "%v: the Python process was ended, what it answered cannot be read: %s%s", t, cut(err.Error(), mostText), w.said())
	}
	return fault.New(fault.Precondition, "%v: the Python process died over %d rows (%s)%s", t, rows, w.exit, w.said())
}

// exchange sends one frame and reads one. Errors are those of reading and writing; when ctx ends, they come at once.
func (w *worker) exchange(ctx context.Context, o Options, answer *response, header request, parts [][]byte) (body []byte, err error) {
	release := w.bound(ctx, o.Timeout)
	defer release()
	if err := writeFrame(w.in, header, parts...); err != nil {
		return nil, err
	}
	return readFrame(w.out, o.MaxMessage, answer)
}

// bound gives all reading and writing until release a limit in time, which ctx may cut short.
func (w *worker) bound(ctx context.Context, limit time.Duration) (release func()) {
	w.setDeadline(time.Now().Add(limit))
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		w.setDeadline(time.Unix(1, 0))
	})
	return func() {
		if !stop() {
			<-ended
		}
	}
}

func (w *worker) setDeadline(t time.Time) {
	_ = w.in.SetWriteDeadline(t) // an error means that the pipe is closed; then reading and writing fail, too
	_ = w.out.SetReadDeadline(t)
}

// What others say in error messages: a status has room for about 4,000 bytes.
const (
	mostText  = 1000
	mostLines = 2000
)

// cut keeps the end of a text that somebody else made.
func cut(s string, most int) string {
	s = strings.ToValidUTF8(strings.TrimSpace(s), "?")
	if len(s) > most {
		s = "…" + strings.ToValidUTF8(s[len(s)-most:], "")
	}
	return s
}
