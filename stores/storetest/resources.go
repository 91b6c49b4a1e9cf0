package storetest

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

// resources are what a scan could leave behind: goroutines, and file descriptors where they can be counted.
type resources struct{ goroutines, files int }

func held() resources {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return resources{runtime.NumGoroutine(), 0}
	}
	return resources{runtime.NumGoroutine(), len(entries)}
}

// uncollected keeps the garbage collector away until what it returns is called: it closes files that were left open, which
// would hide that they were.
func uncollected() (collect func()) {
	before := debug.SetGCPercent(-1)
	return func() { debug.SetGCPercent(before) }
}

// patience is how long what ends a moment later may take.
var patience = time.Second

// settled waits until no more is held than before: what ends a moment later is not left behind.
func (before resources) settled() error {
	var now resources
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		now = held()
		if now.goroutines <= before.goroutines && now.files <= before.files {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d goroutines and %d open files, before it were %d and %d",
				now.goroutines, now.files, before.goroutines, before.files)
		}
	}
}
