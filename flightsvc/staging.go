package flightsvc

import (
	"crypto/rand"
	"iter"
	"sync"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/dustin/go-humanize"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/stores"
)

// staging keeps uploaded entity rows in memory for later calls: bounded in bytes and age, under ids that cannot be
// guessed, usable only by the caller that staged them. Rows may be used any number of times until they expire, because
// a client may have to repeat a call.
type staging struct {
	limit int64
	keep  time.Duration

	mu       sync.Mutex
	bytes    int64
	byCaller map[string]int64
	uploads  map[string]*upload
}

// upload is one set of staged rows.
type upload struct {
	caller  string
	schema  *arrow.Schema
	records []arrow.Record
	rows    int64
	bytes   int64
	expires time.Time
	timer   *time.Timer
	release func() // gives the memory back
}

func newStaging(l Limits) *staging {
	return &staging{limit: l.Staged, keep: l.StagedFor, byCaller: make(map[string]int64), uploads: make(map[string]*upload)}
}

// room reports whether bytes more of a caller would fit. It is asked while rows arrive, so that an upload which cannot
// be kept is refused before all of it has been received.
func (s *staging) room(caller string, bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.check(caller, bytes)
}

func (s *staging) check(caller string, bytes int64) error {
	share := s.limit
	if caller != "" {
		share /= serverClients
	}
	if held := s.byCaller[caller]; held+bytes > share {
		return fault.New(fault.Exhausted, "staged entity rows: %s beside %s already staged is over the limit of %s (limits.staged); "+
			"send the rows by DoExchange, which stages nothing, or raise the limit",
			humanize.IBytes(uint64(bytes)), humanize.IBytes(uint64(held)), humanize.IBytes(uint64(share)))
	}
	if s.bytes+bytes > s.limit {
		return fault.New(fault.Busy, "staged entity rows: other callers use up limits.staged (%s) at the moment; try again, "+
			"or send the rows by DoExchange", humanize.IBytes(uint64(s.limit)))
	}
	return nil
}

// add keeps an upload and returns its id. On an error the rows stay the caller's.
func (s *staging) add(u *upload) (id string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(u.caller, u.bytes); err != nil {
		return "", err
	}
	id = rand.Text() // 130 random bits
	u.expires = time.Now().Add(s.keep)
	u.timer = time.AfterFunc(s.keep, func() { s.remove(id) })
	s.uploads[id] = u
	s.bytes += u.bytes
	s.byCaller[u.caller] += u.bytes
	return id, nil
}

// rows returns staged rows as a stream that stays valid when they expire in the middle. Rows of somebody else are as
// unknown as rows that never were.
func (s *staging) rows(id, caller string) (*stores.Rows, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uploads[id]
	if u == nil || u.caller != caller {
		return nil, fault.New(fault.NotFound, "no staged entity rows under this entity_rows_id; they are kept for %s "+
			"(limits.staged_for) and only for the caller that staged them: stage them again", s.keep)
	}
	return &stores.Rows{Schema: u.schema, Len: u.rows, Records: sequence(u.records)}, nil
}

func (s *staging) remove(id string) {
	s.mu.Lock()
	u := s.uploads[id]
	if u != nil {
		delete(s.uploads, id)
		s.bytes -= u.bytes
		if s.byCaller[u.caller] -= u.bytes; s.byCaller[u.caller] == 0 {
			delete(s.byCaller, u.caller)
		}
	}
	s.mu.Unlock()
	if u != nil {
		u.timer.Stop()
		u.release()
	}
}

func (s *staging) clear() {
	s.mu.Lock()
	ids := make([]string, 0, len(s.uploads))
	for id := range s.uploads {
		ids = append(ids, id)
	}
	s.mu.Unlock()
	for _, id := range ids {
		s.remove(id)
	}
}

func sequence(records []arrow.Record) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		for _, rec := range records {
			if !yield(rec, nil) {
				return
			}
		}
	}
}
