package joins

import (
	"math"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// run is neighbouring rows of one array of a list of arrays; a negative chunk is so many nulls. The elements of a list are a
// run: a Ref for each would take many times what small elements do.
type run struct {
	chunk int32
	lo, n int64
}

// addRun appends a run, to the last one if it goes on there.
func addRun(runs []run, r run) []run {
	if last := len(runs) - 1; last >= 0 && runs[last].chunk == r.chunk && (r.chunk < 0 || runs[last].lo+runs[last].n == r.lo) {
		runs[last].n += r.n
		return runs
	}
	return append(runs, r)
}

// countRuns is the number of rows in runs.
func countRuns(runs []run) (n int64) {
	for _, r := range runs {
		n += r.n
	}
	return n
}

// cutRuns cuts runs after at most so many rows.
func cutRuns(runs []run, most int64) (head, rest []run) {
	for i, r := range runs {
		if r.n > most {
			head = append(slices.Clone(runs[:i]), run{r.chunk, r.lo, most})
			runs[i] = run{r.chunk, r.lo + most, r.n - most}
			return head, runs[i:]
		}
		if most -= r.n; most == 0 {
			return runs[:i+1], runs[i+1:]
		}
	}
	return runs, nil
}

// fewRows is how many rows a run has to have on average for it to pay to copy them together.
const fewRows = 4

// takeRunsOf is Take for runs of rows.
func takeRunsOf(t arrow.DataType, chunks []arrow.Array, runs []run) (arrow.Array, error) {
	if err := plain(t); err != nil {
		return nil, err
	}
	take, n := takeRuns, countRuns(runs)
	if n < fewRows*int64(len(runs)) {
		take = func(t arrow.DataType, chunks []arrow.Array, runs []run) (*array.Data, error) {
			return takeEach(t, chunks, runs, n)
		}
	}
	data, err := take(t, chunks, runs)
	if err != nil {
		return nil, err
	}
	defer data.Release()
	return array.MakeFromData(data), nil
}

// takeRuns is take for runs of rows.
func takeRuns(t arrow.DataType, chunks []arrow.Array, runs []run) (*array.Data, error) {
	n := countRuns(runs)
	var buffers []*memory.Buffer
	var children []arrow.ArrayData
	var err error
	switch t := t.(type) {
	case *arrow.NullType:
		return array.NewData(t, int(n), []*memory.Buffer{nil}, nil, int(n), 0), nil
	case *arrow.FixedSizeListType:
		children, err = takeListRuns(t, chunks, runs)
	case *arrow.StructType:
		children, err = takeStruct(t, chunks, func(t arrow.DataType, values []arrow.Array) (*array.Data, error) { return takeRuns(t, values, runs) })
	case *arrow.DictionaryType:
		return takeEach(t, chunks, runs, n)
	case *arrow.BooleanType:
		buffers = append(buffers, runBits(chunks, runs, n))
	case *arrow.StringType, *arrow.BinaryType:
		buffers, err = runBinary[int32](chunks, runs, n)
	case *arrow.LargeStringType, *arrow.LargeBinaryType:
		buffers, err = runBinary[int64](chunks, runs, n)
	case arrow.ExtensionType:
		return takeEach(t, chunks, runs, n)
	case arrow.FixedWidthDataType:
		buffers = append(buffers, runBytes(int64(t.Bytes()), chunks, runs, n))
	default:
		return takeEach(t, chunks, runs, n)
	}
	if err != nil {
		return nil, err
	}
	validity, nulls := runValidity(chunks, runs, n)
	data := array.NewData(t, int(n), append([]*memory.Buffer{validity}, buffers...), children, nulls, 0)
	for _, c := range children {
		c.Release()
	}
	return data, nil
}

// takeListRuns takes the elements of runs of lists of a fixed length, those of nulls too.
func takeListRuns(t *arrow.FixedSizeListType, chunks []arrow.Array, runs []run) ([]arrow.ArrayData, error) {
	width := int64(t.Len())
	values := make([]arrow.Array, len(chunks))
	for i, c := range chunks {
		values[i] = c.(*array.FixedSizeList).ListValues()
	}
	elements := make([]run, len(runs))
	for i, r := range runs {
		elements[i] = run{chunk: r.chunk, n: r.n * width}
		if r.chunk >= 0 {
			elements[i].lo = (int64(chunks[r.chunk].Data().Offset()) + r.lo) * width
		}
	}
	child, err := takeRuns(t.Elem(), values, elements)
	if err != nil {
		return nil, err
	}
	return []arrow.ArrayData{child}, nil
}

// takeEach takes the rows of runs one by one.
func takeEach(t arrow.DataType, chunks []arrow.Array, runs []run, n int64) (*array.Data, error) {
	if n > math.MaxInt32 {
		return nil, errTooLong
	}
	refs := make([]Ref, 0, n)
	for _, r := range runs {
		if r.lo+r.n > math.MaxInt32 {
			return nil, errTooLong
		}
		for i := range int32(r.n) {
			if r.chunk < 0 {
				refs = append(refs, nullRef)
			} else {
				refs = append(refs, Ref{r.chunk, int32(r.lo) + i})
			}
		}
	}
	return take(t, chunks, refs)
}

func runValidity(chunks []arrow.Array, runs []run, n int64) (*memory.Buffer, int) {
	var bits []byte
	at := int64(0)
	for _, r := range runs {
		switch {
		case r.n == 0:
			continue
		case r.chunk >= 0 && (chunks[r.chunk].NullBitmapBytes() == nil || chunks[r.chunk].Data().NullN() == 0):
			at += r.n
			continue
		case bits == nil:
			bits = make([]byte, bitutil.BytesForBits(n))
			bitutil.SetBitsTo(bits, 0, n, true)
		}
		if r.chunk < 0 {
			bitutil.SetBitsTo(bits, at, r.n, false)
		} else {
			bitutil.CopyBitmap(chunks[r.chunk].NullBitmapBytes(), chunks[r.chunk].Data().Offset()+int(r.lo), int(r.n), bits, int(at))
		}
		at += r.n
	}
	if bits == nil {
		return nil, 0
	}
	return memory.NewBufferBytes(bits), int(n) - bitutil.CountSetBits(bits, 0, int(n))
}

func runBits(chunks []arrow.Array, runs []run, n int64) *memory.Buffer {
	bits := make([]byte, bitutil.BytesForBits(n))
	at := int64(0)
	for _, r := range runs {
		if r.chunk >= 0 && r.n > 0 {
			from := chunks[r.chunk].Data()
			bitutil.CopyBitmap(from.Buffers()[1].Bytes(), from.Offset()+int(r.lo), int(r.n), bits, int(at))
		}
		at += r.n
	}
	return memory.NewBufferBytes(bits)
}

func runBytes(width int64, chunks []arrow.Array, runs []run, n int64) *memory.Buffer {
	out := make([]byte, width*n)
	at := int64(0)
	for _, r := range runs {
		if r.chunk >= 0 && r.n > 0 {
			from := chunks[r.chunk].Data()
			lo := (int64(from.Offset()) + r.lo) * width
			copy(out[at*width:(at+r.n)*width], from.Buffers()[1].Bytes()[lo:])
		}
		at += r.n
	}
	return memory.NewBufferBytes(out)
}

// runBinary copies byte strings, those of nulls too, and moves their offsets.
func runBinary[T offset](chunks []arrow.Array, runs []run, n int64) ([]*memory.Buffer, error) {
	offsets := make([]T, 1, n+1)
	var data [][]byte
	total := int64(0)
	for _, r := range runs {
		if r.chunk < 0 || r.n == 0 {
			for range r.n {
				offsets = append(offsets, T(total))
			}
			continue
		}
		from := chunks[r.chunk].Data()
		its := offsetsOf[T](from)[r.lo : r.lo+r.n+1]
		first, last := int64(its[0]), int64(its[r.n])
		if end := total + last - first; int64(T(end)) != end {
			return nil, errTooLong
		}
		for _, o := range its[1:] {
			offsets = append(offsets, T(total+int64(o)-first))
		}
		if total += last - first; last > first {
			data = append(data, from.Buffers()[2].Bytes()[first:last])
		}
	}
	return []*memory.Buffer{memory.NewBufferBytes(offsetBytes(offsets)), memory.NewBufferBytes(slices.Concat(data...))}, nil
}

// offsetsOf are the offsets of an array that has rows: one more than these.
func offsetsOf[T offset](d arrow.ArrayData) (offsets []T) {
	raw := d.Buffers()[1].Bytes()
	switch o := any(&offsets).(type) {
	case *[]int32:
		*o = arrow.Int32Traits.CastFromBytes(raw)
	case *[]int64:
		*o = arrow.Int64Traits.CastFromBytes(raw)
	}
	return offsets[d.Offset():]
}
