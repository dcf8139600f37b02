# unixODBC with drivers for the data source `odbc`: sourced.
#
#     source tests/services/odbc.sh
#     odbc_start                      # sets ODBC_DIR, which ODBCSYSINI is to name
#     odbc_stop                       # removes it
#
# The drivers are Debian's; their list is one of our own, so that neither what the machine's lists nor how they call them matters.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

odbc_start() {
    # What is linked to.
    if ! compgen -G '/usr/lib/*/libodbc.so' > /dev/null; then service_install libodbc.so unixodbc-dev || return 1; fi
    local driver
    for driver in psqlodbcw.so:odbc-postgresql libmaodbc.so:odbc-mariadb libsqlite3odbc.so:libsqliteodbc; do
        if ! odbc_driver "${driver%:*}" > /dev/null; then service_install "${driver%:*}" "${driver#*:}" || return 1; fi
    done
    ODBC_DIR=$(mktemp -d "${TMPDIR:-/tmp}/portcullis-odbc.XXXXXX") || return 1
    # Threading = 0: the drivers are safe for threads, and unixODBC must not let one of them wait for another.
    cat > "$ODBC_DIR/odbcinst.ini" << END
[PostgreSQL]
Driver    = $(odbc_driver psqlodbcw.so)
Threading = 0

[MariaDB]
Driver    = $(odbc_driver libmaodbc.so)
Threading = 0

[SQLite3]
Driver    = $(odbc_driver libsqlite3odbc.so)
Threading = 0
END
    : > "$ODBC_DIR/odbc.ini"
    chmod -R a+rX "$ODBC_DIR"
}

# odbc_driver FILE: where a driver lies.
odbc_driver() { compgen -G "/usr/lib/*/odbc/$1" | head -n 1 | grep .; }

odbc_stop() {
    [ -n "${ODBC_DIR:-}" ] || return 0
    rm -rf "$ODBC_DIR"
    ODBC_DIR=
}
