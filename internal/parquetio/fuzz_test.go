package parquetio_test

import "testing"

// FuzzParquet opens and reads any bytes: data or an error, in bounded time and memory.
func FuzzParquet(f *testing.F) {
	for _, data := range small(f, 4<<10) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<20 {
			return
		}
		readAll(t, data, 1<<20)
	})
}
