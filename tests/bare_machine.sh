#!/usr/bin/env bash
# The README's two commands on a machine that has python3, python3-venv and make, and nothing else:
# a minimal Debian (or Ubuntu) is made in a temporary folder, and both run in it.
#
#   tests/bare_machine.sh [PYTEST ARGUMENTS]
#
# SUITE and MIRROR choose another system: SUITE=noble MIRROR=http://archive.ubuntu.com/ubuntu.
# Needs root and debootstrap, and says so where they are missing. PIP_ variables, proxies and
# certificates of the environment are passed on.
set -euo pipefail
cd "$(dirname "$0")/.."
suite="${SUITE:-bookworm}" mirror="${MIRROR:-http://deb.debian.org/debian}"

for obstacle in debootstrap unshare; do
  command -v "$obstacle" >/dev/null || { echo "skipped: needs $obstacle"; exit 0; }
done
[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 0; }

root="$(mktemp -d)"
trap 'rm -rf --one-file-system "$root" "$root.log"' EXIT
components=main scripts=/usr/share/debootstrap/scripts script=sid
[[ "$mirror" == *ubuntu* ]] && components=main,universe script=gutsy
# A suite that is younger than this debootstrap is made as its elders are.
[ ! -e "$scripts/$suite" ] || script="$suite"
debootstrap --variant=minbase --components="$components" \
  --include=python3,python3-venv,make,ca-certificates \
  "$suite" "$root" "$mirror" "$scripts/$script" >"$root.log" 2>&1 ||
  { tail -5 "$root.log"; exit 1; }
# Images of containers that are called slim lack these too.
rm -rf "$root"/usr/share/{doc,info,locale,man}/*

mkdir "$root/sam2_mlx"
git ls-files -z | tar --null --ignore-failed-read -T - -c | tar -x -C "$root/sam2_mlx"
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
passed=()
while IFS='=' read -r name value; do
  case "$name" in
    PIP_FIND_LINKS) ;;  # folders of this machine
    PIP_*|*_proxy|*_PROXY|SSL_CERT_FILE|REQUESTS_CA_BUNDLE)
      passed+=("$name=$value")
      if [ -f "$value" ]; then mkdir -p "$root$(dirname "$value")"; cp -L "$value" "$root$value"; fi ;;
  esac
done < <(env)
[ ! -f /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/pip.conf"

# What is mounted in a namespace of its own is gone when the commands are.
export PYTEST_ARGS="$*" root
unshare --mount --pid --fork --kill-child env -i "${passed[@]}" HOME=/root LANG=C.UTF-8 PATH=/usr/bin:/bin:/usr/sbin:/sbin \
  root="$root" PYTEST_ARGS="$PYTEST_ARGS" bash -euc '
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/dev/shm" 2>/dev/null || true
    exec chroot "$root" bash -euc "cd /sam2_mlx; make demo; make test PYTEST_ARGS=\"\$PYTEST_ARGS\""'
echo "both commands pass on a bare $suite"
