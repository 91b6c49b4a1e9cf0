package ipcguard

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"

	"github.com/flightd/flightd/internal/fault"
)

const fixtures = "../../testdata/ipc"

// What pyarrow and pandas make is read: rows and nulls as pyarrow counts them, values as v15's own reader reads them.
func TestPyarrow(t *testing.T) {
	want, err := os.ReadFile(filepath.Join(fixtures, "want.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(want)) {
		words := strings.Fields(line)
		t.Run(words[0], func(t *testing.T) {
			content, err := os.ReadFile(filepath.Join(fixtures, words[0]))
			if err != nil {
				t.Fatal(err)
			}
			schema, recs, err := readOpen(bytes.NewReader(content))
			if words[1] == "refused" {
				if fault.KindOf(err) != fault.Unimplemented {
					t.Fatalf("want it refused as not implemented, got %v", err)
				}
				t.Log(err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := count(schema, recs); strings.Join(got, " ") != strings.Join(words[1:], " ") {
				t.Errorf("rows and nulls are %v, want %v", got, words[1:])
			}
			if !strings.HasSuffix(words[0], ".arrow") {
				likeStock(t, content, recs)
			}
			for _, rec := range recs {
				rewrite(t, rec)
			}
		})
	}
}

func count(schema *arrow.Schema, recs []arrow.Record) []string {
	counts := make([]int, 1+schema.NumFields())
	for _, rec := range recs {
		counts[0] += int(rec.NumRows())
		for i, col := range rec.Columns() {
			counts[1+i] += col.NullN()
		}
	}
	var words []string
	for _, n := range counts {
		words = append(words, strconv.Itoa(n))
	}
	return words
}

func likeStock(t *testing.T, stream []byte, recs []arrow.Record) {
	stock, err := ipc.NewReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; stock.Next(); i++ {
		if i >= len(recs) {
			t.Fatalf("v15 reads more than %d records", i)
		}
		for c, want := range stock.Record().Columns() {
			walk(t, recs[i].Column(c))
			if got := recs[i].Column(c); !array.Equal(want, got) {
				t.Errorf("record %d column %s: read %v, v15 reads %v", i, recs[i].ColumnName(c), got, want)
			}
		}
	}
	if stock.Err() != nil {
		t.Error(stock.Err())
	}
}

// rewrite checks that v15 can send on what was read, and that it comes back as it was. Bytes are compared: v15 finds no
// infinity equal to itself when it lets NaN be.
func rewrite(t testing.TB, rec arrow.Record) {
	t.Helper()
	sent := write(t, []arrow.Record{rec})
	_, again, err := read(Bytes(sent), Limits{})
	if err != nil || len(again) != 1 {
		t.Fatalf("written again: %d records, %v\n%v", len(again), err, rec)
	}
	if !bytes.Equal(sent, write(t, again)) {
		t.Fatalf("written again: %v, was %v", again[0], rec)
	}
}
