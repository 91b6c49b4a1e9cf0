package flightsvc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/flight"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/memstore"
	"github.com/flightd/flightd/testdata/pit"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			println(err.Error())
			code = 1
		}
	}
	os.Exit(code)
}

// service is a running server and a client of it. When the test ends the server must stop cleanly, hold no memory, and
// have met no bug.
type service struct {
	t       testing.TB
	server  *Server
	client  flight.FlightServiceClient
	conn    *grpc.ClientConn
	dial    func() *grpc.ClientConn
	connect func() (net.Conn, error)
	log     *logLines
	drain   context.CancelFunc // as the first signal does
	served  chan struct{}      // closed when Serve has returned
	ended   error              // what it returned
}

// serve starts a server over a catalog that listens in memory.
func serve(t testing.TB, catalog *stores.Catalog, limits Limits, change ...func(*Server)) *service {
	t.Helper()
	f := &service{t: t, log: new(logLines), served: make(chan struct{})}
	var err error
	f.server, err = New(Options{
		Catalog: func(context.Context) (*stores.Catalog, error) { return catalog, nil },
		Limits:  limits, Log: zerolog.New(f.log),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(f.server)
	}
	listener := bufconn.Listen(1 << 20)
	ctx, cancel := context.WithCancel(context.Background())
	f.drain = cancel
	go func() {
		defer close(f.served)
		if f.ended = f.server.Serve(ctx, listener); f.ended != nil && !errors.Is(f.ended, ErrCutOff) {
			t.Errorf("serve: %v", f.ended)
		}
	}()
	f.connect = listener.Dial
	f.dial = func() *grpc.ClientConn {
		conn, err := grpc.NewClient("passthrough:bufconn", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	f.conn = f.dial()
	f.client = flight.NewFlightServiceClient(f.conn)
	t.Cleanup(func() {
		f.conn.Close()
		cancel()
		<-f.served
		if n := f.server.memory.inUse.Load(); n != 0 {
			t.Errorf("after the end %d bytes are still taken from the memory", n)
		}
		for _, line := range f.log.all() {
			if strings.Contains(line, `"stack"`) || strings.Contains(line, "panic") {
				t.Errorf("a bug: %s", line)
			}
		}
	})
	return f
}

// idle waits until all calls have ended, and checks that they have given their memory back.
func (f *service) idle() {
	f.t.Helper()
	f.await("the end of all calls", func() bool {
		return f.server.memory.inUse.Load() == f.staged()
	})
}

func (f *service) staged() (bytes int64) {
	f.server.staging.mu.Lock()
	defer f.server.staging.mu.Unlock()
	for _, u := range f.server.staging.uploads {
		bytes += u.memory.held.Load()
	}
	return bytes
}

// await waits for what must come, and gives up when it has been patient by any measure.
func (f *service) await(what string, come func() bool) {
	f.t.Helper()
	for end := time.Now().Add(20 * time.Second); !come(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("%s does not come; %d bytes are taken, %d of them staged", what, f.server.memory.inUse.Load(), f.staged())
		}
	}
}

// logLines keeps the lines of a log.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *logLines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

// answered is an answer as a client gets it.
type answered struct {
	pit.Table
	metadata [][]byte // of each batch
}

// answerOf reads an answer with v15's own client.
func answerOf(stream flight.DataStreamReader) (a answered, err error) {
	r, err := flight.NewRecordReader(stream)
	if err != nil {
		return a, err
	}
	defer r.Release()
	a.Schema = r.Schema()
	for r.Next() {
		rec := r.Record()
		rec.Retain()
		a.Records = append(a.Records, rec)
		a.metadata = append(a.metadata, r.LatestAppMetadata())
	}
	return a, r.Err()
}

func (f *service) get(ctx context.Context, ticket []byte) (answered, error) {
	stream, err := f.client.DoGet(ctx, &flight.Ticket{Ticket: ticket})
	if err != nil {
		return answered{}, err
	}
	return answerOf(stream)
}

// send sends rows over a stream that has been opened, the descriptor first, and closes the client's side.
func send(stream flight.DataStreamWriter, command []byte, rows pit.Table) error {
	w := flight.NewRecordWriter(stream, ipc.WithSchema(rows.Schema))
	w.SetFlightDescriptor(descriptor(command))
	for _, rec := range rows.Records {
		if err := w.Write(rec); err != nil {
			return err
		}
	}
	return w.Close()
}

func (f *service) exchange(ctx context.Context, command []byte, rows pit.Table) (answered, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := f.client.DoExchange(ctx)
	if err != nil {
		return answered{}, err
	}
	sent := make(chan error, 1)
	go func() {
		err := send(stream, command, rows)
		if err == nil {
			err = stream.CloseSend()
		}
		sent <- err
	}()
	a, err := answerOf(stream)
	if err == nil {
		err = <-sent
	} else {
		cancel()
		<-sent
	}
	return a, err
}

// stage puts rows and returns their id.
func (f *service) stage(ctx context.Context, rows pit.Table) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := f.client.DoPut(ctx)
	if err != nil {
		return "", err
	}
	if err := send(stream, []byte(`{"entity_rows": {}}`), rows); err != nil && err != io.EOF {
		return "", err
	}
	if err := stream.CloseSend(); err != nil {
		return "", err
	}
	put, err := stream.Recv()
	if err != nil {
		return "", err
	}
	var answer struct {
		ID   string `json:"entity_rows_id"`
		Rows int64  `json:"rows"`
	}
	if err := json.Unmarshal(put.AppMetadata, &answer); err != nil {
		return "", err
	}
	if answer.Rows != rows.Rows() {
		f.t.Errorf("staged %d rows, the answer says %d", rows.Rows(), answer.Rows)
	}
	_, err = stream.Recv()
	if err != io.EOF {
		f.t.Errorf("after the answer to DoPut: %v", err)
	}
	return answer.ID, nil
}

func descriptor(command []byte) *flight.FlightDescriptor {
	return &flight.FlightDescriptor{Type: flight.DescriptorCMD, Cmd: command}
}

// ipcStream is a table as an Arrow IPC stream.
func ipcStream(t testing.TB, rows pit.Table) []byte {
	t.Helper()
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(rows.Schema))
	for _, rec := range rows.Records {
		if err := w.Write(rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// request is a request as JSON.
func request(kind string, keys map[string]any) []byte {
	data, err := json.Marshal(map[string]any{kind: keys})
	if err != nil {
		panic(err)
	}
	return data
}

// parsed is a catalog made of the views of a vector's text, over a memory store.
func parsed(t testing.TB, text string) (*stores.Catalog, pit.Vector) {
	t.Helper()
	v, err := pit.Parse("test", text)
	if err != nil {
		t.Fatal(err)
	}
	return catalogOf(t, v), v
}

// catalogOf is a catalog of a vector's views over a memory store.
func catalogOf(t testing.TB, v pit.Vector) *stores.Catalog {
	t.Helper()
	store := memstore.New()
	var views []*stores.FeatureView
	for _, w := range v.Views {
		if err := store.Put(w.Name, w.Source.Schema, w.Source.Records...); err != nil {
			t.Fatal(err)
		}
		views = append(views, &stores.FeatureView{
			Name: w.Name, Keys: w.Keys, Timestamp: w.Timestamp, Created: w.Created, TTL: w.TTL, Features: w.Features,
			FieldMapping: w.FieldMapping, Store: store, Source: memstore.Source(w.Name),
		})
	}
	catalog, err := stores.NewCatalog(views, nil)
	if err != nil {
		t.Fatal(err)
	}
	return catalog
}

// wantCode checks the status of an error, and that its text says all of some words.
func wantCode(t testing.TB, what string, err error, code codes.Code, words ...string) {
	t.Helper()
	if status.Code(err) != code {
		t.Errorf("%s: %v, want %s", what, err, code)
		return
	}
	for _, word := range words {
		if !strings.Contains(status.Convert(err).Message(), word) {
			t.Errorf("%s: the message does not say %q: %s", what, word, status.Convert(err).Message())
		}
	}
}

func (l *logLines) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = nil
}
