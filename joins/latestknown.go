package joins

import (
	"context"
	"encoding/binary"
	"math/bits"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// latestWinners are the best rows of all keys, ascending, with what the search for them has told: keys that are packed
// integers and event times need not be read once more.
type latestWinners struct {
	positions []Position
	known     map[string][]int64 // source column -> its value in each of the rows
}

// winners lists the best rows of all keys.
func (l *latest) winners(ctx context.Context, threads int) (*latestWinners, error) {
	all := l.all()
	sorting := int64(len(all)) * sortBytes
	if err := l.memory.reserve(ctx, int64(len(all))*winnerBytes+sorting); err != nil {
		return nil, err
	}
	defer l.memory.release(sorting)
	w := &latestWinners{positions: make([]Position, len(all)), known: make(map[string][]int64)}
	for i := range all {
		w.positions[i] = all[i].position()
	}
	won, err := rowsByPart(ctx, w.positions, threads)
	if err != nil {
		return nil, err
	}
	w.positions = positionsOf(won)
	return w, l.know(ctx, w, all, orderOf(won))
}

// orderOf lists for rows, ascending, whose they are; each is somebody's alone.
func orderOf(all []partRows) []int32 {
	n := 0
	for _, p := range all {
		n += len(p.rows)
	}
	order := make([]int32, n)
	at := 0
	for _, p := range all {
		for i, entity := range p.entities {
			order[at+int(p.rank[i])] = entity
		}
		at += len(p.rows)
	}
	return order
}

// know fills in the values of columns of the answer that are known.
func (l *latest) know(ctx context.Context, w *latestWinners, all []candidate, order []int32) error {
	keys := l.found.keys
	if keys.dense == 0 || len(l.nulls.rows) > 0 {
		return nil
	}
	values := func(column string, of func(i int32) int64) error {
		if err := l.memory.reserve(ctx, 8*int64(len(order))); err != nil {
			return err
		}
		list := make([]int64, len(order))
		for at, i := range order {
			list[at] = of(i)
		}
		w.known[column] = list
		return nil
	}
	var packed []uint64
	for _, column := range l.columns() {
		f, _ := l.view.Table.Schema().FieldsByName(column)
		at := -1
		for i, key := range l.view.Keys {
			if key.Source == column && arrow.IsInteger(f[0].Type.ID()) {
				at = i
			}
		}
		var err error
		switch {
		case at >= 0:
			if packed == nil {
				packed = l.found.packedKeys()
			}
			r, shift := keys.ranges[at], keys.shifts[at]
			mask := ^uint64(0) >> (64 - bits.Len64(r.hi-r.lo))
			err = values(column, func(i int32) int64 { return int64(packed[i]>>shift&mask + r.lo) })
		case column == l.view.EventTime && f[0].Type.ID() == arrow.TIMESTAMP && allTimed(all):
			err = values(column, func(i int32) int64 { return all[i].time })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func allTimed(all []candidate) bool {
	for i := range all {
		if all[i].tag&hasTime == 0 {
			return false
		}
	}
	return true
}

// gather makes a record of the columns of the answer for some winners of one part.
func (l *latest) gather(ctx context.Context, table Gatherer, w *latestWinners, lo, hi int) (arrow.Record, error) {
	all, unknown := l.columns(), []string(nil)
	for _, column := range all {
		if w.known[column] == nil {
			unknown = append(unknown, column)
		}
	}
	rows := make([]int64, hi-lo)
	for i, p := range w.positions[lo:hi] {
		rows[i] = p.Row()
	}
	if len(unknown) == len(all) {
		return table.Gather(ctx, w.positions[lo].Part(), rows, all)
	}
	var read []arrow.Array
	if len(unknown) > 0 {
		rec, err := table.Gather(ctx, w.positions[lo].Part(), rows, unknown)
		if err != nil {
			return nil, err
		}
		defer rec.Release()
		read = rec.Columns()
	}
	fields, columns := make([]arrow.Field, len(all)), make([]arrow.Array, len(all))
	for i, column := range all {
		f, _ := table.Schema().FieldsByName(column)
		if values := w.known[column]; values != nil {
			columns[i] = integers(f[0].Type, values[lo:hi])
			defer columns[i].Release()
		} else {
			columns[i], read = read[0], read[1:]
		}
		fields[i] = arrow.Field{Name: column, Type: columns[i].DataType(), Nullable: true}
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), columns, int64(len(rows))), nil
}

// integers is an array of a type whose values are integers, none of them null.
func integers(t arrow.DataType, values []int64) arrow.Array {
	width := t.(arrow.FixedWidthDataType).Bytes()
	data := make([]byte, 0, len(values)*width)
	for _, v := range values {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], uint64(v))
		data = append(data, word[:width]...)
	}
	return array.MakeFromData(array.NewData(t, len(values), []*memory.Buffer{nil, memory.NewBufferBytes(data)}, nil, 0, 0))
}
