#!/usr/bin/env bash
# Installs the named programs with Debian's package manager where that is possible; says loudly what to do where not.
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
)
missing=()
PATH="$PATH:/usr/sbin:/sbin"
for program in "$@"; do
  command -v "$program" >/dev/null 2>&1 || missing+=("${package[$program]}")
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
