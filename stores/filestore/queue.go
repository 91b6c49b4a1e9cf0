package filestore

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/flightd/flightd/stores"
)

// queues holds the writes that wait for a file, by its path. Making a file anew costs as much for one write as for many,
// so all that wait are written by whoever comes first.
type queues struct {
	mu     sync.Mutex
	byPath map[string]*queue
}

type queue struct {
	users   int           // guarded by queues.mu
	turn    chan struct{} // holds one value while somebody writes
	mu      sync.Mutex
	waiting []*request
}

// request is one staged write to a file.
type request struct {
	key  key
	st   *staged
	done chan struct{} // closed when written and err are set
	stores.Written
	err error
}

func (q *queues) enter(path string) *queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.byPath == nil {
		q.byPath = make(map[string]*queue)
	}
	of := q.byPath[path]
	if of == nil {
		of = &queue{turn: make(chan struct{}, 1)}
		q.byPath[path] = of
	}
	of.users++
	return of
}

func (q *queues) leave(path string, of *queue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if of.users--; of.users == 0 {
		delete(q.byPath, path)
	}
}

// do has a request written, together with others that wait. write is called by one caller at a time, after lock, and sets
// the outcome of every request that it is given. A caller that gives up takes its request back, unless it is being written.
func (q *queue) do(ctx context.Context, r *request, lock func() (unlock func(), err error), write func([]*request)) {
	q.mu.Lock()
	q.waiting = append(q.waiting, r)
	q.mu.Unlock()
	select {
	case <-r.done:
	case q.turn <- struct{}{}:
		q.lead(r, lock, write)
	case <-ctx.Done():
		if q.withdraw(r) {
			r.err = ctx.Err()
			return
		}
	}
	<-r.done
}

// lead writes what waits, and gives the turn back.
func (q *queue) lead(r *request, lock func() (unlock func(), err error), write func([]*request)) {
	defer func() { <-q.turn }()
	unlock, err := lock()
	if err != nil {
		if q.withdraw(r) { // the others try for themselves
			r.err = err
			close(r.done)
		}
		return
	}
	defer unlock()
	all := q.take()
	defer func() { // also if write panics
		for _, r := range all {
			close(r.done)
		}
	}()
	for _, r := range all {
		r.err = errUnfinished
	}
	if len(all) > 0 { // else somebody has written them before
		write(all)
	}
}

var errUnfinished = errors.New("the write did not come to an end")

func (q *queue) take() []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.waiting
	q.waiting = nil
	return all
}

func (q *queue) withdraw(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, r)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	return i >= 0
}
