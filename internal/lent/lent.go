// Package lent passes on the memory that a call may take to those who read files for it. It goes with the context, past
// interfaces that know rows and nothing of the pages they are read from.
package lent

import "context"

// Memory is what a call lends to its readers.
type Memory struct {
	Budget Budget
	Free   int64 // bytes that each reader may take without asking; what is more is reserved
}

// Budget is that of the call; joins.Budget says what it promises.
type Budget interface {
	Reserve(ctx context.Context, bytes int64) error
	Release(bytes int64)
}

type key struct{}

// With is a context for readers that are lent memory.
func With(ctx context.Context, m Memory) context.Context { return context.WithValue(ctx, key{}, m) }

// From returns what is lent; ok is false if nobody said.
func From(ctx context.Context) (m Memory, ok bool) {
	m, ok = ctx.Value(key{}).(Memory)
	return m, ok
}
