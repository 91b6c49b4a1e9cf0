package parquetio

import (
	"bytes"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/flightd/flightd/internal/fault"
)

// TestRefused reads what is not broken but cannot be read: the error says which file, column and encoding.
func TestRefused(t *testing.T) {
	ten := make([]byte, 40)
	bitPacked := v1(10, format.Plain, levelsBody(ten, run(10, 1)))
	bitPacked.header.DataPageHeader.V.DefinitionLevelEncoding = format.BitPacked
	for name, c := range map[string]struct {
		file crafted
		says string
	}{
		"codec":            {crafted{rows: 10, codec: format.LZO, pages: []craftedPage{v1(10, format.Plain, ten)}}, "LZO"},
		"unknown codec":    {crafted{rows: 10, codec: 99, pages: []craftedPage{v1(10, format.Plain, ten)}}, "99"},
		"encoding":         {crafted{rows: 10, pages: []craftedPage{v1(10, format.DeltaByteArray, ten)}}, "DELTA_BYTE_ARRAY"},
		"unknown encoding": {crafted{rows: 10, pages: []craftedPage{v1(10, 99, ten)}}, "99"},
		"levels":           {crafted{rows: 10, optional: true, pages: []craftedPage{bitPacked}}, "BIT_PACKED"},
		"encrypted column": {crafted{rows: 10, pages: []craftedPage{v1(10, format.Plain, ten)}, change: func(m *fileMetaData) {
			m.RowGroups[0].Columns[0].CryptoMetadata.Value = new(format.EncryptionWithFooterKey)
		}}, "encrypted"},
		"another file": {crafted{rows: 10, change: func(m *fileMetaData) { m.RowGroups[0].Columns[0].FilePath = "other.parquet" }}, "another file"},
	} {
		t.Run(name, func(t *testing.T) {
			c.file.physical = format.Int32
			f, err := c.file.open(t)
			if err != nil {
				t.Fatal(err)
			}
			err = readEverything(t, f)
			if fault.KindOf(err) != fault.Unimplemented {
				t.Fatalf("%v, want not implemented", err)
			}
			for _, says := range []string{"bomb.parquet", `column "x"`, c.says} {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%v does not say %s", err, says)
				}
			}
		})
	}
}

// TestNoParquet opens what is no Parquet file, or is encrypted as a whole.
func TestNoParquet(t *testing.T) {
	for text, kind := range map[string]fault.Kind{
		"": fault.DataLoss, "short": fault.DataLoss, "a text that is long enough": fault.DataLoss, "PAR1\x00\x00\x00\x00PAR1": fault.DataLoss,
		"PAR1 cut off in the middle": fault.DataLoss, "PARE\x00\x00\x00\x00PARE": fault.Unimplemented, "PAR1\xff\xff\xff\xffPAR1": fault.DataLoss,
	} {
		_, err := Open(bytes.NewReader([]byte(text)), int64(len(text)), "x.parquet")
		if fault.KindOf(err) != kind || !strings.HasPrefix(err.Error(), "x.parquet: ") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestChecksum changes a value under a checksum, which may be zero like any other.
func TestChecksum(t *testing.T) {
	page := v1(10, format.Plain, make([]byte, 40))
	for _, crc := range []int32{0, 1} {
		page.header.CRC = thrift.New(crc)
		c := crafted{rows: 10, physical: format.Int32, pages: []craftedPage{page}}
		f, err := c.open(t)
		if err != nil {
			t.Fatal(err)
		}
		if err := readEverything(t, f); fault.KindOf(err) != fault.DataLoss || !strings.Contains(err.Error(), "checksum") {
			t.Errorf("%v, want a wrong checksum", err)
		}
	}
}

// TestWrongCounts has fewer or more values in its pages than the row group has rows.
func TestWrongCounts(t *testing.T) {
	for _, pages := range [][]int32{{}, {9}, {11}, {10, 1}, {5, 4}, {5, 6}} {
		c := crafted{rows: 10, physical: format.Int32}
		total := int32(0)
		for _, n := range pages {
			c.pages = append(c.pages, v1(n, format.Plain, make([]byte, 4*n)))
			total += n
		}
		for _, values := range []int64{10, int64(total)} {
			if c.values = values; values == 0 {
				continue
			}
			f, err := c.open(t)
			if err != nil {
				t.Fatal(err)
			}
			err = readEverything(t, f)
			if fine := len(pages) == 2 && values == 10 && pages[0]+pages[1] == 11 && pages[0] == 10; fine != (err == nil) {
				t.Errorf("pages of %v values in a chunk of %d: %v", pages, values, err)
			}
		}
	}
}

// TestDecimalsOfOddLengths sign-extends and cuts big-endian numbers.
func TestDecimalsOfOddLengths(t *testing.T) {
	for _, c := range []struct {
		in  []byte
		out int64
		ok  bool
	}{
		{[]byte{1}, 1, true}, {[]byte{0xff}, -1, true}, {[]byte{0x80}, -128, true}, {[]byte{0, 0x80}, 128, true}, {[]byte{1, 0}, 256, true},
		{append(make([]byte, 19), 7), 7, true}, {append(bytes.Repeat([]byte{0xff}, 19), 0x85), -123, true}, {nil, 0, false},
		{append([]byte{1}, make([]byte, 16)...), 0, false}, {append([]byte{0xfe}, make([]byte, 16)...), 0, false},
	} {
		out, want := make([]byte, 16), make([]byte, 16)
		err := putBigEndian(out, c.in)
		putInteger(want, c.out)
		if (err == nil) != c.ok || c.ok && !bytes.Equal(out, want) {
			t.Errorf("%x: %x, %v; want %x", c.in, out, err, want)
		}
	}
}
