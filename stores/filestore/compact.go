package filestore

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/files"
	"github.com/flightd/flightd/internal/parquetio"
	"github.com/flightd/flightd/internal/rowdigest"
	"github.com/flightd/flightd/stores"
)

// Bounds on a merged part.
const (
	mergedBytes = 256 << 20 // of files that become one
	mergedIDs   = 100_000   // of writes that its footer remembers
)

// Compact implements stores.CompactingStore: runs of small parts that follow each other become one part each. A merged part
// is published as any part is; from then on nobody who knows flightd looks at what it was made of, and after the grace time
// that is removed, by the next Compact or by a later write. Parts that are broken, and files from elsewhere, are left alone.
func (s *Store) Compact(ctx context.Context, dst stores.DataSource, opt stores.CompactOptions) (done stores.Compacted, err error) {
	t, err := s.target(ctx, dst)
	if err != nil {
		return done, err
	}
	if !t.folder || t.schema == nil { // a single file has its small row groups merged by the writes to it
		return done, nil
	}
	fsys, err := s.files()
	if err != nil {
		return done, err
	}
	defer fsys.Close() // holds nothing that could be lost
	release, err := onlyCompaction(fsys, t.path)
	if err != nil {
		return done, err
	}
	defer release()
	defer s.targets.Delete(t.path) // writes of this store look for merged parts at once
	s.sweep(fsys, t.path)
	seen, gone, err := s.quiet(ctx, fsys, t.path)
	if err != nil {
		return done, err
	}
	if done.Removed, err = s.removeReplaced(ctx, fsys, t.path, gone); err != nil {
		return done, err
	}
	done.Waiting = len(gone) - done.Removed
	for _, run := range mergeable(t.path, seen) {
		if err := s.merge(ctx, fsys, t.path, run, opt.Grace); err != nil {
			return done, err
		}
		done.Merged += len(run)
		done.Made++
		for _, f := range run {
			done.Rows += f.footer.NumRows()
		}
	}
	done.Waiting += done.Merged
	return done, nil
}

// quiet lists a folder while no write is between its place in the order of parts and its name.
func (s *Store) quiet(ctx context.Context, fsys files.FS, folder string) (seen []openFile, gone []replaced, err error) {
	if _, _, err := s.listFolder(ctx, folder); err != nil { // so that footers are known, and writers wait for moments only
		return nil, nil, err
	}
	release, err := alone(ctx, fsys, folder)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	return s.listFolder(ctx, folder)
}

// listFolder lists the files of a folder in the order of their rows, and those that were replaced.
func (s *Store) listFolder(ctx context.Context, folder string) (seen []openFile, gone []replaced, err error) {
	all, err := s.find(ctx, source{path: folder})
	if err != nil {
		return nil, nil, err
	}
	seen, gone = withoutReplaced(all)
	inOrder(seen)
	return seen, gone, nil
}

// mergeable finds runs of parts that are worth being merged, from files in the order of their rows. A run grows from its
// newest part to older ones, and takes none that is much larger than what it has: so each row is written anew a few times
// only, however often a folder is compacted.
func mergeable(folder string, all []openFile) (runs [][]openFile) {
	var run []openFile
	var size int64
	ids := 0
	end := func() {
		if len(run) > 1 {
			slices.Reverse(run)
			runs = append(runs, run)
		}
		run, size, ids = nil, 0, 0
	}
	for _, f := range slices.Backward(all) {
		if !isPart(folder, f) {
			end()
			continue
		}
		writes := 1
		if f.merged != nil {
			writes += len(f.merged.entries)
		}
		bytes := f.info.Size()
		if len(run) > 0 && (bytes > mergeFactor*size || size+bytes > mergedBytes || ids+writes > mergedIDs ||
			sameColumns(run[0].footer.Schema(), f.footer.Schema()) != nil) {
			end()
		}
		run, size, ids = append(run, f), size+bytes, ids+writes
	}
	end()
	return runs
}

// isPart says whether a file is one that a write to a folder has made: it has the name that its footer says.
func isPart(folder string, f openFile) bool {
	format, _ := f.footer.Metadata(formatKey)
	id, _ := f.footer.Metadata(idKey)
	k, ok := keyOfPart(f.path)
	return ok && format == "1" && id == k.String() && path.Dir(f.path) == folder && f.content() != rowdigest.Digest{}
}

// content is the content digest in the footer of a part; the zero value if there is none.
func (f *file) content() rowdigest.Digest {
	text, _ := f.footer.Metadata(contentKey)
	digest, _ := rowdigest.Parse(text)
	return digest
}

