# A real PostgreSQL on a free loopback port, in a temporary folder: sourced.
#
#     source tests/services/postgres.sh
#     postgres_start                  # sets POSTGRES_URL, POSTGRES_PORT, POSTGRES_PID
#     postgres_database shop          # makes an empty database; prints its URL
#     postgres_kill                   # SIGKILL, as a crash
#     postgres_restart                # on the same port and data
#     postgres_stop                   # stops it and removes the folder
#
# Nothing else on the machine is touched: an installed PostgreSQL that runs is another one. POSTGRES_FSYNC=on (before the start)
# is for tests that kill it; without, a commit does not wait for the disk, which tests that do not crash need not.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

postgres_start() {
    service_install initdb postgresql || return 1
    POSTGRES_BIN=$(dirname "$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1 || true)")
    if [ ! -x "$POSTGRES_BIN/initdb" ]; then POSTGRES_BIN=$(dirname "$(command -v initdb)"); fi
    POSTGRES_DIR=$(mktemp -d "${TMPDIR:-/tmp}/portcullis-postgres.XXXXXX") || return 1
    if [ "$(id -u)" = 0 ]; then chown postgres "$POSTGRES_DIR"; fi
    if ! (cd "$POSTGRES_DIR" && service_run postgres "$POSTGRES_BIN/initdb" -D "$POSTGRES_DIR/data" -A trust -U postgres \
        --encoding=UTF8 --locale=C.UTF-8 --no-sync) > "$POSTGRES_DIR.log" 2>&1; then
        tail -n 20 "$POSTGRES_DIR.log" >&2
        echo "PostgreSQL's initdb failed" >&2
        return 1
    fi
    for _ in 1 2 3; do
        POSTGRES_PORT=$(service_port) || return 1
        if postgres_restart; then
            POSTGRES_URL="postgres://postgres@127.0.0.1:$POSTGRES_PORT/postgres"
            export POSTGRES_URL
            return 0
        fi
    done
    tail -n 20 "$POSTGRES_DIR.log" >&2
    echo "PostgreSQL did not start" >&2
    return 1
}

# Starts the server on the port and data of before.
postgres_restart() {
    (
        cd "$POSTGRES_DIR"
        service_run postgres "$POSTGRES_BIN/pg_ctl" -D "$POSTGRES_DIR/data" -l "$POSTGRES_DIR/server.log" -w -t 30 -s \
            -o "-c listen_addresses=127.0.0.1 -p $POSTGRES_PORT -k '$POSTGRES_DIR' -c max_connections=400 -c fsync=${POSTGRES_FSYNC:-off}" \
            start
    ) >> "$POSTGRES_DIR.log" 2>&1 || return 1
    POSTGRES_PID=$(head -n 1 "$POSTGRES_DIR/data/postmaster.pid")
}

# As a crash: the server's processes end at once and nothing is written any more.
postgres_kill() {
    local children
    children=$(pgrep -P "$POSTGRES_PID" || true)
    kill -KILL "$POSTGRES_PID" || return 1
    service_await 10 service_gone "$POSTGRES_PID" || return 1
    # Its children notice by themselves; a server that starts while they hold the shared memory refuses to.
    for child in $children; do service_await 10 service_gone "$child" || return 1; done
    # Where nobody has reaped the process yet, the next start would take it for one that still runs.
    rm -f "$POSTGRES_DIR/data/postmaster.pid" "$POSTGRES_DIR"/.s.PGSQL.*
    POSTGRES_PID=
}

# Ends the server kindly, data kept.
postgres_end() {
    service_run postgres "$POSTGRES_BIN/pg_ctl" -D "$POSTGRES_DIR/data" -m fast -w -t 30 -s stop >> "$POSTGRES_DIR.log" 2>&1
    POSTGRES_PID=
}

# postgres_query SQL [DATABASE]: prints the rows, bare.
postgres_query() {
    "$POSTGRES_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$POSTGRES_PORT" -U postgres -d "${2:-postgres}" -c "$1"
}

# postgres_database NAME: an empty database of that name, in place of one that is there; prints its URL.
postgres_database() {
    postgres_query "DROP DATABASE IF EXISTS \"$1\" WITH (FORCE)" 2> /dev/null || return 1
    postgres_query "CREATE DATABASE \"$1\"" || return 1
    echo "postgres://postgres@127.0.0.1:$POSTGRES_PORT/$1"
}

postgres_stop() {
    [ -n "${POSTGRES_DIR:-}" ] || return 0
    if [ -n "${POSTGRES_PID:-}" ] && ! postgres_end; then service_end "$POSTGRES_PID"; fi
    rm -rf "$POSTGRES_DIR" "$POSTGRES_DIR.log"
    POSTGRES_DIR= POSTGRES_PID=
}
