#!/usr/bin/env bash
# A real Slurm of one node with two fake GPUs. All of it lies below DIR and runs as the caller: no
# systemd, nothing in /etc, another Slurm of this machine stays as it is.
#
#   cluster.sh install      Debian's packages, if they are missing
#   cluster.sh start DIR    then, to use it: export SLURM_CONF=DIR/slurm.conf PATH=DIR/bin:$PATH
#   cluster.sh stop DIR
set -euo pipefail
export PATH="$PATH:/usr/sbin"
here=$(dirname "$(realpath "$0")")
packages=(slurm-wlm munge)

install() {
    if type munged slurmctld slurmd srun &> /dev/null; then return; fi
    if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
        echo "Slurm and munge are missing. On Debian or Ubuntu, as root:" >&2
        echo "    apt-get install --no-install-recommends ${packages[*]}" >&2
        exit 1
    fi
    apt-get -q update
    DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "${packages[@]}"
}

start() {
    local dir=$1 host user
    host=$(hostname -s) user=$(id -un)
    mkdir -p "$dir"/{bin,munge,state,spool}
    chmod 711 "$dir/munge"
    ln -s /dev/null "$dir/gpu0" # GPUs in name only
    ln -s /dev/zero "$dir/gpu1"
    echo "Name=gpu File=$dir/gpu[0-1]" > "$dir/gres.conf"
    sed "s|@DIR@|$dir|; s|@HOST@|$host|; s|@USER@|$user|" "$here/slurm.conf" > "$dir/slurm.conf"
    # Inside a job the executor plugin takes SLURM_CONF from srun: give it back.
    printf '#!/bin/sh\nSLURM_CONF=%s exec %s "$@"\n' "$dir/slurm.conf" "$(command -v srun)" \
        > "$dir/bin/srun"
    chmod +x "$dir/bin/srun"
    head -c 1024 /dev/urandom > "$dir/munge/key"
    chmod 600 "$dir/munge/key"
    # --force: munged would like a folder that all may enter
    munged --force --socket "$dir/munge/socket" --key-file "$dir/munge/key" \
        --seed-file "$dir/munge/seed" --log-file "$dir/munged.log" --pid-file "$dir/munged.pid"
    slurmctld -f "$dir/slurm.conf"
    slurmd -f "$dir/slurm.conf" -N node
    export SLURM_CONF=$dir/slurm.conf
    for _ in {1..60}; do
        if [ "$(sinfo -h -n node -p main -o %T 2> /dev/null)" = idle ]; then return; fi
        sleep 0.5
    done
    echo "The node is not ready after 30 seconds; see $dir/slurmctld.log and $dir/slurmd.log" >&2
    exit 1
}

stop() {
    local dir=$1 file
    export SLURM_CONF=$dir/slurm.conf
    scancel --user "$(id -un)" || true
    for _ in {1..60}; do # until the last has ended
        if [ -z "$(squeue -h || true)" ]; then break; fi
        sleep 0.5
    done
    for file in "$dir"/{slurmd,slurmctld,munged}.pid; do
        if [ -e "$file" ]; then kill "$(cat "$file")" || true; fi
    done
}

case ${1-} in
    install) install ;;
    start | stop) "$1" "$(realpath -m "$2")" ;;
    *) sed -n '2,8s/^# \?//p' "$0"; exit 2 ;;
esac
