# A real Redis on a free loopback port, in a temporary folder: sourced.
#
#     source tests/services/redis.sh
#     redis_start                     # sets REDIS_URL, REDIS_PORT, REDIS_PID, REDIS_SERVER (the program)
#     redis_database 3                # empties that database (0 to 999); prints its URL
#     redis_stop                      # stops it and removes the folder
#
# Nothing else on the machine is touched: an installed Redis that runs is another one. Every write is in its log before it is
# answered, but the disk is waited for only with REDIS_FSYNC=on (before the start), which tests that do not crash need not.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

redis_start() {
    service_install redis-server redis-server || return 1
    REDIS_SERVER=$(command -v redis-server) || return 1
    REDIS_DIR=$(mktemp -d "${TMPDIR:-/tmp}/portcullis-redis.XXXXXX") || return 1
    for _ in 1 2 3; do
        REDIS_PORT=$(service_port) || return 1
        redis_run "$REDIS_SERVER" "$REDIS_DIR" "$REDIS_PORT" || continue
        REDIS_PID=$(cat "$REDIS_DIR/pid")
        REDIS_URL="redis://127.0.0.1:$REDIS_PORT/0"
        export REDIS_URL REDIS_SERVER
        return 0
    done
    tail -n 20 "$REDIS_DIR/log" >&2
    echo "Redis did not start" >&2
    return 1
}

# redis_run PROGRAM FOLDER PORT: starts a Redis or Valkey server and waits until it answers.
redis_run() {
    local appendfsync=no
    if [ "${REDIS_FSYNC:-off}" = on ]; then appendfsync=always; fi
    (cd "$2" && "$1" --bind 127.0.0.1 --port "$3" --dir "$2" --daemonize yes --pidfile "$2/pid" --logfile "$2/log" \
        --databases 1000 --save '' --appendonly yes --appendfsync "$appendfsync" --maxclients 1000) > /dev/null || return 1
    service_await 10 redis_says "$3" PING || return 1
    service_await 10 test -s "$2/pid"
}

# redis_says PORT COMMAND...: sends a command and prints the first line of the answer; fails where that is an error, or not the
# server that was asked.
redis_says() {
    local port=$1 answer
    shift
    exec 3<> "/dev/tcp/127.0.0.1/$port" || return 1
    printf '%s\r\n' "$*" >&3
    IFS= read -r -t 5 answer <&3
    exec 3>&-
    echo "${answer%$'\r'}"
    [[ $answer == +* || $answer == :* ]]
}

# redis_database NUMBER: an empty database; prints its URL.
redis_database() {
    exec 3<> "/dev/tcp/127.0.0.1/$REDIS_PORT" || return 1
    printf 'SELECT %s\r\nFLUSHDB\r\n' "$1" >&3
    local answer
    for _ in 1 2; do
        IFS= read -r -t 5 answer <&3 || return 1
        if [[ $answer != +OK* ]]; then
            echo "$answer" >&2
            return 1
        fi
    done
    exec 3>&-
    echo "redis://127.0.0.1:$REDIS_PORT/$1"
}

redis_stop() {
    [ -n "${REDIS_DIR:-}" ] || return 0
    service_end "${REDIS_PID:-}"
    rm -rf "$REDIS_DIR"
    REDIS_DIR= REDIS_PID=
}
