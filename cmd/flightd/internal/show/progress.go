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
	mu  sync.Mutex
	bar *progressbar.ProgressBar
	on  bool
}

// NewProgress shows nothing yet.
func NewProgress() *Progress { return &Progress{on: IsTerminal(os.Stderr)} }

// Phase begins another piece of work, of so many rows; -1: not known.
func (p *Progress) Phase(what string, rows int64) {
	p.begin(what, rows, progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("rows"))
}

// Wait begins work of which nothing is seen but that it goes on.
func (p *Progress) Wait(what string) { p.begin(what, -1) }

func (p *Progress) begin(what string, rows int64, counts ...progressbar.Option) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.on {
		return
	}
	p.finish()
	p.bar = progressbar.NewOptions64(rows, append(counts,
		progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription(what), progressbar.OptionSetWidth(20),
		progressbar.OptionSetElapsedTime(true), progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionUseANSICodes(true),
		progressbar.OptionSpinnerType(14), progressbar.OptionSetRenderBlankState(true),
	)...)
}

// Add counts rows of the present phase.
func (p *Progress) Add(rows int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Add64(rows) //nolint:errcheck // more rows than were expected: the bar just stays full
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
