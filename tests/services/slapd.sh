# A real OpenLDAP on a free loopback port, in a temporary folder: sourced.
#
#     source tests/services/slapd.sh
#     slapd_start                     # sets LDAP_URL, SLAPD_PID
#     slapd_stop                      # stops it and removes the folder
#
# Nothing else on the machine is touched: an installed slapd that runs is another one. In it, below dc=example,dc=com: the people
# `ann` (password `correct horse`, mail ann@example.com, two titles), `star*` (password `asterisk`), and twice `twin`; and
# cn=gateway (password `gateway secret`), without which nobody is seen.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

slapd_start() {
    service_install /usr/sbin/slapd slapd || return 1
    SLAPD_DIR=$(mktemp -d "${TMPDIR:-/tmp}/portcullis-slapd.XXXXXX") || return 1
    mkdir "$SLAPD_DIR/db" || return 1
    slapd_files || return 1
    /usr/sbin/slapadd -f "$SLAPD_DIR/slapd.conf" -l "$SLAPD_DIR/people.ldif" > "$SLAPD_DIR/log" 2>&1 || {
        tail -n 20 "$SLAPD_DIR/log" >&2
        return 1
    }
    local port
    for _ in 1 2 3; do
        port=$(service_port) || return 1
        # In the foreground, so that its number is the one we know.
        /usr/sbin/slapd -d 0 -f "$SLAPD_DIR/slapd.conf" -h "ldap://127.0.0.1:$port" > "$SLAPD_DIR/log" 2>&1 &
        SLAPD_PID=$!
        if service_await 10 slapd_answers "$port" && ! service_gone "$SLAPD_PID"; then
            LDAP_URL="ldap://127.0.0.1:$port"
            export LDAP_URL SLAPD_PID
            return 0
        fi
        service_end "$SLAPD_PID"
    done
    tail -n 20 "$SLAPD_DIR/log" >&2
    echo "slapd did not start" >&2
    return 1
}

slapd_answers() { (exec 3<> "/dev/tcp/127.0.0.1/$1"); }

slapd_files() {
    cat > "$SLAPD_DIR/slapd.conf" << CONF
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile $SLAPD_DIR/pid
database mdb
suffix "dc=example,dc=com"
directory $SLAPD_DIR/db
maxsize 16777216
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=gateway,dc=example,dc=com" read by * none
CONF
    cat > "$SLAPD_DIR/people.ldif" << 'LDIF'
dn: dc=example,dc=com
objectClass: organization
objectClass: dcObject
dc: example
o: Example

dn: cn=gateway,dc=example,dc=com
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: gateway
userPassword: gateway secret

dn: uid=ann,dc=example,dc=com
objectClass: inetOrgPerson
uid: ann
cn: Ann Example
sn: Example
mail: ann@example.com
title: one
title: two
userPassword: correct horse

dn: uid=star*,dc=example,dc=com
objectClass: inetOrgPerson
uid: star*
cn: Star
sn: Star
userPassword: asterisk

dn: cn=one,dc=example,dc=com
objectClass: inetOrgPerson
uid: twin
cn: one
sn: Twin
userPassword: correct horse

dn: cn=two,dc=example,dc=com
objectClass: inetOrgPerson
uid: twin
cn: two
sn: Twin
userPassword: correct horse
LDIF
}

slapd_stop() {
    [ -n "${SLAPD_DIR:-}" ] || return 0
    service_end "${SLAPD_PID:-}"
    rm -rf "$SLAPD_DIR"
    SLAPD_DIR= SLAPD_PID=
}
