# A PgBouncer in transaction mode before the PostgreSQL of postgres.sh: sourced, after postgres_start.
#
#     source tests/services/pgbouncer.sh
#     pgbouncer_start                 # sets PGBOUNCER_URL, PGBOUNCER_PORT, PGBOUNCER_PID
#     pgbouncer_stop
#
# Debian 12 has 1.18, which knows nothing of prepared statements: what our PostgreSQL source must live with.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

pgbouncer_start() {
    PATH="$PATH:/usr/sbin" service_install pgbouncer pgbouncer || return 1
    PGBOUNCER_DIR=$(mktemp -d "${TMPDIR:-/tmp}/portcullis-pgbouncer.XXXXXX") || return 1
    if [ "$(id -u)" = 0 ]; then chown postgres "$PGBOUNCER_DIR"; fi
    for _ in 1 2 3; do
        PGBOUNCER_PORT=$(service_port) || return 1
        # Two server connections a database, so that clients meet on them; PGBOUNCER_CONNECTIONS is for what is measured.
        cat > "$PGBOUNCER_DIR/pgbouncer.ini" << INI
[databases]
* = host=127.0.0.1 port=$POSTGRES_PORT user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $PGBOUNCER_PORT
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = ${PGBOUNCER_CONNECTIONS:-2}
max_client_conn = 1000
pidfile = $PGBOUNCER_DIR/pgbouncer.pid
logfile = $PGBOUNCER_DIR/pgbouncer.log
INI
        (
            cd "$PGBOUNCER_DIR"
            PATH="$PATH:/usr/sbin" service_run postgres pgbouncer -q -d pgbouncer.ini
        ) > /dev/null 2>&1 || continue
        if service_await 5 test -s "$PGBOUNCER_DIR/pgbouncer.pid"; then
            PGBOUNCER_PID=$(cat "$PGBOUNCER_DIR/pgbouncer.pid")
            PGBOUNCER_URL="postgres://postgres@127.0.0.1:$PGBOUNCER_PORT/postgres"
            export PGBOUNCER_URL
            return 0
        fi
    done
    tail -n 20 "$PGBOUNCER_DIR/pgbouncer.log" >&2
    echo "PgBouncer did not start" >&2
    return 1
}

pgbouncer_stop() {
    [ -n "${PGBOUNCER_DIR:-}" ] || return 0
    service_end "${PGBOUNCER_PID:-}"
    rm -rf "$PGBOUNCER_DIR"
    PGBOUNCER_DIR= PGBOUNCER_PID=
}
