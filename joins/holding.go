package joins

import (
	"context"
	"errors"
	"sync"

	"github.com/flightd/flightd/internal/fault"
)

// holding is what one call has reserved of its budget. A nil holding, or one without a budget, has no bound.
type holding struct {
	budget Budget

	mu      sync.Mutex
	held    int64
	prepaid int64 // reserved of the budget and not held yet
	promise int64 // of the two together, until settle
}

// prepay reserves bytes for what follows: calls that wait for memory in the middle of their work, each holding what the others
// wait for, would all wait in vain. What cannot be had even alone is not prepaid; the reservations themselves find out how
// little will do.
func (h *holding) prepay(ctx context.Context, bytes int64) error {
	if h == nil || h.budget == nil {
		return nil
	}
	reserve := h.budget.Reserve
	if s, ok := h.budget.(Starter); ok {
		reserve = s.Start
	}
	switch err := reserve(ctx, bytes); {
	case errors.Is(err, fault.Exhausted):
		return nil
	case err != nil:
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.prepaid, h.promise = bytes, bytes
	return nil
}

// settle gives back what was prepaid and is not held.
func (h *holding) settle() {
	if h == nil || h.budget == nil {
		return
	}
	h.mu.Lock()
	rest := h.prepaid
	h.prepaid, h.promise = 0, 0
	h.mu.Unlock()
	h.budget.Release(rest)
}

func (h *holding) reserve(ctx context.Context, bytes int64) error {
	if h == nil || h.budget == nil {
		return nil
	}
	h.mu.Lock()
	paid := min(bytes, h.prepaid)
	h.prepaid -= paid
	h.held += paid
	h.mu.Unlock()
	if bytes == paid {
		return nil
	}
	if err := h.budget.Reserve(ctx, bytes-paid); err != nil {
		h.release(paid)
		return err
	}
	h.mu.Lock()
	h.held += bytes - paid
	h.mu.Unlock()
	return nil
}

// release gives bytes back: to what is prepaid, as long as that was promised.
func (h *holding) release(bytes int64) {
	if h == nil || h.budget == nil {
		return
	}
	h.mu.Lock()
	h.held -= bytes
	kept := max(0, min(bytes, h.promise-h.held-h.prepaid))
	h.prepaid += kept
	h.mu.Unlock()
	h.budget.Release(bytes - kept)
}

func (h *holding) close() {
	if h == nil || h.budget == nil {
		return
	}
	h.settle()
	h.mu.Lock()
	held := h.held
	h.held = 0
	h.mu.Unlock()
	h.budget.Release(held)
}
