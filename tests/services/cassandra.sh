# A real Apache Cassandra, one node on free loopback ports, in a temporary folder: sourced.
#
#     source tests/services/cassandra.sh
#     cassandra_start                 # sets CASSANDRA_ADDRESS (host:port), CASSANDRA_PID; its superuser is cassandra, password cassandra
#     cassandra_kill                  # SIGKILL, as a crash
#     cassandra_restart               # on the same ports and data
#     cassandra_stop                  # stops it and removes the folder
#
# CASSANDRA_FLUSH=true (before the start) is for tests that kill it: without, a changed schema is not written to its files at once,
# which makes tables quicker to make, and a crash loses them. CASSANDRA_FSYNC=on (before the start) is for what is measured: every write
# is on the disk before it is answered, not within a second.
#
# Cassandra is in no Debian: it comes from Maven, as tests/services/cassandra/pom.xml names it, and is started by its main class. It
# needs Java 17 or 11, which is looked for in JAVA_HOME and where Debian puts it.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CASSANDRA_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/cassandra" && pwd)

# What Cassandra's own scripts open of Java 17 (its conf/jvm17-server.options).
CASSANDRA_OPENS=(
    --add-exports java.base/jdk.internal.misc=ALL-UNNAMED
    --add-exports java.base/jdk.internal.ref=ALL-UNNAMED
    --add-exports java.base/sun.nio.ch=ALL-UNNAMED
    --add-exports java.management.rmi/com.sun.jmx.remote.internal.rmi=ALL-UNNAMED
    --add-exports java.rmi/sun.rmi.registry=ALL-UNNAMED
    --add-exports java.rmi/sun.rmi.server=ALL-UNNAMED
    --add-exports java.sql/java.sql=ALL-UNNAMED
    --add-exports java.base/java.lang.ref=ALL-UNNAMED
    --add-exports jdk.unsupported/sun.misc=ALL-UNNAMED
    --add-opens java.base/java.lang.module=ALL-UNNAMED
    --add-opens java.base/jdk.internal.loader=ALL-UNNAMED
    --add-opens java.base/jdk.internal.ref=ALL-UNNAMED
    --add-opens java.base/jdk.internal.reflect=ALL-UNNAMED
    --add-opens java.base/jdk.internal.math=ALL-UNNAMED
    --add-opens java.base/jdk.internal.module=ALL-UNNAMED
    --add-opens java.base/jdk.internal.util.jar=ALL-UNNAMED
    --add-opens jdk.management/com.sun.management.internal=ALL-UNNAMED
    --add-opens java.base/java.io=ALL-UNNAMED
    --add-opens java.base/java.lang=ALL-UNNAMED
    --add-opens java.base/java.lang.reflect=ALL-UNNAMED
    --add-opens java.base/java.nio=ALL-UNNAMED
    --add-opens java.base/java.util=ALL-UNNAMED
    --add-opens java.base/java.util.concurrent=ALL-UNNAMED
    --add-opens java.base/java.util.concurrent.atomic=ALL-UNNAMED
    --add-opens java.base/sun.nio.ch=ALL-UNNAMED
    --add-opens java.rmi/sun.rmi.transport.tcp=ALL-UNNAMED
)

# A Java that Cassandra 5 runs on; prints its path.
cassandra_java() {
    local java
    for java in "${JAVA_HOME:-/nowhere}/bin/java" java /usr/lib/jvm/*17*/bin/java /usr/lib/jvm/*11*/bin/java; do
        if "$java" -version 2>&1 | grep -Eq 'version "(17|11)[."]'; then
            command -v "$java"
            return 0
        fi
    done
    return 1
}

