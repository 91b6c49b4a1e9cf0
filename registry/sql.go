package registry

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/feastpb"
)

// historyTable keeps the versions of views; it looks unlike the others.
const historyTable = "feature_view_version_history"

// dialect is what two databases do not have in common.
type dialect struct {
	driver    string
	tableList string // a query for the names of the tables that are there
}

// requireDriver reports a driver that this program was built without.
func requireDriver(name, database string) error {
	if !slices.Contains(sql.Drivers(), name) {
		return fault.New(fault.Unimplemented, "this program was built without the driver for %s (import registry/drivers)", database)
	}
	return nil
}

// queryer is a connection or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// readTables reads every table of a registry. It must run in one transaction, so that what it reads is of one moment.
func readTables(ctx context.Context, q queryer, d dialect) (*objects, error) {
	there, err := listTables(ctx, q, d)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(there, "feature_views") || !slices.Contains(there, "projects") {
		return nil, fmt.Errorf("%w: the database has no tables of a registry", errAbsent)
	}
	all := new(objects)
	for _, t := range tables {
		if !slices.Contains(there, t.name) {
			continue
		}
		if err := readTable(ctx, q, t, all); err != nil {
			return nil, fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	if slices.Contains(there, historyTable) {
		if err := readHistory(ctx, q, all); err != nil {
			return nil, fmt.Errorf("table %s: %w", historyTable, err)
		}
	}
	return all, nil
}

func listTables(ctx context.Context, q queryer, d dialect) (names []string, err error) {
	err = rows(ctx, q, d.tableList, func(r *sql.Rows) error {
		var name string
		defer func() { names = append(names, name) }()
		return r.Scan(&name)
	})
	return names, err
}

func readTable(ctx context.Context, q queryer, t table, all *objects) error {
	query := fmt.Sprintf("SELECT %s, project_id, %s FROM %s ORDER BY project_id, %[1]s", t.id, t.proto, t.name)
	return rows(ctx, q, query, func(r *sql.Rows) error {
		var name, project string
		var message []byte
		if err := r.Scan(&name, &project, &message); err != nil {
			return err
		}
		all.add(t, project, name, message)
		return nil
	})
}

func readHistory(ctx context.Context, q queryer, all *objects) error {
	query := "SELECT feature_view_name, project_id, version_number, feature_view_type, feature_view_proto FROM " + historyTable
	return rows(ctx, q, query, func(r *sql.Rows) error {
		v := new(feastpb.FeatureViewVersionRecord)
		if err := r.Scan(&v.FeatureViewName, &v.ProjectId, &v.VersionNumber, &v.FeatureViewType, &v.FeatureViewProto); err != nil {
			return err
		}
		d := all.project(v.GetProjectId())
		d.versions = append(d.versions, v)
		return nil
	})
}

// rows calls scan for each row of a query.
func rows(ctx context.Context, q queryer, query string, scan func(*sql.Rows) error) error {
	r, err := q.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer r.Close()
	for r.Next() {
		if err := scan(r); err != nil {
			return err
		}
	}
	return r.Err()
}

// versionTables are the tables whose changes matter, the history included.
func versionTables(there []string) []string {
	var names []string
	for _, t := range tables {
		if slices.Contains(there, t.name) {
			names = append(names, t.name)
		}
	}
	if slices.Contains(there, historyTable) {
		names = append(names, historyTable)
	}
	return names
}

// unionAll joins queries, one for each table.
func unionAll(names []string, query string) string {
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = fmt.Sprintf(query, name)
	}
	return strings.Join(parts, " UNION ALL ") + " ORDER BY 1"
}
