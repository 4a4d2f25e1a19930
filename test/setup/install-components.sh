#!/usr/bin/env bash
# Installs what Debian or Ubuntu lacks of the programs that are needed, and nothing where nothing is missing.
#   install-components.sh mount   what mounting needs
#   install-components.sh test    what the tests need besides
#   install-components.sh bench   what the benchmark compares with besides
set -euo pipefail

# A file that shows that the package is there, and the package.
mount_components=(
  /usr/bin/fusermount3:fuse3
)
test_components=(
  "${mount_components[@]}"
  /usr/sbin/apache2:apache2
  /usr/sbin/nginx:nginx-extras
  /usr/lib/nginx/modules/ngx_http_dav_ext_module.so:libnginx-mod-http-dav-ext
  /usr/bin/rclone:rclone
  /usr/bin/git:git
  /usr/bin/sqlite3:sqlite3
  /usr/bin/setfattr:attr
  /usr/bin/rsync:rsync
  /usr/bin/openssl:openssl
  /usr/bin/strace:strace
  /lib/systemd/systemd:systemd
)
bench_components=(
  "${test_components[@]}"
  /sbin/mount.davfs:davfs2
  /usr/bin/bindfs:bindfs
)

case "${1:-}" in
  # mount(2) is enough for root; fusermount3 mounts for everybody else.
  mount) if [ "$(id -u)" = 0 ]; then components=(); else components=("${mount_components[@]}"); fi ;;
  test) components=("${test_components[@]}") ;;
  bench) components=("${bench_components[@]}") ;;
  *) echo "usage: $0 mount|test|bench" >&2; exit 64 ;;
esac

missing=()
for component in "${components[@]}"; do
  [ -e "${component%%:*}" ] || missing+=("${component#*:}")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "Please install these by hand, this is no Debian or Ubuntu: ${missing[*]}" >&2
  # The tests say which of them they skip.
  [ "${CI:-}" = true ] && exit 1
  exit 0
fi
as_root=()
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "Please install these as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "Installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Debian starts a service at its installation; the tests start servers of their own, on free ports.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