// merge makes one part of several, in their order.
func (s *Store) merge(ctx context.Context, fsys files.FS, folder string, run []openFile, grace time.Duration) error {
	entries := entriesOf(run)
	k := mergedKeyOf(entries)
	start := time.Now()
	schema := nullable(run[0].footer.Schema())
	st, err := s.stage(ctx, fsys, filling{
		dir: folder, name: "merged", durable: true,
		begin: func(w io.Writer) (*parquetio.Writer, error) {
			return parquetio.NewWriter(w, schema, parquetio.WriterOptions{})
		},
		finish: func(w *parquetio.Writer, st *staged) error {
			stamp(w, k, st, run[len(run)-1].written)
			w.SetMetadata(mergedKey, formatEntries(entries))
			// The part is read back before it has its name, which takes about as long as to write it.
			until := time.Now().Add(grace + time.Since(start))
			w.SetMetadata(untilKey, strconv.FormatInt(until.UnixNano(), 10))
			return nil
		},
	}, rowsOf(ctx, schema, run))
	if err != nil {
		return err
	}
	defer st.discard()
	name := path.Join(folder, partName(k))
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := fsys.Publish(st.path, name); err != nil {
		return writeError(name, err)
	}
	if err := s.syncFolder(fsys, folder); err != nil {
		_ = fsys.Remove(name) // the parts are still there; if this fails too, nothing is removed before a sync has succeeded
		return err
	}
	return nil
}

// rowsOf reads the rows of parts one after the other. Those that are not what was written to a part end it: a defect of the
// disk must not get a new digest.
func rowsOf(ctx context.Context, schema *arrow.Schema, run []openFile) stores.Rows {
	return stores.Rows{Schema: schema, Len: -1, Records: func(yield func(arrow.Record, error) bool) {
		for _, f := range run {
			more, err := f.give(ctx, yield)
			if err != nil {
				yield(nil, err)
			}
			if err != nil || !more {
				return
			}
		}
	}}
}

// give passes on the rows of a part, and then compares them with the digest in its footer.
func (f *file) give(ctx context.Context, yield func(arrow.Record, error) bool) (more bool, err error) {
	if err := f.pin(); err != nil {
		return false, err
	}
	defer f.unpin()
	digest, err := rowdigest.New(f.footer.Schema())
	if err != nil {
		return false, err
	}
	for group := range f.footer.RowGroups() {
		for rec, err := range f.footer.Read(ctx, group, allColumns(f.footer.Schema())) {
			if err == nil {
				err = digest.Add(rec)
			}
			if err != nil {
				return false, f.explain(err)
			}
			if !yield(rec, nil) {
				return false, nil
			}
		}
	}
	if digest.Sum() != f.content() {
		return false, fault.New(fault.DataLoss, "%s: its rows are not those that were written; restore the file, or remove it", f.path)
	}
	return true, nil
}

// entriesOf are the writes whose rows parts have, and the parts themselves.
func entriesOf(run []openFile) (entries []entry) {
	for _, f := range run {
		k, _ := keyOfPart(f.path)
		content := f.content()
		entries = append(entries, entry{key: k, content: [16]byte(content[:16]), rows: f.footer.NumRows()})
		if f.merged != nil {
			entries = append(entries, f.merged.entries...)
		}
	}
	slices.SortFunc(entries, compareEntries)
	return entries
}

// mergedKeyOf is the key of a merged part, whose name it becomes.
func mergedKeyOf(entries []entry) key {
	h := sha256.New()
	fmt.Fprint(h, "merged\x00")
	for _, e := range entries {
		h.Write(e.key[:])
	}
	return key(h.Sum(nil)[:len(key{})])
}

// removeReplaced removes files whose rows a merged part has, if their time has come. The merged part is durable before.
func (s *Store) removeReplaced(ctx context.Context, fsys files.FS, folder string, gone []replaced) (removed int, err error) {
	now := time.Now()
	due := slices.DeleteFunc(slices.Clone(gone), func(f replaced) bool { return f.until.After(now) || path.Dir(f.path) != folder })
	if len(due) == 0 {
		return 0, nil
	}
	release, err := alone(ctx, fsys, folder)
	if err != nil {
		return 0, err
	}
	defer release()
	if err := s.syncFolder(fsys, folder); err != nil {
		return 0, err
	}
	for _, f := range due {
		if err := ctx.Err(); err != nil {
			return removed, err
		}
		if err := fsys.Remove(f.path); err != nil && !isMissing(err) {
			return removed, writeError(f.path, err)
		}
		removed++
	}
	return removed, s.syncFolder(fsys, folder)
}
