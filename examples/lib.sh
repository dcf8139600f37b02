# What the examples' scripts share: find the program, start and stop nodes, make a request and say what is expected.
# Needs bash, curl and python3 (for free ports, JSON, and the upstreams). Sourced, not run.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ -z "${PORTCULLIS:-}" ]; then
  (cd "$root" && cargo build --release)
  PORTCULLIS="${CARGO_TARGET_DIR:-$root/target}/release/portcullis"
fi

work=$(mktemp -d)
declare -A pid_of=()

cleanup() {
  local status=$?
  for name in "${!pid_of[@]}"; do kill "${pid_of[$name]}" 2>/dev/null || true; done
  if [ $status -ne 0 ]; then
    # Without the requests that were logged: what went wrong stands before this and is to stay in sight.
    for log in "$work"/*.log; do [ -e "$log" ] && { echo "--- $log"; grep -av " INFO access: " "$log" | tail -n 20 || true; } >&2; done
  fi
  wait 2>/dev/null || true
  rm -rf "$work"
  exit $status
}
trap cleanup EXIT

say()       { printf '\n== %s\n' "$*"; }
fail()      { printf 'EXPECTED OTHERWISE: %s\n' "$*" >&2; exit 1; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
portcullis() { "$PORTCULLIS" "$@"; }

# until_ok COMMAND...: waits until the command succeeds, at most 20 s.
until_ok() {
  local deadline=$((SECONDS + 20))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || fail "this did not come true within 20 s: $*"
    sleep 0.05
  done
}

# start_node NAME DIR PORT ADMIN_PORT: a node with the configuration DIR; its log is $work/NAME.log.
start_node() {
  "$PORTCULLIS" -c "$2" run --listen "127.0.0.1:$3" --admin "127.0.0.1:$4" >"$work/$1.log" 2>&1 &
  pid_of[$1]=$!
  until_ok curl -fsS "http://127.0.0.1:$4/health/ready"
}

# call STATUS CURL-ARGUMENTS...: makes the request, prints it and its answer, and stops unless the status is STATUS.
call() {
  local want=$1 got
  shift
  printf '$ curl %s\n' "$*"
  got=$(curl -sS -o "$work/body" -w '%{http_code}' "$@")
  printf '%s %s\n' "$got" "$(cat "$work/body")"
  [ "$got" = "$want" ] || fail "status $want, got $got"
}

# field NAME: a field of the JSON that came last.
field() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$work/body" "$1"; }
