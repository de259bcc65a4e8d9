#!/usr/bin/env bash
# crowdsec.sh DIRECTORY : unpacks Debian's CrowdSec there, and does nothing when that is done.
# Never installed: the installation starts a service and registers the machine with the project's servers.
set -euo pipefail

directory=$1
# Written last, so that it stands for a finished work
done_file="$directory/unpacked"
[ ! -e "$done_file" ] || exit 0

give_up() {
  echo "mailmux: $1; the tests need Debian's crowdsec" >&2
  exit 1
}

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || give_up 'this is not Debian'
mkdir -p "$directory"
debs=$(mktemp -d)
trap 'rm -rf "$debs"' EXIT
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
(cd "$debs" && { apt-get -qq download crowdsec || { "${as_root[@]}" apt-get -qq update && apt-get -qq download crowdsec; }; }) \
  >/dev/null 2>&1 || give_up 'apt-get cannot download'
dpkg-deb -x "$debs"/crowdsec_*.deb "$directory"
touch "$done_file"
