package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// How long a request waits for the registry's database: for its version, and for everything in it.
const (
	versionTimeout = 2 * time.Second
	loadTimeout    = 20 * time.Second
)

var postgresDialect = dialect{
	driver:    "pgx",
	tableList: "SELECT table_name FROM information_schema.tables WHERE table_schema = ANY (current_schemas(false))",
}

// postgresBackend is a registry in a PostgreSQL database.
//
// Its version is, for each table, the number of rows and the sum of their xmin, the transaction that wrote each. A row that
// is written anew gets an xmin above all that there are, so of two states with equally many rows the later has the greater
// sum. Feast's own last_updated_timestamp has only whole seconds and would miss the second of two quick changes.
type postgresBackend struct {
	db   *sql.DB
	name string
}

// postgresToken is a version, and the tables that it speaks of.
type postgresToken struct {
	query   string
	version string
}

func newPostgres(dsn string) (backend, error) {
	if err := requireDriver(postgresDialect.driver, "PostgreSQL"); err != nil {
		return nil, err
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, fmt.Errorf("the URL of the registry's database is not one") // it may hold a password
	}
	name := url.URL{Scheme: "postgresql", Host: u.Host, Path: u.Path}
	query := u.Query()
	if !query.Has("default_query_exec_mode") { // no prepared statements: a pooler in between may not know them
		query.Set("default_query_exec_mode", "exec")
	}
	if !query.Has("connect_timeout") {
		query.Set("connect_timeout", "5")
	}
	u.RawQuery = query.Encode()
	db, err := sql.Open(postgresDialect.driver, u.String())
	if err != nil {
		return nil, fmt.Errorf("the URL of the registry's database %s cannot be used", name.String())
	}
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(2)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return &postgresBackend{db: db, name: name.String()}, nil
}

func (p *postgresBackend) String() string { return p.name }

func (p *postgresBackend) close() error { return p.db.Close() }

func (p *postgresBackend) unchanged(ctx context.Context, t token) (bool, error) {
	last := t.(*postgresToken)
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	v, err := p.version(ctx, p.db, last.query)
	var refused interface{ SQLState() string }
	if errors.As(err, &refused) && refused.SQLState() == undefinedTable {
		return false, nil // load says what there is now
	}
	return v == last.version, err
}

// undefinedTable is the code of the error that a table is not there.
const undefinedTable = "42P01"

// versionQuery asks for the state of the tables that are there, and whether these are still all.
func (p *postgresBackend) versionQuery(there []string) string {
	var known []string
	for _, t := range tables {
		known = append(known, "'"+t.name+"'")
	}
	known = append(known, "'"+historyTable+"'")
	all := fmt.Sprintf("SELECT 'tables ' || count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "+
		"WHERE n.nspname = ANY (current_schemas(false)) AND c.relname IN (%s)", strings.Join(known, ", "))
	return all + " UNION ALL " + unionAll(versionTables(there), "SELECT '%[1]s ' || count(*) || ' ' || coalesce(sum(xmin::text::bigint), 0) FROM %[1]s")
}

// version reads the version of all tables with one query.
func (p *postgresBackend) version(ctx context.Context, q queryer, query string) (version string, err error) {
	err = rows(ctx, q, query, func(r *sql.Rows) error {
		var state string
		if err := r.Scan(&state); err != nil {
			return err
		}
		version += state + " "
		return nil
	})
	return version, err
}

// load reads all tables in one transaction that sees one state throughout, its version included.
func (p *postgresBackend) load(ctx context.Context, _ *loaded) (*loaded, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	tx, err := p.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	there, err := listTables(ctx, tx, postgresDialect)
	if err != nil {
		return nil, err
	}
	all, err := readTables(ctx, tx, postgresDialect)
	if err != nil {
		return nil, err
	}
	t := &postgresToken{query: p.versionQuery(there)}
	if t.version, err = p.version(ctx, tx, t.query); err != nil {
		return nil, err
	}
	return &loaded{objects: all, token: t}, nil
}
