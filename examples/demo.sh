#!/bin/sh
# make demo: sample data, a server, training data over Flight. It needs bin/flightd, and leaves nothing behind.
set -eu
flightd=$(cd "$(dirname "$0")/.." && pwd)/bin/flightd
folder=${TMPDIR:-/tmp}/flightd-demo-$$
server=

stop() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    wait
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Shows a command as a person would type it, and runs it.
run() {
    printf '\n$ flightd'
    printf ' %s' "$@"
    printf '\n\n'
    "$flightd" "$@"
}

mkdir "$folder"
cd "$folder"
run init demo

printf '\n$ flightd serve --config demo/flightd.yaml &\n\n'
"$flightd" serve --config demo/flightd.yaml --listen 127.0.0.1:0 2>log &
server=$!
address=
tries=0
while [ -z "$address" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 50 ] || ! kill -0 "$server" 2>/dev/null; then
        cat log >&2
        echo "demo: the server did not start" >&2
        exit 1
    fi
    sleep 0.2 2>/dev/null || sleep 1
    address=$(sed -n 's/.*"addr":"\([^"]*\)".*"message":"serving".*/\1/p' log)
done
export FLIGHTD_SERVER="grpc://$address"
echo "serving at $FLIGHTD_SERVER"

run list
run get --service driver_activity --entities demo/data/orders.parquet --report
