package show

import (
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Progress shows rows, rate and time on standard error while they move, if that is a terminal. It may be used by several
// goroutines.
type Progress struct {
	mu    sync.Mutex
	bar   *progressbar.ProgressBar
	begun time.Time // of the phase
	held  int64     // rows that the bar has not been told of
	on    bool
}

// often is how often the screen changes, and how long a phase goes on before it is shown: after less there is no rate.
const often = 100 * time.Millisecond

// NewProgress shows nothing yet.
func NewProgress() *Progress { return &Progress{on: IsTerminal(os.Stderr)} }

// Phase begins another piece of work, of so many rows; -1: not known.
func (p *Progress) Phase(what string, rows int64) {
	p.begin(what, rows, progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("rows"),
		progressbar.OptionSetSpinnerChangeInterval(0)) // it changes with the rows, not before there are any
}

// Wait begins work of which nothing is seen but that it goes on.
func (p *Progress) Wait(what string) {
	p.begin(what, -1, progressbar.OptionSetRenderBlankState(true))
}

func (p *Progress) begin(what string, rows int64, more ...progressbar.Option) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.on {
		return
	}
	p.finish()
	p.begun, p.held = time.Now(), 0
	p.bar = progressbar.NewOptions64(rows, append(more,
		progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription(what), progressbar.OptionSetWidth(20),
		progressbar.OptionSetElapsedTime(true), progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(often), progressbar.OptionClearOnFinish(), progressbar.OptionUseANSICodes(true),
		progressbar.OptionSpinnerType(14),
	)...)
	p.bar.StartWithoutRender()
}

// Add counts rows of the present phase.
func (p *Progress) Add(rows int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar == nil {
		return
	}
	if p.held += rows; time.Since(p.begun) >= often {
		p.bar.Add64(p.held) //nolint:errcheck // more rows than were expected: the bar just stays full
		p.held = 0
	}
}

// Done takes the progress off the screen, for good.
func (p *Progress) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finish()
	p.on = false
}

func (p *Progress) finish() {
	if p.bar != nil {
		p.bar.Finish() //nolint:errcheck // nothing can be done about a terminal that went away
		p.bar.Clear()  //nolint:errcheck
		p.bar = nil
	}
}
