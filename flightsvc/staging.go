package flightsvc

import (
	"context"
	"crypto/rand"
	"iter"
	"sync"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

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
	commands map[commandKey]string // of a caller -> id
}

type commandKey struct{ caller, command string }

// upload is one set of staged rows. Its memory is held by an account of its own, which lives as long as the upload and
// the calls that use it.
type upload struct {
	caller  string
	command string // of a Feast client, which asks for it in two calls more; "": rows are all it is
	schema  *arrow.Schema
	records []arrow.Record
	rows    int64
	bytes   int64
	expires time.Time
	timer   *time.Timer
	memory  *account
	users   int // calls that use it, and one for the staging itself; guarded by staging.mu
}

// uploadCost is what an upload takes beside its rows, so that uploads without rows are not free.
const uploadCost = 4 << 10

func newStaging(l Limits) *staging {
	return &staging{limit: l.Staged, keep: l.StagedFor, byCaller: make(map[string]int64), uploads: make(map[string]*upload),
		commands: make(map[commandKey]string)}
}

// stage receives entity rows and keeps them.
func (s *Server) stage(ctx context.Context, up *incoming) (id string, u *upload, err error) {
	return s.stageFor(ctx, up, "")
}

// stageFor receives the entity rows of a command and keeps both.
func (s *Server) stageFor(ctx context.Context, up *incoming, command string) (id string, u *upload, err error) {
	u = &upload{caller: callOf(ctx).caller, command: command, memory: s.memory.account(s.limits.QueueFor)}
	kept := false
	defer func() {
		if !kept {
			u.memory.close()
		}
	}()
	if err := s.fill(ctx, u, up); err != nil {
		return "", u, err
	}
	id, err = s.staging.add(u)
	kept = err == nil
	return id, u, err
}

// fill receives the rows of an upload.
func (s *Server) fill(ctx context.Context, u *upload, up *incoming) error {
	if err := u.memory.Reserve(ctx, uploadCost+int64(len(u.command))); err != nil {
		return err
	}
	rows, err := s.streamed(ctx, up, u.memory)
	if err != nil {
		return err
	}
	u.schema = rows.Schema
	for rec, err := range rows.Records {
		if err != nil {
			return err
		}
		u.records = append(u.records, rec)
		u.rows += rec.NumRows()
		if err := s.staging.room(u.caller, u.memory.held.Load()); err != nil {
			return err
		}
	}
	u.bytes = u.memory.held.Load()
	return nil
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
		share /= callerShare
	}
	if held := s.byCaller[caller]; held+bytes > share { // callers that cannot be told apart are one
		return fault.New(fault.Exhausted, "staged entity rows: %s beside %s already staged is over the limit of %s (limits.staged); "+
			"send the rows by DoExchange, which stages nothing, wait for the others to expire, or raise the limit", size(bytes), size(held), size(share))
	}
	if s.bytes+bytes > s.limit {
		return fault.New(fault.Busy, "staged entity rows: other callers use up limits.staged (%s) at the moment; try again, "+
			"or send the rows by DoExchange", size(s.limit))
	}
	return nil
}

// held is how many bytes are staged.
func (s *staging) held() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// add keeps an upload and returns its id. On an error the rows stay the caller's.
func (s *staging) add(u *upload) (id string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(u.caller, u.bytes); err != nil {
		return "", err
	}
	id = rand.Text() // 130 random bits
	u.users = 1
	u.expires = time.Now().Add(s.keep)
	u.timer = time.AfterFunc(s.keep, func() { s.remove(id) })
	s.uploads[id] = u
	if u.command != "" {
		s.commands[commandKey{u.caller, u.command}] = id // the same once more is the same question
	}
	s.bytes += u.bytes
	s.byCaller[u.caller] += u.bytes
	return id, nil
}

// rows returns staged rows as a stream that stays valid until they are released, even if they expire in the middle. Rows
// of somebody else are as unknown as rows that never were.
func (s *staging) rows(id, caller string) (rows *stores.Rows, release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uploads[id]
	if u == nil || u.caller != caller {
		return nil, nil, fault.New(fault.NotFound, "no staged entity rows under this entity_rows_id; they are kept for %s "+
			"(limits.staged_for) and only for the caller that staged them: stage them again", s.keep)
	}
	rows, release = s.use(u)
	return rows, release, nil
}

// parked finds the id of a command that a caller has put here.
func (s *staging) parked(command, caller string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.commands[commandKey{caller, command}]
	if !ok {
		return "", fault.New(fault.NotFound, "Flight not found: this command has not been put, or longer ago than %s (limits.staged_for)", s.keep)
	}
	return id, nil
}

// parkedRows returns a command that was put here, and its rows, which stay valid until they are released.
func (s *staging) parkedRows(id, caller string) (command string, rows *stores.Rows, release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uploads[id]
	if u == nil || u.caller != caller || u.command == "" {
		return "", nil, nil, fault.New(fault.NotFound, "no command is kept under this ticket; it is kept for %s (limits.staged_for), "+
			"until its answer has gone out, and only for its caller: put the command again", s.keep)
	}
	rows, release = s.use(u)
	return u.command, rows, release, nil
}

// use lends the rows of an upload. The caller holds the lock.
func (s *staging) use(u *upload) (*stores.Rows, func()) {
	u.users++
	return &stores.Rows{Schema: u.schema, Len: u.rows, Records: sequence(u.records)}, func() { s.drop(u) }
}

// drop ends one use of an upload. The last one gives its memory back.
func (s *staging) drop(u *upload) {
	s.mu.Lock()
	u.users--
	last := u.users == 0
	s.mu.Unlock()
	if last {
		u.memory.close()
	}
}

func (s *staging) remove(id string) {
	s.mu.Lock()
	u := s.uploads[id]
	if u != nil {
		u.timer.Stop()
		delete(s.uploads, id)
		if key := (commandKey{u.caller, u.command}); s.commands[key] == id {
			delete(s.commands, key)
		}
		s.bytes -= u.bytes
		if s.byCaller[u.caller] -= u.bytes; s.byCaller[u.caller] == 0 {
			delete(s.byCaller, u.caller)
		}
	}
	s.mu.Unlock()
	if u != nil {
		s.drop(u)
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
