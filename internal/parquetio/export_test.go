package parquetio

// SetWindow makes windows of so many bytes until the returned function is called.
func SetWindow(bytes int) (restore func()) {
	before := windowBytes
	windowBytes = bytes
	return func() { windowBytes = before }
}
