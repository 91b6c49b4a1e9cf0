package flightsvc

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/ipcguard"
	"github.com/flightd/flightd/stores"
)

// spill is where the entity rows of calls go that are more than memory should hold: files in a folder (limits.spill_dir), of
// so many bytes together (limits.spill).
type spill struct {
	dir   string
	limit int64
	used  atomic.Int64
}

// newSpill makes the folder and sees that files can be made in it.
func newSpill(dir string, limit int64) (*spill, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.New(fault.Precondition, "limits.spill_dir: %w", err)
	}
	s := &spill{dir: dir, limit: limit}
	f, err := s.create()
	if err != nil {
		return nil, err
	}
	f.close()
	return s, nil
}

// spillFile holds the messages of a stream, as they came.
type spillFile struct {
	spill *spill
	file  *os.File
	out   *bufio.Writer
	bytes int64
}

// lengths is what stands before each message: how many bytes its header and its body have.
type lengths [2]uint64

const lengthsBytes = 16

func (s *spill) create() (*spillFile, error) {
	f, err := os.CreateTemp(s.dir, "entity-rows-*")
	if err != nil {
		return nil, s.failed(err)
	}
	_ = os.Remove(f.Name()) // what is open stays, and goes with the process, however that ends; where not, close removes it
	return &spillFile{spill: s, file: f, out: bufio.NewWriterSize(f, 1<<20)}, nil
}

// failed names the folder in an error of its file system.
func (s *spill) failed(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fault.New(fault.Exhausted, "entity rows do not fit on the disk of limits.spill_dir: %w; make room there, or send fewer rows at a time", err)
	}
	return fault.New(fault.Unknown, "entity rows cannot be kept in limits.spill_dir: %w", err)
}

// write appends a message.
func (f *spillFile) write(header, body []byte) error {
	n := int64(lengthsBytes + len(header) + len(body))
	if used := f.spill.used.Add(n); used > f.spill.limit {
		f.spill.used.Add(-n)
		if f.bytes+n > f.spill.limit {
			return fault.New(fault.Exhausted, "the entity rows take more than limits.spill (%s) on disk; send fewer rows at a time, or raise the limit", size(f.spill.limit))
		}
		return fault.New(fault.Busy, "entity rows of other calls use up limits.spill (%s) at the moment; try again", size(f.spill.limit))
	}
	f.bytes += n
	before := lengths{uint64(len(header)), uint64(len(body))}
	if err := binary.Write(f.out, binary.LittleEndian, before); err != nil {
		return f.spill.failed(err)
	}
	for _, part := range [][]byte{header, body} {
		if _, err := f.out.Write(part); err != nil {
			return f.spill.failed(err)
		}
	}
	return nil
}

func (f *spillFile) close() {
	f.file.Close()
	_ = os.Remove(f.file.Name())
	f.spill.used.Add(-f.bytes)
}

// reread reads the messages of a spill file. It implements ipcguard.Source, and lends the reader the memory of the message
// that it hands out, which is reserved before it is read.
type reread struct {
	ctx    context.Context
	file   *spillFile
	in     *bufio.Reader
	memory *account
	paid   int64 // of the last message, and not taken over by the reader
}

func (f *spillFile) reread(ctx context.Context, memory *account) (*reread, error) {
	if err := f.out.Flush(); err != nil {
		return nil, f.spill.failed(err)
	}
	return &reread{ctx: ctx, file: f, memory: memory, in: bufio.NewReaderSize(io.NewSectionReader(f.file, 0, f.bytes), 1<<20)}, nil
}

