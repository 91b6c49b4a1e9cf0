package parquetio

import (
	"io"
	"runtime/debug"
)

// Mapper is a file that can also be looked at where the system keeps it, without a copy. Gather makes use of it: of a page
// it may need a few values.
//
// Such bytes can change or go away under the reader's eyes, if somebody writes to the file. So only page headers and plain
// numbers are taken from them, in Go code that checks its bounds; whatever goes to a decoder is copied first. A fault, as
// after the file was cut off, ends the call with an error.
type Mapper interface {
	io.ReaderAt
	// Map returns n bytes at an offset of the file, which are there until release.
	Map(off int64, n int) (data []byte, release func(), err error)
}

// windowBytes is how much of a column chunk is mapped at once. Only what is looked at becomes part of the process.
var windowBytes = 16 << 20 // tests change it

// window is the part of a file that is mapped.
type window struct {
	mapper  Mapper // nil: bytes are read
	release func()
}

// move maps n bytes at an offset in place of those before. Where it cannot, bytes are read from now on.
func (w *window) move(off int64, n int) (data []byte, ok bool) {
	w.close()
	data, release, err := w.mapper.Map(off, n)
	if err != nil {
		w.mapper = nil
		return nil, false
	}
	w.release = release
	return data, true
}

func (w *window) close() {
	if w.release != nil {
		w.release()
		w.release = nil
	}
}

// faultsAsPanics makes faults on mapped bytes panics of this goroutine, until the returned function is called.
func faultsAsPanics() (restore func()) {
	before := debug.SetPanicOnFault(true)
	return func() { debug.SetPanicOnFault(before) }
}

// isFault tells the panic of such a fault, which the runtime gives an address.
func isFault(p any) bool {
	_, ok := p.(interface{ Addr() uintptr })
	return ok
}