cassandra_start() {
    local what="Cassandra cannot start (PORTCULLIS_TEST_WITHOUT=cassandra leaves its tests out)"
    if ! CASSANDRA_JAVA=$(cassandra_java); then
        if ! { service_install java openjdk-17-jre-headless && CASSANDRA_JAVA=$(cassandra_java); }; then
            echo "$what: it needs Java 17, and there is none: install it, or set JAVA_HOME" >&2
            return 1
        fi
    fi
    if ! service_install mvn maven; then
        echo "$what: Maven is missing" >&2
        return 1
    fi
    CASSANDRA_DIR=$(mktemp -d "${TMPDIR:-/tmp}/portcullis-cassandra.XXXXXX") || return 1
    if ! mvn -q -B -f "$CASSANDRA_HERE/pom.xml" dependency:build-classpath -Dmdep.outputFile="$CASSANDRA_DIR/classpath" \
        > "$CASSANDRA_DIR/maven.log" 2>&1; then
        tail -n 15 "$CASSANDRA_DIR/maven.log" >&2
        echo "$what: Maven could not get org.apache.cassandra:cassandra-all" >&2
        return 1
    fi
    CASSANDRA_CLASSPATH=$(cat "$CASSANDRA_DIR/classpath")
    local storage native
    for _ in 1 2 3; do
        storage=$(service_port) && native=$(service_port) || return 1
        if [ "$storage" = "$native" ]; then continue; fi
        sed -e "s|FOLDER|$CASSANDRA_DIR|; s|STORAGE_PORT|$storage|; s|NATIVE_PORT|$native|" "$CASSANDRA_HERE/cassandra.yaml" \
            > "$CASSANDRA_DIR/cassandra.yaml"
        if [ "${CASSANDRA_FSYNC:-off}" = on ]; then
            sed -i -e 's/^commitlog_sync: .*/commitlog_sync: batch/; /^commitlog_sync_period:/d' "$CASSANDRA_DIR/cassandra.yaml"
        fi
        CASSANDRA_ADDRESS=127.0.0.1:$native
        if cassandra_restart; then
            export CASSANDRA_ADDRESS
            return 0
        fi
        rm -rf "$CASSANDRA_DIR"/{data,commitlog,hints,saved_caches}
    done
    tail -n 20 "$CASSANDRA_DIR/server.log" >&2
    echo "$what: its last lines stand above" >&2
    return 1
}

# Starts the server on the ports and data of before.
cassandra_restart() {
    # Without a wait for other nodes, there are none; the superuser is made at once, its password hashed quickly.
    "$CASSANDRA_JAVA" -Xms256m -Xmx768m -XX:+UseSerialGC -XX:TieredStopAtLevel=4 -Xss512k "${CASSANDRA_OPENS[@]}" \
        -Djdk.attach.allowAttachSelf=true -Djava.net.preferIPv4Stack=true \
        -Dcassandra.config="file://$CASSANDRA_DIR/cassandra.yaml" -Dcassandra.storagedir="$CASSANDRA_DIR" \
        -Dlogback.configurationFile="file://$CASSANDRA_HERE/logback.xml" \
        -Dcassandra.skip_wait_for_gossip_to_settle=0 -Dcassandra.ring_delay_ms=100 -Dcassandra.load_ring_state=false \
        -Dcassandra.superuser_setup_delay_ms=0 -Dcassandra.auth_bcrypt_gensalt_log2_rounds=4 \
        -Dcassandra.test.flush_local_schema_changes="${CASSANDRA_FLUSH:-false}" \
        -Djava.io.tmpdir="$CASSANDRA_DIR" -Dcassandra-foreground=yes \
        -cp "$CASSANDRA_CLASSPATH" org.apache.cassandra.service.CassandraDaemon \
        > "$CASSANDRA_DIR/server.log" 2>&1 < /dev/null &
    CASSANDRA_PID=$!
    if service_await 120 cassandra_ready; then return 0; fi
    cassandra_kill
    return 1
}

# Ready once it listens and its superuser is there; or it has ended, which the caller finds out.
cassandra_ready() {
    grep -q "Starting listening for CQL clients" "$CASSANDRA_DIR/server.log" \
        && { grep -q "Created default superuser role" "$CASSANDRA_DIR/server.log" || [ -e "$CASSANDRA_DIR/made" ]; } \
        && touch "$CASSANDRA_DIR/made"
}

# As a crash: the process ends at once and nothing is written any more.
cassandra_kill() {
    kill -KILL "$CASSANDRA_PID" 2> /dev/null
    service_await 10 service_gone "$CASSANDRA_PID" || return 1
    CASSANDRA_PID=
}

cassandra_stop() {
    [ -n "${CASSANDRA_DIR:-}" ] || return 0
    service_end "${CASSANDRA_PID:-}"
    rm -rf "$CASSANDRA_DIR"
    CASSANDRA_DIR= CASSANDRA_PID=
}
