package flightsvc

import (
	"flag"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/metadata"
)

// What a client is told of the limits when it connects.
func TestSettings(t *testing.T) {
	catalog, _ := parsed(t, stats)
	f := serve(t, catalog, Limits{})
	framer, conn := f.raw()
	defer conn.Close()
	frame, err := framer.ReadFrame()
	settings, ok := frame.(*http2.SettingsFrame)
	if err != nil || !ok {
		t.Fatalf("%v, %v", frame, err)
	}
	for id, want := range map[http2.SettingID]uint32{
		http2.SettingMaxConcurrentStreams: 64, http2.SettingMaxHeaderListSize: 16 << 10, http2.SettingInitialWindowSize: 1 << 20,
	} {
		if got, ok := settings.Value(id); got != want || !ok {
			t.Errorf("%s is %d, want %d", id, got, want)
		}
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x", strings.Repeat("y", 20<<10))
	if _, err := f.get(ctx, allOfStats); err == nil {
		t.Error("a header of 20 KB was taken")
	}
	if _, err := f.get(t.Context(), allOfStats); err != nil {
		t.Errorf("after that: %v", err)
	}
}

// Connections are bounded in number; those on which nothing is said are closed after 10 s, so they do not keep others out
// for long.
func TestSilentConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		catalog, _ := parsed(t, stats)
		f := serve(t, catalog, Limits{})
		silent := make([]net.Conn, maxConnections)
		for i := range silent {
			var err error
			if silent[i], err = f.connect(); err != nil {
				t.Fatal(err)
			}
			defer silent[i].Close()
		}
		synctest.Wait()
		timed(t, 10*time.Second, func() {
			if _, err := f.get(t.Context(), allOfStats); err != nil {
				t.Errorf("when they are gone: %v", err)
			}
		})
	})
}

// raw is a connection that has said its preface.
func (f *service) raw() (*http2.Framer, net.Conn) {
	f.t.Helper()
	conn, err := f.connect()
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		f.t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		f.t.Fatal(err)
	}
	return framer, conn
}

// Who pings all the time is sent away.
func TestPings(t *testing.T) {
	catalog, _ := parsed(t, stats)
	f := serve(t, catalog, Limits{})
	framer, conn := f.raw()
	defer conn.Close()
	go func() {
		for range 100 {
			if framer.WritePing(false, [8]byte{}) != nil {
				return
			}
		}
	}()
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("nothing was said: %v", err)
		}
		if away, ok := frame.(*http2.GoAwayFrame); ok && away.ErrCode == http2.ErrCodeEnhanceYourCalm {
			return
		}
	}
}

var resets = flag.Int("resets", 5000, "calls that TestResets opens and resets at once")

// Calls that are opened and reset at once cost no more than the moment; those of other clients go on.
func TestResets(t *testing.T) {
	catalog, _ := parsed(t, stats)
	f := serve(t, catalog, Limits{})
	ask := func(n int) (took []time.Duration) {
		for range n {
			start := time.Now()
			if _, err := f.get(t.Context(), allOfStats); err != nil {
				t.Errorf("another client's call: %v", err)
			}
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		return took
	}
	quiet := ask(200)
	var beside []time.Duration
	framer, conn := f.raw()
	read := make(chan struct{})
	go func() {
		defer close(read)
		for {
			if _, err := framer.ReadFrame(); err != nil {
				return
			}
		}
	}()
	for i := range uint32(*resets) {
		if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: headersOf(t, "DoExchange"), EndHeaders: true}); err != nil {
			break // sent away
		}
		if err := framer.WriteRSTStream(2*i+1, http2.ErrCodeCancel); err != nil {
			break
		}
		if i%200 == 0 {
			beside = append(beside, ask(1)...)
		}
	}
	conn.Close()
	<-read
	f.idle()
	after := ask(200)
	slices.Sort(beside)
	p99 := func(took []time.Duration) time.Duration { return took[len(took)*99/100] }
	t.Logf("%d resets; p99 of another client before them %s, beside them %s, after them %s", *resets, p99(quiet), p99(beside), p99(after))
}
