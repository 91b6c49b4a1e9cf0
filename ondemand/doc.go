// Package ondemand runs the transformations of Feast's on-demand feature views on joined records, in a Python of the
// user's own with the user's own Feast.
//
// An on-demand feature view is a Python function, pickled into the registry. Nothing of it is unpickled, run or looked
// into here: a worker process gets the serialized definition and batches of rows, and gives back columns.
//
//	pool := ondemand.New(ondemand.Options{Command: []string{"/srv/feast/.venv/bin/python"}})
//	defer pool.Close()
//	job, err := ondemand.Bind(joined.Schema(), views, fullNames)     // no process yet; job.Schema() is known
//	for rec, err := range pool.Apply(ctx, job, joined.Records(ctx))  // starts a worker when the first rows are there
//
// # What a transformation sees
//
// The same as in Feast's RetrievalJob.to_arrow: all columns of the joined rows, under short and under full names, and
// what the views before it in the request have added. Modes pandas, python and substrait go through Feast's own code.
// Four things differ, each because the other way gives wrong answers or none:
//
//   - It runs on batches of at most 65,536 rows and about 16 MiB, not on the whole answer. A transformation works row by
//     row, as it must when it serves online, too; one that looks across rows (a mean, a rank) sees one batch.
//   - A singleton view is called once for each row, with plain values, as Feast's documentation says and as it does
//     online. Feast's historical retrieval calls it with whole columns.
//   - Outputs have the type that the view declares: numbers, times and texts are cast within their kind, if the value
//     fits; anything else is an error. Feast lets the type depend on what the function happened to return.
//   - A pandas function that returns its rows in another order than it got them (sorted, and not put back) is an error.
//     Feast puts the values beside the wrong rows.
//
// Every transformation returns as many rows as it got. A view that has aggregations and no transformation is refused:
// Feast applies aggregations online only.
//
// # What can go wrong
//
// A worker is somebody else's code, so nothing that it does reaches further than the call that used it. It has a process
// group of its own, which is killed as a whole when a batch takes too long, when the caller's context ends, when what
// comes back is not an answer, and with the server. The next call starts another. Standard output of the process is the
// protocol; what Python code prints goes to standard error, of which the last lines are kept for error messages.
// On Linux it is the first process that the system ends when memory runs out.
//
// # The protocol
//
// Frames in both directions, one answer for each request: "FDOD", the length of a JSON header (uint32) and of a body
// (uint64), little endian, then these two. Each side checks the lengths before it reads on. The program itself comes
// before the first frame. Records travel as Arrow IPC streams; what comes back is read by internal/ipcguard.
package ondemand
