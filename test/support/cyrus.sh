#!/usr/bin/env bash
# cyrus.sh DIRECTORY : unpacks Debian's Cyrus (IMAP, POP3, ManageSieve and its test clients) there, and does nothing when that is done.
# Never installed: its packages conflict with Dovecot's, and apt would take those away. Only the libraries that it needs are.
set -euo pipefail

directory=$1
# Written last, so that it stands for a finished work
done_file="$directory/packages"
packages=(cyrus-common cyrus-imapd cyrus-pop3d cyrus-clients)
[ "$(cat "$done_file" 2>/dev/null || true)" != "${packages[*]}" ] || exit 0

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$directory"
debs=$(mktemp -d)
trap 'rm -rf "$debs"' EXIT

give_up() {
  echo "mailmux: $1; the tests need Debian's ${packages[*]}" >&2
  exit 1
}

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || give_up 'this is not Debian'
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
(cd "$debs" && { apt-get -qq download "${packages[@]}" || { "${as_root[@]}" apt-get -qq update && apt-get -qq download "${packages[@]}"; }; }) \
  >/dev/null 2>&1 || give_up 'apt-get cannot download'

# The first of alternatives, without its version
libraries=$(for deb in "$debs"/*.deb; do dpkg-deb -f "$deb" Depends; done | tr ',' '\n' | sed -E 's/^ *([^ :|]+).*/\1/' | grep '^lib' | sort -u)
# shellcheck disable=SC2086
"$here/packages.sh" $libraries
for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$directory"; done
echo "${packages[*]}" >"$done_file"
