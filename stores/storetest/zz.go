package storetest

import "testing"

var randomChecks []check

func runVectors(t *testing.T, h Harness) {}
