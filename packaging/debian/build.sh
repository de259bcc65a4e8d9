#!/usr/bin/env bash
# Builds the Debian package from the archive of `npm pack`: `make deb` calls it. It needs dpkg-dev.
#
#   build.sh OUTPUT_DIRECTORY
#
# ARCHIVE=file      the archive of `npm pack`; default: it is made
# NODE_HOME=dir     the Node that goes into the package: bin/node and LICENSE
# BUN=file          the Bun that goes into the package in its place
# DEB_VERSION=0.2.0-1    default: the version of package.json, and the revision 1
# DEB_COMPRESSION=xz     and options of dpkg-deb, such as 'gzip -z1', which takes seconds where xz takes two minutes
# DEB_MAINTAINER='Name <address>'    the name in the package, for a site that builds its own
set -euo pipefail
umask 022

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$here/../.." && pwd)
output=$(mkdir -p "$1" && cd "$1" && pwd)
architecture=$(dpkg --print-architecture)
maintainer=${DEB_MAINTAINER:-mailmux maintainers <maintainers@mailmux.invalid>}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
lib=$root/usr/lib/mailmux
doc=$root/usr/share/doc/mailmux
share=$root/usr/share/mailmux
install -d "$lib/bin" "$doc" "$share"

if [ -z "${ARCHIVE:-}" ]; then
  (cd "$checkout" && npm pack --silent --pack-destination "$work" >/dev/null)
  ARCHIVE=$(echo "$work"/*.tgz)
fi
mkdir "$work/archive"
tar --extract --gzip --no-same-owner --strip-components=1 --directory "$work/archive" --file "$ARCHIVE"

# The program, with the modules that it needs at run time and the runtime that it is tested with.
cp -R "$work/archive/package.json" "$work/archive/dist" "$lib/"
modules=$(cd "$checkout" && npm ls --omit=dev --all --parseable | tail -n +2)
for module in $modules; do
  target=$lib/${module#"$checkout/"}
  mkdir -p "$target"
  (cd "$module" && tar --create --exclude=./node_modules --file - .) | tar --extract --no-same-owner --directory "$target" --file -
done
if [ -n "${BUN:-}" ]; then
  runtime=bun runtime_name=Bun suffix=+bun # of the version: both packages may be in one archive
  options='--no-env-file' # Bun would read .env of the working directory
  install -m 755 "$BUN" "$lib/bin/bun"
  runtime_license=$here/bun-license
else
  runtime=node runtime_name=Node suffix=
  options='--max-semi-space-size=16' # as in the first line of main.js
  install -m 755 "$NODE_HOME/bin/node" "$lib/bin/node"
  runtime_license=$NODE_HOME/LICENSE
fi
for_runtime() { sed -e "s|@RUNTIME@|$runtime|g" -e "s|@RUNTIME_NAME@|$runtime_name|g" -e "s|@OPTIONS@|$options|g" "$1"; }
# Of no use at run time: types, source maps, tests, and the files of editors and services.
find "$lib/dist" "$lib/node_modules" -type f \( -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.map' -o -name '*.html' -o -name '.*' \) -delete
find "$lib/node_modules" -depth -type d \( -name test -o -name tests -o -name __tests__ -o -name benchmarks -o -name examples -o -name '.*' \) -exec rm -rf {} +
find "$lib/node_modules" -type f -name '*.md' ! -iname 'licen[cs]e*' -delete
find "$lib" -type f ! -path "$lib/bin/*" -exec chmod 644 {} +
chmod 755 "$lib/dist/main.js"
install -d "$root/usr/bin"
for_runtime "$here/mailmux" >"$root/usr/bin/mailmux"
chmod 755 "$root/usr/bin/mailmux"

version=${DEB_VERSION:-$("$NODE_HOME/bin/node" -p 'require(process.argv[1]).version' "$lib/package.json")-1$suffix}

# Documents keep their places beside each other, so that the links between them lead somewhere.
cp -R "$work/archive/README.md" "$work/archive/SECURITY.md" "$work/archive/docs" "$work/archive/config" "$doc/"
cp -R "$work/archive/contrib" "$share/"
ln -s ../../mailmux/contrib "$doc/contrib"
gzip -9n <"$work/archive/CHANGELOG.md" >"$doc/changelog.gz"
when=$(date --utc --rfc-email ${SOURCE_DATE_EPOCH:+--date=@$SOURCE_DATE_EPOCH})
gzip -9n >"$doc/changelog.Debian.gz" <<CHANGES
mailmux ($version) unstable; urgency=medium

  * mailmux ${version%-*}. changelog.gz lists the changes.

 -- $maintainer  $when
CHANGES
"$NODE_HOME/bin/node" "$here/copyright.mjs" "$lib" "$runtime" "$runtime_license" "$work/archive/LICENSE" >"$doc/copyright"
find "$lib/node_modules" -type f -iname 'licen[cs]e*' -delete # their texts are in the file above
find "$lib" -depth -type d -empty -delete

# What systemd and logrotate read: the files of contrib/, without their words on where to copy them.
installed() { sed '/^# .*[Cc]opy to /d; s|^\[Unit\]$|&\nDocumentation=man:mailmux(1)|' "$work/archive/contrib/$1"; }
install -d "$root/usr/lib/systemd/system" "$root/usr/lib/sysusers.d" "$root/usr/lib/tmpfiles.d" "$root/etc/logrotate.d"
for unit in "$work"/archive/contrib/systemd/*.{service,socket}; do
  installed "systemd/$(basename "$unit")" >"$root/usr/lib/systemd/system/$(basename "$unit")"
done
installed systemd/mailmux.sysusers >"$root/usr/lib/sysusers.d/mailmux.conf"
install -m 644 "$here/mailmux.tmpfiles" "$root/usr/lib/tmpfiles.d/mailmux.conf"
installed logrotate/mailmux >"$root/etc/logrotate.d/mailmux"

# The first configuration. The directory is closed by postinst, which knows the group.
install -d "$root/etc/mailmux"
install -m 644 "$here/mailmux.yaml" "$here/routing.yaml" "$root/etc/mailmux/"

# Completion and manual pages, from the command tree.
mailmux() { "$lib/bin/$runtime" "$lib/dist/main.js" "$@"; }
completion() { mkdir -p "$(dirname "$root/usr/share/$2")" && mailmux completion "$1" >"$root/usr/share/$2"; }
completion bash bash-completion/completions/mailmux
completion zsh zsh/vendor-completions/_mailmux
completion fish fish/vendor_completions.d/mailmux.fish
mailmux man "$root/usr/share/man" >/dev/null
find "$root/usr/share/man" -type f -exec gzip -9n {} +

install -d "$root/usr/share/lintian/overrides"
for_runtime "$here/lintian-overrides" >"$root/usr/share/lintian/overrides/mailmux"

install -d "$root/DEBIAN"
for script in postinst prerm postrm; do install -m 755 "$here/$script" "$root/DEBIAN/$script"; done
(cd "$root" && find etc -type f -printf '/%p\n' | sort) >"$root/DEBIAN/conffiles"
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"

# The libraries of the runtime, in the versions that this machine's packages demand.
mkdir -p "$work/debian"
printf 'Source: mailmux\n\nPackage: mailmux\nArchitecture: any\n' >"$work/debian/control"
libraries=$(cd "$work" && dpkg-shlibdeps --ignore-missing-info -O -e"$lib/bin/$runtime" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
size=$(du --summarize --apparent-size --block-size=1024 --exclude=DEBIAN "$root" | cut -f1)
sed -e "s|@VERSION@|$version|" -e "s|@ARCHITECTURE@|$architecture|" -e "s|@SIZE@|$size|" \
  -e "s|@LIBRARIES@|$libraries|" -e "s|@MAINTAINER@|$maintainer|" <(for_runtime "$here/control") >"$root/DEBIAN/control"

package=$output/mailmux_${version}_$architecture.deb
# shellcheck disable=SC2086
dpkg-deb --root-owner-group -Z${DEB_COMPRESSION:-xz} --build "$root" "$package" >/dev/null
echo "$package"
