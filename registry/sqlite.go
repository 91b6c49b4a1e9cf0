package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"sync"
)

var sqliteDialect = dialect{driver: "sqlite", tableList: "SELECT name FROM sqlite_master WHERE type = 'table'"}

// sqliteBackend is a registry in an SQLite database. It stays on one connection, because SQLite counts the changes that
// others make for each connection: that count is the version of the registry, exact and read without touching a table.
type sqliteBackend struct {
	path string

	mu   sync.Mutex
	conn *sqliteConn // nil: not open
}

// sqliteConn is the connection and the file that it was opened on, which may have been replaced since.
type sqliteConn struct {
	db   *sql.DB
	conn *sql.Conn
	info fs.FileInfo
}

// sqliteToken is a state of the database as one connection sees it.
type sqliteToken struct {
	conn    *sqliteConn
	version int64
}

func newSQLite(path string) (backend, error) {
	if err := requireDriver(sqliteDialect.driver, "SQLite"); err != nil {
		return nil, err
	}
	return &sqliteBackend{path: path}, nil
}

func (s *sqliteBackend) String() string { return s.path }

func (s *sqliteBackend) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
	return nil
}

// drop closes the connection; what was known through it is forgotten.
func (s *sqliteBackend) drop() {
	if s.conn != nil {
		s.conn.conn.Close() //nolint:errcheck // nothing was written
		s.conn.db.Close()   //nolint:errcheck // nothing was written
		s.conn = nil
	}
}

// open connects if there is no connection to the file that is there now. It never makes a database.
func (s *sqliteBackend) open(ctx context.Context) error {
	info, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		s.drop()
		return errAbsent
	}
	if err != nil {
		return err
	}
	if s.conn != nil && os.SameFile(info, s.conn.info) {
		return nil
	}
	s.drop()
	if info.Size() == 0 {
		return fmt.Errorf("%w: the database is empty", errAbsent)
	}
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: s.path}).EscapedPath(), RawQuery: url.Values{
		"mode": {"rw"}, "_pragma": {"busy_timeout(5000)", "query_only(1)"}, // not "ro": that cannot recover a journal
	}.Encode()}
	db, err := sql.Open(sqliteDialect.driver, dsn.String())
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		db.Close() //nolint:errcheck // it never was open
		return err
	}
	s.conn = &sqliteConn{db: db, conn: conn, info: info}
	return nil
}

func (s *sqliteBackend) version(ctx context.Context) (v int64, err error) {
	err = s.conn.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&v)
	return v, err
}

func (s *sqliteBackend) unchanged(ctx context.Context, t token) (bool, error) {
	last := t.(*sqliteToken)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(ctx); err != nil || s.conn != last.conn {
		return false, nil // load says why
	}
	v, err := s.version(ctx)
	if err != nil {
		s.drop()
		return false, err
	}
	return v == last.version, nil
}

// load reads all tables in one transaction. The version is asked for first: a change in between makes a reload too many,
// and never one too few.
func (s *sqliteBackend) load(ctx context.Context, _ *loaded) (l *loaded, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.drop()
		}
	}()
	v, err := s.version(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := s.conn.conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	all, err := readTables(ctx, tx, sqliteDialect)
	if err != nil {
		return nil, err
	}
	return &loaded{objects: all, token: &sqliteToken{s.conn, v}}, nil
}
