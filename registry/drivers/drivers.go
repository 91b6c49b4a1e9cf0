// Package drivers brings the database drivers that package registry reads SQL registries with. A program that is to serve
// them imports it for its effect; one that does not is smaller by some megabytes and says so when it meets one.
package drivers

import (
	_ "github.com/jackc/pgx/v5/stdlib" // PostgreSQL, as "pgx"
	_ "modernc.org/sqlite"             // SQLite, as "sqlite"
)
