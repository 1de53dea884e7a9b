#!/usr/bin/env bash
# Installs the named programs, and a font for `emoji`, with Debian's package manager where that is possible; says loudly what to do where not.
set -euo pipefail

declare -A package=(
  [bwrap]=bubblewrap
  [git]=git
  [slirp4netns]=slirp4netns
  [ip]=iproute2
  [chromium]=chromium
  [wrk]=wrk
  [podman]=podman
  [runc]=runc
  [busybox]=busybox-static
  [systemd-analyze]=systemd
  [haproxy]=haproxy
  [emoji]=fonts-noto-color-emoji
)
is_there() {
  if [ "$1" = emoji ]; then
    command -v fc-list >/dev/null 2>&1 && [ -n "$(fc-list :charset=274c family)" ]
  else
    command -v "$1" >/dev/null 2>&1
  fi
}
missing=()
PATH="$PATH:/usr/sbin:/sbin"
for program in "$@"; do
  is_there "$program" || missing+=("${package[$program]}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ]; then
  echo "Installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  install=(apt-get install --yes --quiet --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}")
  "${install[@]}" >/dev/null 2>&1 || { apt-get update --quiet >/dev/null && "${install[@]}" >/dev/null; }
  exit 0
fi

echo "============================================================" >&2
echo "Missing on this machine: ${missing[*]}" >&2
echo "Install them, for instance: sudo apt-get install ${missing[*]}" >&2
echo "Going on without them: what needs them says so when it fails." >&2
echo "============================================================" >&2
