# A real MariaDB, for the data source `mysql`, on a free loopback port, in a temporary folder: sourced.
#
#     source tests/services/mysql.sh
#     mysql_start                     # sets MYSQL_URL, MYSQL_PORT, MYSQL_PID
#     mysql_database shop             # makes an empty database; prints its URL
#     mysql_kill                      # SIGKILL, as a crash
#     mysql_restart                   # on the same port and data
#     mysql_stop                      # stops it and removes the folder
#
# Nothing else on the machine is touched: an installed MariaDB that runs is another one. MYSQL_FSYNC=on (before the start)
# is for tests that kill it; without, a commit does not wait for the disk, which tests that do not crash need not.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mysql_start() {
    PATH="$PATH:/usr/sbin" service_install mariadbd mariadb-server || return 1
    MYSQL_BIN=$(PATH="$PATH:/usr/sbin" command -v mariadbd)
    MYSQL_DIR=$(mktemp -d "${TMPDIR:-/tmp}/portcullis-mysql.XXXXXX") || return 1
    if [ "$(id -u)" = 0 ]; then chown mysql "$MYSQL_DIR"; fi
    # `normal`: root has no password and may come over TCP, which nobody reaches but this machine.
    if ! (cd "$MYSQL_DIR" && service_run mysql mariadb-install-db --no-defaults --datadir="$MYSQL_DIR/data" \
        --auth-root-authentication-method=normal --skip-test-db) > "$MYSQL_DIR.log" 2>&1; then
        tail -n 20 "$MYSQL_DIR.log" >&2
        echo "mariadb-install-db failed" >&2
        return 1
    fi
    for _ in 1 2 3; do
        MYSQL_PORT=$(service_port) || return 1
        if mysql_restart; then
            MYSQL_URL="mysql://root@127.0.0.1:$MYSQL_PORT/mysql"
            export MYSQL_URL
            return 0
        fi
    done
    tail -n 20 "$MYSQL_DIR.log" >&2
    echo "MariaDB did not start" >&2
    return 1
}

# Starts the server on the port and data of before.
mysql_restart() {
    local flush=nosync
    if [ "${MYSQL_FSYNC:-off}" = on ]; then flush=O_DIRECT; fi
    # In the background of this shell's child, so that nobody waits for it; its number is in the file that it writes.
    (
        cd "$MYSQL_DIR"
        rm -f pid
        service_run mysql setsid "$MYSQL_BIN" --no-defaults --datadir="$MYSQL_DIR/data" --pid-file="$MYSQL_DIR/pid" \
            --socket="$MYSQL_DIR/socket" --bind-address=127.0.0.1 --port="$MYSQL_PORT" --skip-name-resolve --max-connections=400 \
            --innodb-flush-log-at-trx-commit=1 --innodb-flush-method=$flush --innodb-buffer-pool-size=64M \
            --innodb-log-file-size=32M < /dev/null >> "$MYSQL_DIR.log" 2>&1 &
    )
    service_await 30 mysql_query 'SELECT 1' || return 1
    MYSQL_PID=$(cat "$MYSQL_DIR/pid")
}

# As a crash: the server ends at once and nothing is written any more.
mysql_kill() {
    kill -KILL "$MYSQL_PID" || return 1
    service_await 10 service_gone "$MYSQL_PID" || return 1
    MYSQL_PID=
}

# Ends the server kindly, data kept.
mysql_end() {
    service_end "$MYSQL_PID" || return 1
    MYSQL_PID=
}

# mysql_query SQL [DATABASE]: prints the rows, bare.
mysql_query() {
    mariadb --no-defaults --batch --skip-column-names --protocol=tcp --connect-timeout=5 -h 127.0.0.1 -P "$MYSQL_PORT" -u root \
        -e "$1" "${2:-mysql}"
}

# mysql_database NAME: an empty database of that name, in place of one that is there; prints its URL.
mysql_database() {
    mysql_query "DROP DATABASE IF EXISTS \`$1\`; CREATE DATABASE \`$1\`" || return 1
    echo "mysql://root@127.0.0.1:$MYSQL_PORT/$1"
}

mysql_stop() {
    [ -n "${MYSQL_DIR:-}" ] || return 0
    if [ -n "${MYSQL_PID:-}" ]; then mysql_end || true; fi
    rm -rf "$MYSQL_DIR" "$MYSQL_DIR.log"
    MYSQL_DIR= MYSQL_PID=
}
