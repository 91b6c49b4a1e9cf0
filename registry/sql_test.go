package registry

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/feastpb"
)

// setTTL changes a view of a registry database as an apply does, within one second and with as many bytes as before.
func setTTL(t testing.TB, db *sql.DB, placeholders [2]string, view string, seconds int64) {
	t.Helper()
	var data []byte
	query := fmt.Sprintf("SELECT feature_view_proto FROM feature_views WHERE project_id = 'kinds' AND feature_view_name = '%s'", view)
	if err := db.QueryRow(query).Scan(&data); err != nil {
		t.Fatal(err)
	}
	v := new(feastpb.FeatureView)
	if err := proto.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
	v.Spec.Ttl.Seconds = seconds
	data, err := proto.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	query = fmt.Sprintf("UPDATE feature_views SET feature_view_proto = %s WHERE project_id = 'kinds' AND feature_view_name = %s", placeholders[0], placeholders[1])
	if _, err := db.Exec(query, data, view); err != nil {
		t.Fatal(err)
	}
}

// changes are what an apply does to a database; each must be seen by the next request, and nothing else is a change.
func changes(t *testing.T, r *Repository, db *sql.DB, placeholders [2]string) {
	t.Helper()
	run := func(query string) {
		t.Helper()
		if _, err := db.Exec(query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	views := func() int { return len(snapshot(t, r).Catalog().Views()) }
	for _, seconds := range []int64{64, 65, 64, 66} {
		setTTL(t, db, placeholders, "plain", seconds)
		if got := ttl(t, r, "plain"); got != time.Duration(seconds)*time.Second {
			t.Fatalf("ttl %v, want %d s", got, seconds)
		}
		if same := snapshot(t, r); snapshot(t, r) != same {
			t.Fatal("read again without a change")
		}
	}
	all := views()
	run("DELETE FROM feature_views WHERE feature_view_name = 'pushed'")
	if got := views(); got != all-1 {
		t.Fatalf("%d views after one of %d was deleted", got, all)
	}
	run("INSERT INTO feature_views (feature_view_name, project_id, last_updated_timestamp, feature_view_proto) " +
		"SELECT 'pushed', project_id, last_updated_timestamp, feature_view_proto FROM feature_views WHERE project_id = 'kinds' AND feature_view_name = 'plain'")
	if _, err := snapshot(t, r).projects["kinds"].view("plain"); err != nil { // it has the name that its message says
		t.Fatal(err)
	}
	run("UPDATE feature_views SET project_id = 'third' WHERE project_id = 'kinds' AND feature_view_name = 'far_away'")
	if s := snapshot(t, r); s.projects["third"].views["far_away"] == nil || s.projects["kinds"].views["far_away"] != nil {
		t.Fatal("not moved")
	}
	run("UPDATE feature_views SET feature_view_proto = 'torn' WHERE project_id = 'kinds' AND feature_view_name = 'by_uri'")
	s := snapshot(t, r)
	if _, err := s.projects["kinds"].view("by_uri"); fault.KindOf(err) != fault.DataLoss || !strings.Contains(err.Error(), `feature view "by_uri" of project "kinds" is broken in the registry`) {
		t.Fatalf("%v", err)
	}
	if _, err := s.projects["kinds"].view("two_keys"); err != nil {
		t.Fatal(err)
	}
	run("DROP TABLE label_views") // as in databases of older versions
	run("DROP TABLE feature_view_version_history")
	s = snapshot(t, r)
	if _, err := s.projects["kinds"].view("labels"); said(err) != "not found FeatureViewNotFoundException: Feature view labels does not exist in project kinds" {
		t.Fatal(err)
	}
	if _, err := s.projects["kinds"].view("two_keys"); err != nil {
		t.Fatal(err)
	}
	run("DROP TABLE feature_views")
	if snapshot(t, r).Absent() == nil {
		t.Fatal("a registry without feature views")
	}
}

func TestSQLiteIsSeen(t *testing.T) {
	for _, mode := range []string{"DELETE", "WAL"} {
		t.Run(mode, func(t *testing.T) {
			r := kinds(t, "0.67.sqlite")
			path := filepath.Join(r.config.Dir, "registry.db")
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec("PRAGMA journal_mode = " + mode); err != nil {
				t.Fatal(err)
			}
			snapshot(t, r)
			changes(t, r, db, [2]string{"?", "?"})
		})
	}
}

// TestSQLiteIsReadOnly: nothing is written, neither to a database nor where none is.
func TestSQLiteIsReadOnly(t *testing.T) {
	r := kinds(t, "0.67.sqlite")
	path := filepath.Join(r.config.Dir, "registry.db")
	before := readFile(t, path)
	snapshot(t, r)
	b := r.backend.(*sqliteBackend)
	if _, err := b.conn.conn.ExecContext(context.Background(), "DELETE FROM entities"); err == nil {
		t.Error("it can be written to")
	}
	if string(readFile(t, path)) != string(before) {
		t.Error("it was written to")
	}
	gone := repository(t, t.TempDir(), "project: kinds\nregistry: {registry_type: sql, path: 'sqlite:///with space & ?x=1#.db'}\n")
	if snapshot(t, gone).Absent() == nil {
		t.Error("there is one")
	}
	if left, _ := os.ReadDir(gone.config.Dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	odd := filepath.Join(t.TempDir(), "100% odd #1.db")
	copyFile(t, path, odd)
	named := repository(t, filepath.Dir(odd), "project: kinds\nregistry: {registry_type: sql, path: 'sqlite:///100% odd #1.db'}\n")
	if len(snapshot(t, named).Catalog().Views()) == 0 {
		t.Error("nothing found")
	}
}

// TestBrokenDatabase: a file that is no database, or half of one, never replaces what was read before.
func TestBrokenDatabase(t *testing.T) {
	r := kinds(t, "0.67.sqlite")
	path := filepath.Join(r.config.Dir, "registry.db")
	whole := readFile(t, path)
	want := describe(snapshot(t, r))
	now := time.Now()
	r.now = func() time.Time { return now }
	for _, broken := range [][]byte{whole[:len(whole)/2], []byte("this is not a database at all, but it is long enough to be taken for one, if one does not look" + strings.Repeat(" ", 4096))} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, broken)
		for range 3 {
			if got := describe(snapshot(t, r)); !slices.Equal(got, want) {
				t.Fatalf("with %d bytes in place", len(broken))
			}
			now = now.Add(2 * backOff)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, whole)
	first := snapshot(t, r)
	if got := describe(first); !slices.Equal(got, want) {
		t.Error("not recovered")
	}
	now = now.Add(2 * backOff)
	if snapshot(t, r) != first && snapshot(t, r) != snapshot(t, r) {
		t.Error("read again and again")
	}
}

// cluster is a PostgreSQL server for one test.
type cluster struct {
	binaries, folder string
	user             *syscall.Credential
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(found) == 0 {
		if path, err := exec.LookPath("initdb"); err == nil {
			found = []string{filepath.Dir(path)}
		}
	}
	if len(found) == 0 || runtime.GOOS == "windows" {
		t.Skip("no PostgreSQL server is installed")
	}
	folder, err := os.MkdirTemp("", "pg") // a short path: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) }) //nolint:errcheck // a folder of temporary files
	c := &cluster{binaries: found[len(found)-1], folder: folder}
	if os.Geteuid() == 0 { // it refuses to run as root
		owner, err := user.Lookup("postgres")
		if err != nil {
			t.Skip("no user to run PostgreSQL as")
		}
		uid, _ := strconv.Atoi(owner.Uid)
		gid, _ := strconv.Atoi(owner.Gid)
		c.user = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(folder, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	c.run(t, "initdb", "-D", folder+"/data", "-U", "feast", "-A", "trust", "-N", "--no-instructions")
	c.start(t)
	t.Cleanup(func() { c.command("pg_ctl", "-D", folder+"/data", "-m", "immediate", "-w", "stop").Run() }) //nolint:errcheck // it may be down
	return c
}

func (c *cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.binaries, name), args...)
	cmd.Dir = c.folder
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.user}
	return cmd
}

func (c *cluster) run(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := c.command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func (c *cluster) start(t *testing.T) {
	t.Helper()
	c.run(t, "pg_ctl", "-D", c.folder+"/data", "-w", "-l", c.folder+"/log", "-o", "-k "+c.folder+" -h '' -F", "start")
}

func (c *cluster) stop(t *testing.T) {
	t.Helper()
	c.run(t, "pg_ctl", "-D", c.folder+"/data", "-w", "-m", "fast", "stop")
}

func TestPostgres(t *testing.T) {
	c := newCluster(t)
	url := "postgresql+psycopg://feast:secret@/postgres?host=" + c.folder
	r := repository(t, t.TempDir(), "project: kinds\nregistry: {registry_type: sql, path: '"+url+"'}\n")
	var warnings []string
	r.options.Warn = func(err error) { warnings = append(warnings, fmt.Sprint(err)) }
	now := time.Now()
	r.now = func() time.Time { return now }
	if snapshot(t, r).Absent() == nil {
		t.Fatal("a registry in an empty database")
	}
	script := filepath.Join(c.folder, "kinds.sql")
	writeFile(t, script, readFile(t, filepath.Join(fixtures, "kinds-0.67.sql")))
	c.run(t, "psql", "-h", c.folder, "-U", "feast", "-q", "-v", "ON_ERROR_STOP=1", "-f", script, "postgres")
	want := describe(snapshot(t, kinds(t, "0.67.db")))
	if got := describe(snapshot(t, r)); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}

	// a server that is down does not take the definitions with it, and nobody waits for it
	c.stop(t)
	last := snapshot(t, r)
	if got := describe(last); !slices.Equal(got, want) {
		t.Error("without the server the definitions are gone")
	}
	c.start(t)
	if snapshot(t, r) != last {
		t.Error("asked again at once")
	}
	now = now.Add(2 * backOff)
	if got := describe(snapshot(t, r)); !slices.Equal(got, want) || warnings[len(warnings)-1] != "<nil>" {
		t.Errorf("not recovered: %q", warnings)
	}
	for _, w := range warnings {
		if strings.Contains(w, "secret") {
			t.Errorf("the password is in a warning: %s", w)
		}
	}

	db, err := sql.Open("pgx", "postgres://feast@/postgres?host="+c.folder)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	changes(t, r, db, [2]string{"$1", "$2"})
}

// TestPostgresOutOfReach: without anything read before, a request is told to try again, and no more.
func TestPostgresOutOfReach(t *testing.T) {
	r := repository(t, t.TempDir(), "project: kinds\nregistry: {registry_type: sql, path: 'postgresql://feast:secret@/reg?host="+t.TempDir()+"'}\n")
	var warning error
	r.options.Warn = func(err error) { warning = err }
	_, err := r.Snapshot(context.Background())
	if got := said(err); got != `unavailable: the registry of project "kinds" cannot be read just now; try again` {
		t.Error(got)
	}
	if warning == nil || strings.Contains(warning.Error(), "secret") || fault.IsContext(err) {
		t.Errorf("%v", warning)
	}
}
