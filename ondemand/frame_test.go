package ondemand

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// sized is a frame that claims sizes, whatever follows.
func sized(header uint32, body uint64, rest string) string {
	b := binary.LittleEndian.AppendUint32([]byte(magic), header)
	return string(binary.LittleEndian.AppendUint64(b, body)) + rest
}

func TestFrames(t *testing.T) {
	var sent bytes.Buffer
	big := bytes.Repeat([]byte("b"), 5<<20)
	if err := writeFrame(&sent, map[string]int{"a": 1}, []byte("x"), nil, big); err != nil {
		t.Fatal(err)
	}
	if err := writeFrame(&sent, nil); err != nil {
		t.Fatal(err)
	}
	r := iotest.HalfReader(&sent)
	var header map[string]int
	body, err := readFrame(r, int64(len(big))+1, &header)
	if err != nil || header["a"] != 1 || string(body) != "x"+string(big) {
		t.Errorf("header %v, %d bytes, %v", header, len(body), err)
	}
	if body, err = readFrame(r, 0, &header); err != nil || len(body) != 0 {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	if _, err = readFrame(r, 0, &header); err != io.EOF {
		t.Errorf("%v at the end", err)
	}
	if err := writeFrame(io.Discard, strings.Repeat("x", maxHeader)); err == nil {
		t.Error("a header larger than the other side reads was sent")
	}
}

func TestBrokenFrames(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want error
	}{
		"text":                 {"Hello, I am no frame at all", errGarbage},
		"short text":           {"Hi\n", errGarbage},
		"cut prefix":           {"FDO", io.ErrUnexpectedEOF},
		"cut header":           {sized(10, 0, "{}"), io.ErrUnexpectedEOF},
		"cut body":             {sized(2, 10, "{}123"), io.ErrUnexpectedEOF},
		"no body":              {sized(2, 10, "{}"), io.ErrUnexpectedEOF},
		"large header":         {sized(maxHeader+1, 0, "{}"), errGarbage},
		"large body":           {sized(2, 101, "{}"), errGarbage},
		"body of 2^64-1 bytes": {sized(2, 1<<64-1, "{}"), errGarbage},
		"empty header":         {sized(0, 0, ""), errGarbage},
		"broken header":        {sized(2, 0, "{,"), errGarbage},
		"header of a kind":     {sized(3, 0, `"x"`), errGarbage},
	} {
		var header response
		if _, err := readFrame(strings.NewReader(c.in), 100, &header); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte(sized(2, 3, "{}abc")))
	f.Add([]byte(sized(1<<20, 1<<40, "{}")))
	f.Add([]byte("nonsense"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var header response
		body, err := readFrame(bytes.NewReader(in), 1<<30, &header)
		if err == nil && len(body) > len(in) {
			t.Errorf("%d bytes were made of %d", len(body), len(in))
		}
	})
}
