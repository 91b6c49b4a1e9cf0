#!/bin/sh
# Makes the Go code from proto/. Needs Python 3 with venv, and Go: protoc comes with grpcio-tools, protoc-gen-go with go.mod.
set -eu
cd "$(dirname "$0")"
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools/venv"
"$tools/venv/bin/python" -m pip --disable-pip-version-check --quiet install grpcio-tools==1.85.1 setuptools==84.2.1
go build -o "$tools/protoc-gen-go" google.golang.org/protobuf/cmd/protoc-gen-go

package=github.com/flightd/flightd/internal/feastpb
files=$(cd proto && find feast -name '*.proto' | LC_ALL=C sort)
set -- --proto_path=proto --plugin=protoc-gen-go="$tools/protoc-gen-go" --go_out="$tools" --go_opt=module="$package"
for file in $files; do # the files themselves name Feast's Go package
	set -- "$@" --go_opt=M"$file=$package;feastpb"
done
# shellcheck disable=SC2086 # the names have no spaces
"$tools/venv/bin/python" -m grpc_tools.protoc "$@" $files
rm -f ./*.pb.go
mv "$tools"/*.pb.go .
