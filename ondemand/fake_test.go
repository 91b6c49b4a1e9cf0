//go:build unix

package ondemand

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"go.uber.org/goleak"
)

// TestMain runs the tests, or a worker for them: the test binary started as "BINARY fake MODE ...".
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "fake" {
		fake(os.Args[2])
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == "server" {
		serve()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// fakeOptions run the fake in place of Python.
func fakeOptions(mode string) Options {
	return Options{Command: []string{os.Args[0], "fake", mode}, Timeout: 5 * time.Minute, StartTimeout: 5 * time.Minute, Workers: 1}
}

// fake is a worker in Go that does not know Python, and does wrong what it is told to: how it starts is the mode, how it
// answers is the first value of the batch, see tricks.
func fake(mode string) {
	size, err := strconv.Atoi(os.Args[len(os.Args)-2])
	must(err)
	most, err := strconv.ParseInt(os.Args[len(os.Args)-1], 10, 64)
	must(err)
	switch mode {
	case "mute":
		wait()
	case "noise":
		fmt.Println("Welcome to the interpreter!")
	case "flood":
		for {
			fmt.Println(strings.Repeat("spam ", 1000))
		}
	case "complain":
		fmt.Fprintln(os.Stderr, "I do not know this option")
		os.Exit(3)
	}
	_, err = io.CopyN(io.Discard, os.Stdin, int64(size))
	must(err)
	must(writeFrame(os.Stdout, hello{Versions: Versions{Feast: "0.0"}}))
	kept := map[string]bool{}
	for {
		var header request
		body, err := readFrame(os.Stdin, most, &header)
		if err == io.EOF {
			return
		}
		must(err)
		fakeAnswer(kept, header, body)
	}
}

func fakeAnswer(kept map[string]bool, header request, body []byte) {
	if header.Forget {
		clear(kept)
	}
	for _, v := range header.Views {
		if v.Definition > 0 {
			kept[v.ID] = true
		}
		if !kept[v.ID] {
			panic("a definition that was not sent: " + v.Name)
		}
		body = body[v.Definition:]
	}
	if len(kept) > maxLoaded {
		panic("too many definitions are kept")
	}
	outputs, err := ipc.NewReader(bytes.NewReader(body[:header.Outputs]))
	must(err)
	records, err := ipc.NewReader(bytes.NewReader(body[header.Outputs:]))
	must(err)
	var values []int64
	for records.Next() {
		values = append(values, records.Record().Column(0).(*array.Int64).Int64Values()...)
	}
	must(records.Err())
	if trick, ok := tricks[values[0]]; ok {
		trick.do(outputs.Schema(), int64(len(values)))
		return
	}
	must(writeFrame(os.Stdout, response{}, stream(outputs.Schema(), columns(outputs.Schema(), values, 1))))
}

// columns makes the outputs: each value and one more, or the process's id in a column of that name.
func columns(schema *arrow.Schema, values []int64, plus int64) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i, f := range schema.Fields() {
		for _, v := range values {
			if f.Name == "pid" {
				v, plus = int64(os.Getpid()), 0
			}
			b.Field(i).(*array.Int64Builder).Append(v + plus)
		}
	}
	return b.NewRecord()
}

func stream(schema *arrow.Schema, records ...arrow.Record) []byte {
	out, err := encode(schema, records...)
	must(err)
	return out
}

// tricks are answers that are none. The number is the first value of the batch that asks for it.
var tricks = map[int64]trick{
	-1: {"noise in front of the frame", "cannot be read", func(schema *arrow.Schema, n int64) {
		fmt.Println("noise")
		must(writeFrame(os.Stdout, response{}, stream(schema, columns(schema, make([]int64, n), 0))))
	}},
	-2: {"huge header", "cannot be read", func(*arrow.Schema, int64) { out(sized(1<<31, 0, "")); wait() }},
	-3: {"huge body", "cannot be read", func(*arrow.Schema, int64) { out(sized(2, 1<<40, "{}")); wait() }},
	-4: {"endless body", "cannot be read", func(*arrow.Schema, int64) { out(sized(2, 1<<63, "{}")); wait() }},
	-5: {"header that is no JSON", "cannot be read", func(*arrow.Schema, int64) { out(sized(2, 0, "{{")); wait() }},
	-6: {"crash", "died over 3 rows (exit status 9); on standard error it said:\nlast words", func(*arrow.Schema, int64) {
		fmt.Fprintln(os.Stderr, "last words")
		os.Exit(9)
	}},
	-7: {"crash within a frame", "died over 3 rows (exit status 9)", func(*arrow.Schema, int64) {
		out(sized(2, 1000, "{}halfway"))
		os.Exit(9)
	}},
	-8: {"body that is no Arrow", "cannot be read", func(*arrow.Schema, int64) {
		must(writeFrame(os.Stdout, response{}, bytes.Repeat([]byte("arrow"), 1000)))
	}},
	-9: {"no body", "cannot be read", func(*arrow.Schema, int64) { must(writeFrame(os.Stdout, response{})) }},
	-10: {"one row less", "another number of rows", func(schema *arrow.Schema, n int64) {
		must(writeFrame(os.Stdout, response{}, stream(schema, columns(schema, make([]int64, n-1), 0))))
	}},
	-11: {"one row more", "cannot be read", func(schema *arrow.Schema, n int64) {
		must(writeFrame(os.Stdout, response{}, stream(schema, columns(schema, make([]int64, n+1), 0))))
	}},
	-12: {"no record", "another number of rows", func(schema *arrow.Schema, _ int64) {
		must(writeFrame(os.Stdout, response{}, stream(schema)))
	}},
	-13: {"records twice", "cannot be read", func(schema *arrow.Schema, n int64) {
		empty, whole := columns(schema, nil, 0), columns(schema, make([]int64, n), 0)
		must(writeFrame(os.Stdout, response{}, stream(schema, empty, whole)))
	}},
	-14: {"another type", "cannot be read", func(schema *arrow.Schema, n int64) {
		other := arrow.NewSchema([]arrow.Field{{Name: "y", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
		b := array.NewRecordBuilder(memory.DefaultAllocator, other)
		b.Field(0).(*array.StringBuilder).AppendEmptyValues(int(n))
		must(writeFrame(os.Stdout, response{}, stream(other, b.NewRecord())))
	}},
	-15: {"a column more", "cannot be read", func(schema *arrow.Schema, n int64) {
		more := arrow.NewSchema(append(schema.Fields(), arrow.Field{Name: "z", Type: arrow.PrimitiveTypes.Int64}), nil)
		must(writeFrame(os.Stdout, response{}, stream(more, columns(more, make([]int64, n), 0))))
	}},
	-16: {"changed bytes", "cannot be read", func(schema *arrow.Schema, n int64) {
		bad := stream(schema, columns(schema, make([]int64, n), 0))
		for i := range bad[8:] {
			bad[8+i] ^= 0x55
		}
		must(writeFrame(os.Stdout, response{}, bad))
	}},
	-17: {"closed standard output", "died over 3 rows", func(*arrow.Schema, int64) {
		_ = os.Stdout.Close()
		wait()
	}},
}

type trick struct {
	name, want string
	do         func(schema *arrow.Schema, rows int64)
}

// More tricks, which are not tried all at once.
const (
	silence   = -100 // says so on standard error, and nothing any more
	offspring = -101 // leaves a child behind that holds all pipes
	slow      = -102
	chatter   = -103 // prints a lot
	swollen   = -104 // of more than three rows the answer would be too large
)

func init() {
	tricks[silence] = trick{do: func(*arrow.Schema, int64) {
		fmt.Fprintln(os.Stderr, "silent", os.Getpid())
		wait()
	}}
	tricks[offspring] = trick{do: func(*arrow.Schema, int64) {
		child := exec.Command(os.Args[0], "fake", "mute", "0", "0")
		child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
		must(child.Start())
		fmt.Fprintln(os.Stderr, "child", child.Process.Pid)
		os.Exit(9)
	}}
	tricks[slow] = trick{do: func(schema *arrow.Schema, n int64) {
		time.Sleep(20 * time.Millisecond)
		must(writeFrame(os.Stdout, response{}, stream(schema, columns(schema, make([]int64, n), 0))))
	}}
	tricks[swollen] = trick{do: func(schema *arrow.Schema, n int64) {
		if n > 3 {
			must(writeFrame(os.Stdout, response{Failure: &failure{View: "v", Kind: "size", Text: "too large"}}))
			return
		}
		must(writeFrame(os.Stdout, response{}, stream(schema, columns(schema, make([]int64, n), n))))
	}}
	tricks[chatter] = trick{do: func(*arrow.Schema, int64) {
		for i := range 100_000 {
			fmt.Fprintln(os.Stderr, "line", i, strings.Repeat("x", i%100))
		}
		fmt.Fprint(os.Stderr, strings.Repeat("y", 1<<20))
		fmt.Fprint(os.Stderr, "\nthe end, \xff")
		os.Exit(9)
	}}
}

// wait does nothing for ever. (Blocking would not do: the runtime calls it a deadlock and ends the process.)
func wait() {
	for {
		time.Sleep(time.Hour)
	}
}

func out(s string) {
	_, err := os.Stdout.WriteString(s)
	must(err)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
