"""Defects of the write path, put in one at a time: the tests have to find each of them.

    python e2e/mutants.py [WORD ...]        those whose description has one of the words; none: all

The tree stays as it is: Go is told to read the changed file in place of the real one. Ends with "N of N defects found", and
with status 1 if one was not. Standard library only.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STORE = "stores/filestore/"
CRASH = "TestCrash$|TestCrashCompact|TestEveryFault|TestIdempotentRetry|TestSameIDOtherRows|TestReplaceTogether"
COMPACT = "Compact"

# What is wrong, the file, the text that is there, what is there instead, the tests.
DEFECTS = [
    ("a part is not synced", STORE + "stage.go", "err = writeError(st.path, f.Sync())", "err = nil", CRASH),
    ("what was staged is not read back", STORE + "stage.go", "	return st, st.verify(ctx)\n", "	return st, nil\n", "TestWrittenOtherwise"),
    ("the folder is not synced after a part got its name", STORE + "publish.go",
     "	if err := s.syncFolder(fsys, dir); err != nil {\n		_ = fsys.Remove(name)", "	if err := error(nil); err != nil {\n		_ = fsys.Remove(name)", CRASH),
    ("a name that could not be made durable stays", STORE + "publish.go", "		_ = fsys.Remove(name) // who waits", "		// who waits", CRASH),
    ("a duplicate is acknowledged without a sync", STORE + "publish.go",
     "	if err := s.syncFolder(fsys, dir); err != nil { // the process", "	if err := error(nil); err != nil { // the process", CRASH),
    ("folders above a new one are not synced", STORE + "publish.go", "	for above := dir; above != \".\"; {", "	for above := \".\"; above != \".\"; {", CRASH),
    ("a part's name replaces another part", "internal/files/files.go", "	err := r.Link(from, to)\n	if !linksForbidden(err) {",
     "	err := r.Rename(from, to)\n	if !linksForbidden(err) {", CRASH),
    ("an id stands for a write only together with its rows", STORE + "append.go", 'text := "id\\x00" + id\n', 'text := "id\\x00" + id + content.String()\n', CRASH),
    ("other rows under a used id are a duplicate", STORE + "publish.go", "!ok || have != content", "!ok || have == content && false", "TestContract/folder/append|TestSameIDOtherRows"),
    ("an acknowledgement comes before the part has its name", STORE + "publish.go",
     "		err := fsys.Publish(st.path, name)\n		if err == nil { // from", "		err := error(nil)\n		if err == nil { // from", CRASH),
    ("a longer file is not synced", STORE + "extend.go", "err = writeError(r.name, f.Sync())", "err = nil", CRASH),
    ("the folder is not synced after an exchange", STORE + "replace.go",
     "	if err := s.syncFolder(fsys, dir); err != nil {\n		if before != \"\" {", "	if err := error(nil); err != nil {\n		if before != \"\" {", CRASH),
    ("an exchange that could not be made durable stays", STORE + "replace.go",
     "			_ = fsys.Rename(before, r.name)", "			_ = before", CRASH),
    ("ids of a file are not written down", STORE + "extend.go", "	w.SetMetadata(ledgerKey, x.done.String())\n", "", CRASH),
    ("a file that somebody else has changed is overwritten", STORE + "replace.go", "if err != nil || !sameFile(now, r.info) {", "if err != nil || now == nil {",
     "TestFileChangedMeanwhile"),
    ("the time of a write is not kept apart from others", STORE + "append.go", "at := max(time.Now().UnixNano(), last+1)", "at := max(1, time.Now().UnixNano()-time.Now().UnixNano())", "TestLaterWriteIsLast|TestCompact"),
    ("a merged part forgets the ids of its parts", STORE + "compact.go", "			w.SetMetadata(mergedKey, formatEntries(entries))\n", "", COMPACT),
    ("a merged part forgets the ids of merged parts", STORE + "compact.go", "			entries = append(entries, f.merged.entries...)\n", "", COMPACT),
    ("a merged part is in another place than its parts", STORE + "compact.go", "stamp(w, k, st, run[len(run)-1].written)", "stamp(w, k, st, s.now(0))", COMPACT),
    ("parts that were merged are read too", STORE + "merged.go", "		if is {\n", "		if is && false {\n", COMPACT),
    ("parts are removed before the merged one is durable", STORE + "compact.go",
     "	if err := s.syncFolder(fsys, folder); err != nil {\n		return 0, err\n	}\n", "", "TestCrashCompact|TestMergedPartIsDurable"),
    ("parts are removed before their time", STORE + "compact.go", "f.until.After(now) || ", "f.until.After(now.Add(1<<62)) || ", COMPACT),
    ("the rows of a part are merged unseen", STORE + "compact.go", "	if digest.Sum() != f.content() {", "	if false {", COMPACT),
    ("an id that was merged is written again", STORE + "merged.go", "	if !ok {\n		return entry{}, false\n	}\n	return m.entries[i], true",
     "	_, _ = i, ok\n	return entry{}, false", COMPACT),
]


def mutant(folder, number, path, old, new):
    """The overlay that has one text in place of another."""
    real = os.path.join(ROOT, path)
    with open(real, encoding="utf-8") as f:
        text = f.read()
    if text.count(old) != 1:
        raise SystemExit(f"{path} has {text.count(old)} times, and should have once:\n{old}")
    changed = os.path.join(folder, f"{number}.go")
    with open(changed, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new))
    overlay = os.path.join(folder, f"{number}.json")
    with open(overlay, "w", encoding="utf-8") as f:
        json.dump({"Replace": {real: changed}}, f)
    return overlay


def main(words):
    chosen = [d for d in DEFECTS if not words or any(w in d[0] for w in words)]
    survived = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, (what, path, old, new, tests) in enumerate(chosen):
            overlay = mutant(folder, number, path, old, new)
            start = time.monotonic()
            done = subprocess.run(["go", "test", "-overlay", overlay, "-vet=off", "-failfast", "-run", tests, "./" + STORE], cwd=ROOT,
                                  capture_output=True, text=True, timeout=600)
            built = "build failed" not in done.stdout and "setup failed" not in done.stdout
            found = done.returncode != 0 and built
            survived += not found
            print(f"{'found   ' if found else 'SURVIVED' if built else 'NO BUILD'} {time.monotonic() - start:5.1f} s  {what}", flush=True)
            if not built:
                print(done.stdout + done.stderr)
    print(f"{len(chosen) - survived} of {len(chosen)} defects found")
    return survived > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