func (r *reread) Next() (header, body []byte, err error) {
	r.memory.Release(r.paid)
	r.paid = 0
	var next lengths
	if err := binary.Read(r.in, binary.LittleEndian, &next); err == io.EOF {
		return nil, nil, err
	} else if err != nil {
		return nil, nil, r.file.spill.failed(err)
	}
	n := int64(next[0] + next[1])
	if err := r.memory.Reserve(r.ctx, n); err != nil {
		return nil, nil, err
	}
	r.paid = n
	all := make([]byte, n)
	if _, err := io.ReadFull(r.in, all); err != nil {
		return nil, nil, r.file.spill.failed(err)
	}
	return all[:next[0]:next[0]], all[next[0]:], nil
}

// Reserve implements ipcguard.Budget.
func (r *reread) Reserve(ctx context.Context, bytes int64) error {
	here := min(bytes, r.paid)
	r.paid -= here
	return r.memory.Reserve(ctx, bytes-here)
}

func (r *reread) Release(bytes int64) { r.memory.Release(bytes) }

// spooling passes on the messages of a client's stream and keeps them: a few in memory, and once these are too many, all on
// disk.
type spooling struct {
	from   *incoming
	spill  *spill
	memory *account
	ctx    context.Context
	most   int64 // bytes in memory
	held   int64
	early  [][2][]byte
	file   *spillFile // nil: they are in memory
}

func (s *spooling) Next() (header, body []byte, err error) {
	if header, body, err = s.from.Next(); err != nil {
		return nil, nil, err
	}
	if s.file == nil {
		n := int64(len(header) + len(body))
		if s.held+n <= s.most {
			if err := s.memory.Reserve(s.ctx, n); err != nil { // records mostly lie in the messages, but need not
				return nil, nil, err
			}
			s.held += n
			s.early = append(s.early, [2][]byte{header, body})
			return header, body, nil
		}
		if err := s.toDisk(); err != nil {
			return nil, nil, err
		}
	}
	return header, body, s.file.write(header, body)
}

// toDisk writes what came so far to a file.
func (s *spooling) toDisk() (err error) {
	if s.file, err = s.spill.create(); err != nil {
		return err
	}
	for _, m := range s.early {
		if err := s.file.write(m[0], m[1]); err != nil {
			return err
		}
	}
	s.forget()
	return nil
}

// forget lets go of the messages in memory.
func (s *spooling) forget() {
	s.memory.Release(s.held)
	s.early, s.held = nil, 0
}

func (s *spooling) close() {
	if s.file != nil {
		s.file.close()
	}
}

// spooled opens the entity rows that follow a descriptor. All of them are received before the first is handed on; then is
// called in between. Those that are too many for memory lie on disk meanwhile.
func (s *Server) spooled(ctx context.Context, up *incoming, c *call, then func() error) (*stores.Rows, error) {
	src := &spooling{from: up, spill: s.spill, memory: c.memory, ctx: ctx, most: s.limits.Memory / spillShare}
	c.atEnd = append(c.atEnd, src.close)
	r, err := s.reader(ctx, src, handed{c.memory, c})
	if err != nil {
		return nil, err
	}
	rows := &stores.Rows{Schema: r.Schema(), Len: -1}
	release := func() {}
	rows.Release = func() { release() }
	rows.Records = func(yield func(arrow.Record, error) bool) {
		var all []arrow.Record
		var count int64
		for rec, err := range s.bounded(r.Records()) {
			if err != nil {
				yield(nil, err)
				return
			}
			count += rec.NumRows()
			if src.file == nil {
				all = append(all, rec)
				continue
			}
			all = nil
			r.Release()
		}
		src.forget()
		if err := then(); err != nil {
			yield(nil, err)
			return
		}
		rows.Len = count
		if src.file == nil {
			sequence(all)(yield)
			return
		}
		r.Release()
		from, err := src.file.reread(ctx, c.memory)
		if err != nil {
			yield(nil, err)
			return
		}
		again, err := ipcguard.NewReader(ctx, from, s.guard(from))
		if err != nil {
			yield(nil, err)
			return
		}
		release = again.Release
		again.Records()(yield)
	}
	return rows, nil
}

// spillShare is the part of the memory that the messages of one call may take before they go to disk.
const spillShare = 8
