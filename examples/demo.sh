#!/bin/sh
# make demo: sample data, a server, training data over Flight.
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; wait 2>/dev/null; rm -rf "$folder"' EXIT INT TERM

bin/flightd init "$folder/demo"
bin/flightd serve --config "$folder/demo/flightd.yaml" --listen 127.0.0.1:0 2>"$folder/log" &
server=$!
address=
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    address=$(sed -n 's/.*"addr":"\([^"]*\)".*/\1/p' "$folder/log" | head -n 1)
    [ -n "$address" ] && break
    sleep 0.25
done
[ -n "$address" ] || { cat "$folder/log"; exit 1; }

export FLIGHTD_SERVER="grpc://$address"
echo
bin/flightd list
echo
bin/flightd get --features driver_stats,customer_stats --full-names --entities "$folder/demo/data/orders.parquet" --report
