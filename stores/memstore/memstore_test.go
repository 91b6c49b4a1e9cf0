package memstore_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/memstore"
	"github.com/flightd/flightd/stores/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	storetest.Run(t, storetest.Harness{Open: func(t *testing.T, tables map[string]storetest.Table) stores.OfflineStore {
		s := memstore.New()
		for name, table := range tables {
			if err := s.Put(name, table.Schema, table.Records...); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}})
}

func record(t *testing.T, schema *arrow.Schema, rows string) arrow.Record {
	t.Helper()
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// Dictionaries are decoded on the way in, their nulls included.
func TestPutDecodesDictionaries(t *testing.T) {
	dictionary := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}
	schema := arrow.NewSchema([]arrow.Field{{Name: "city", Type: dictionary, Nullable: true}}, nil)
	s := memstore.New()
	if err := s.Put("cities", schema, record(t, schema, `[{"city": "Bern"}, {"city": null}, {"city": "Ulm"}, {"city": "Bern"}]`)); err != nil {
		t.Fatal(err)
	}
	for rec, err := range s.Scan(t.Context(), memstore.Source("cities"), stores.Selection{Columns: []string{"city"}}) {
		if err != nil {
			t.Fatal(err)
		}
		have, ok := rec.Column(0).(*array.String)
		if !ok || have.String() != `["Bern" (null) "Ulm" "Bern"]` {
			t.Errorf("got %v", rec.Column(0))
		}
	}
}

func TestPutRefusesOtherColumns(t *testing.T) {
	ints := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)
	texts := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.BinaryTypes.String}}, nil)
	err := memstore.New().Put("t", ints, record(t, texts, `[{"n": "1"}]`))
	if !errors.Is(err, stores.ErrInvalid) || !strings.Contains(err.Error(), `column 0 is "n" (utf8)`) {
		t.Errorf("got %v", err)
	}
}

// A message about a table that is not there names the one that was probably meant.
func TestMissingNamesTheNearest(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)
	s := memstore.New()
	if err := s.Put("driver_stats", schema); err != nil {
		t.Fatal(err)
	}
	_, err := s.Schema(t.Context(), memstore.Source("driver_stat"))
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != `no table "driver_stat" in memory; did you mean "driver_stats"?` {
		t.Errorf("got %v", err)
	}
}

// A snapshot stays as it was while the table grows.
func TestTableIsASnapshot(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)
	s := memstore.New()
	if err := s.Put("t", schema, record(t, schema, `[{"n": 1}]`)); err != nil {
		t.Fatal(err)
	}
	table, err := s.Table(t.Context(), memstore.Source("t"))
	if err != nil {
		t.Fatal(err)
	}
	rows := stores.Rows{Schema: schema, Len: 1, Records: func(yield func(arrow.Record, error) bool) {
		yield(record(t, schema, `[{"n": 2}]`), nil)
	}}
	if _, err := s.Append(t.Context(), memstore.Source("t"), "id", rows); err != nil {
		t.Fatal(err)
	}
	if n := len(table.Parts()); n != 1 {
		t.Errorf("the snapshot has %d parts after an append", n)
	}
}

func TestConfig(t *testing.T) {
	config, ok := stores.NewConfig("memory")
	if !ok {
		t.Fatalf("the type is not registered: %v", stores.Types())
	}
	if err := config.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := config.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Source(""); !errors.Is(err, stores.ErrInvalid) {
		t.Errorf("the empty source: %v", err)
	}
}
