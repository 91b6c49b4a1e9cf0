// Package feastpb holds the messages of a Feast registry, as Feast 0.67.0 writes them. The code is generated from proto/,
// which see for where the files come from and under which licence.
//
// The messages register themselves under Feast's own names (feast.core, feast.types), so a program can hold them once
// only: it cannot also import the Go package of the Feast project.
package feastpb

//go:generate sh generate.sh
