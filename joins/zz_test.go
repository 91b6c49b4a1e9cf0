package joins_test
import ("testing";"context";"iter";"math/rand/v2";"time"
"github.com/apache/arrow/go/v15/arrow"
"github.com/apache/arrow/go/v15/arrow/array"
"github.com/apache/arrow/go/v15/arrow/memory"
"github.com/flightd/flightd/joins")
type big struct{ *partsTable }
func (b big) Read(ctx context.Context, part int, sel joins.Selection) iter.Seq2[arrow.Record, error] {
 return func(yield func(arrow.Record, error) bool) {
  all := b.project(part, sel.Columns)
  for lo := int64(0); lo < all.NumRows(); lo += 65536 { if !yield(all.NewSlice(lo, min(lo+65536, all.NumRows())), nil) {return} }
 }}
func (t big) Gather(ctx context.Context, part int, rows []int64, columns []string) (arrow.Record, error) { return gatherTable{t.partsTable}.Gather(ctx,part,rows,columns) }
func TestZZ(t *testing.T){
 const parts, n = 8, 500000
 var fields []arrow.Field
 fields = append(fields, arrow.Field{Name:"k",Type:arrow.PrimitiveTypes.Int64}, arrow.Field{Name:"ts",Type:&arrow.TimestampType{Unit:arrow.Microsecond}})
 for _, f := range []string{"a","b","c","d","e"} { fields = append(fields, arrow.Field{Name:f,Type:arrow.PrimitiveTypes.Float64}) }
 schema := arrow.NewSchema(fields,nil)
 tb := &partsTable{schema:schema}
 rng := rand.New(rand.NewPCG(1,1))
 for range parts {
  b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
  for range n { b.Field(0).(*array.Int64Builder).Append(rng.Int64N(1000000)); b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(rng.Int64N(1e12)))
   for i := range 5 { b.Field(2+i).(*array.Float64Builder).Append(rng.Float64()) } }
  r := b.NewRecord(); for _, c := range r.Columns() { c.NullN() }
  tb.parts = append(tb.parts, r)
 }
 cols := []joins.Feature{}
 for _, f := range fields { cols = append(cols, joins.Feature{Source:f.Name,Name:f.Name}) }
 for range 3 {
 s := time.Now(); rows := int64(0)
 for r, err := range joins.Latest(t.Context(), joins.View{Name:"v",Keys:[]joins.Key{{Entity:"k",Source:"k"}},EventTime:"ts",Table:big{tb}}, cols, joins.Window{}, joins.Options{}) { if err!=nil {t.Fatal(err)}; rows += r.NumRows() }
 t.Log("latest", rows, time.Since(s))
 s = time.Now(); rows = 0
 for r, err := range joins.All(t.Context(), big{tb}, "ts", cols, joins.Window{}, joins.Share{}, joins.Options{}) { if err!=nil {t.Fatal(err)}; rows += r.NumRows() }
 t.Log("all", rows, time.Since(s))
 s = time.Now(); rows = 0
 e, err := joins.Timeline(t.Context(), []joins.View{{Name:"v",Keys:[]joins.Key{{Entity:"k",Source:"k"}},EventTime:"ts",Table:big{tb}}}, joins.Window{}, 0, joins.Options{})
 t.Log("timeline", e.Rows(), err, time.Since(s))
 }
}
