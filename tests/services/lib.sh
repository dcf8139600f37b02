# What the services have in common: sourced by them, not run.

# A free loopback port. Another process may take it before the server does: callers try a few times.
service_port() {
    local port
    for _ in $(seq 50); do
        port=$((20000 + RANDOM % 12000))
        if ! (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then
            echo "$port"
            return 0
        fi
    done
    echo "no free port found between 20000 and 32000" >&2
    return 1
}

# service_install PROGRAM PACKAGE...: installs Debian packages where the program is missing; a clear line where it cannot.
service_install() {
    local program=$1 log
    shift
    if command -v "$program" > /dev/null || compgen -G "/usr/lib/postgresql/*/bin/$program" > /dev/null; then return 0; fi
    local sudo=()
    if [ "$(id -u)" != 0 ]; then
        if sudo -n true 2> /dev/null; then
            sudo=(sudo -n)
        else
            echo "$program is missing, and only root may install it: run 'apt-get install $*' as root, then this again" >&2
            return 1
        fi
    fi
    if ! command -v apt-get > /dev/null; then
        echo "$program is missing, and there is no apt-get to install it with: install what Debian has in $*" >&2
        return 1
    fi
    log=$(mktemp)
    echo "installing $*" >&2
    # The packages' own cluster is not wanted: ours is made in a temporary folder.
    if ! {
        "${sudo[@]}" apt-get update -q \
            && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -q -y --no-install-recommends "$@"
    } > "$log" 2>&1; then
        tail -n 15 "$log" >&2
        rm -f "$log"
        echo "$* could not be installed" >&2
        return 1
    fi
    rm -f "$log"
}

# service_run USER COMMAND...: as that user when root (database servers refuse to run as root), else as oneself.
service_run() {
    local user=$1
    shift
    if [ "$(id -u)" = 0 ]; then runuser -u "$user" -- "$@"; else "$@"; fi
}

# service_await SECONDS COMMAND...: runs the command until it succeeds or the time is over.
service_await() {
    local until=$((SECONDS + $1))
    shift
    until "$@" > /dev/null 2>&1; do
        if [ "$SECONDS" -ge "$until" ]; then return 1; fi
        sleep 0.1
    done
}

# service_end PID: ends one process by its number, kindly at first, and waits until it is gone.
service_end() {
    [ -n "${1:-}" ] || return 0
    kill -TERM "$1" 2> /dev/null || return 0
    if ! service_await 10 service_gone "$1"; then kill -KILL "$1" 2> /dev/null || true; fi
    service_await 5 service_gone "$1"
}

# Whether a process has ended; one that only waits to be reaped has.
service_gone() { ! kill -0 "$1" 2> /dev/null || grep -q '^State:.Z' "/proc/$1/status" 2> /dev/null; }
