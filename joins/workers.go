package joins

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// workers runs goroutines that all end before wait returns. The first error ends the others' context; a panic, in a
// store say, is an error of this call and not the end of the process.
type workers struct {
	group  *errgroup.Group
	ctx    context.Context
	cancel context.CancelFunc // ends the work early; wait does it, too
}

func newWorkers(ctx context.Context) *workers {
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	return &workers{group, ctx, cancel}
}

func (w *workers) start(work func(context.Context) error) {
	w.group.Go(func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		return work(w.ctx)
	})
}

func (w *workers) wait() error {
	defer w.cancel()
	return w.group.Wait()
}

// inParallel does n pieces of work on up to so many threads.
func inParallel(ctx context.Context, threads, n int, do func(i int) error) error {
	var next atomic.Int64
	work := newWorkers(ctx)
	for range min(threads, n) {
		work.start(func(ctx context.Context) error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || ctx.Err() != nil {
					return ctx.Err()
				}
				if err := do(i); err != nil {
					return err
				}
			}
		})
	}
	return work.wait()
}

// inOrder does n pieces of work on up to so many threads and hands the results on in their order. No more results wait
// than there are threads. A result that is not handed on, because of an error, is dropped.
func inOrder[T any](ctx context.Context, threads, n int, do func(ctx context.Context, i int) (T, error), take func(T) error, drop func(T)) error {
	work := newWorkers(ctx)
	results := make([]chan T, n)
	for i := range results {
		results[i] = make(chan T, 1)
	}
	begin := func(i int) {
		if i >= n {
			return
		}
		work.start(func(ctx context.Context) error {
			defer close(results[i])
			if err := ctx.Err(); err != nil {
				return err
			}
			v, err := do(ctx, i)
			if err == nil {
				results[i] <- v
			}
			return err
		})
	}
	for i := range threads {
		begin(i)
	}
	var stopped error
	for i := range n {
		for v := range results[i] {
			if stopped != nil || work.ctx.Err() != nil {
				drop(v)
			} else if stopped = take(v); stopped != nil {
				work.cancel()
			}
		}
		if next := i + threads; next < n {
			begin(next)
		}
	}
	err := work.wait()
	if stopped != nil {
		return stopped
	}
	return err
}

func (o Options) threads() int {
	if o.Threads > 0 {
		return o.Threads
	}
	return runtime.GOMAXPROCS(0)
}
