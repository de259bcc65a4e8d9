#!/usr/bin/env bash
# packages.sh PACKAGE... : installs the Debian packages that are missing, and does nothing when none is.
# Starts no system service. Where it may not or cannot install, it says what to install, in one line, and changes nothing.
set -euo pipefail

missing=()
for package in "$@"; do
  if ! command -v dpkg-query >/dev/null || [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
    missing+=("$package")
  fi
done
[ "${#missing[@]}" -gt 0 ] || exit 0

give_up() {
  echo "mailmux: $1; install these first: ${missing[*]} (Debian's names)" >&2
  exit 1
}

command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || give_up 'this is not Debian'

as_root() { "$@"; }
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null && sudo -n true 2>/dev/null || give_up 'not root, and no sudo without a password'
  as_root() { sudo -n "$@"; }
fi

# Debian starts a service as soon as it is installed, unless this file says no (101). One that is here already is left as it is.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'as_root rm -f "$policy"' EXIT
  trap 'exit 130' INT TERM HUP
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
fi

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

# Postfix asks for the kind of mail server unless it is told: none, as the tests bring their own configuration.
case " ${missing[*]} " in *' postfix '*)
  echo 'postfix postfix/main_mailer_type select No configuration' | as_root debconf-set-selections ;;
esac

echo "mailmux: installing ${missing[*]}"
# The package lists are fetched only when they are missing or too old to install from
apt install -y --no-remove --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
  { apt update >/dev/null && apt install -y --no-remove --no-install-recommends "${missing[@]}" >/dev/null; } ||
  give_up 'apt-get failed'
