#!/bin/sh
# Installs what this checkout needs and says so. usage: setup.sh npm | setup.sh packages COMMAND
# With BERTH_NO_INSTALL set nothing is installed: what is missing is an error.
set -eu
here=$(dirname "$(dirname "$(readlink -f "$0")")")

refuse() { echo "error: Cannot run berth: $1" >&2; echo "hint: $2" >&2; exit 1; }

install_packages() {
  [ -z "${BERTH_NO_INSTALL:-}" ] || refuse "Debian packages are missing: $*" "apt-get install $*"
  [ "$(id -u)" = 0 ] || refuse "Debian packages are missing: $*" "as root: apt-get install $*"
  echo "berth: installing Debian packages: $*" >&2
  # Servers among them (the peers of the tests) must not start: one would take the registry's port.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' > $policy
    chmod 755 $policy
  fi
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >&2 < /dev/null
}

case "${1:-}" in
npm)
  node="$here/node_modules/node/bin/node"
  if [ ! -x "$node" ] || ! cmp -s "$here/package-lock.json" "$here/node_modules/.berth-lock"; then
    [ -z "${BERTH_NO_INSTALL:-}" ] || refuse "its npm packages are not installed" "tools/setup.sh npm, or run it without --no-install"
    missing=""
    command -v npm >/dev/null 2>&1 || missing="nodejs npm"
    # The pinned Node is linked with it, and small systems lack it.
    /sbin/ldconfig -p | grep -q libatomic.so.1 || missing="$missing libatomic1"
    # shellcheck disable=SC2086
    [ -z "$missing" ] || install_packages $missing
    echo "berth: installing the pinned npm packages" >&2
    (cd "$here" && npm install --no-save --no-audit --no-fund --loglevel=error) >&2
    [ -x "$node" ] || refuse "node_modules/node/bin/node is missing after npm install" "remove node_modules and try again"
    cp "$here/package-lock.json" "$here/node_modules/.berth-lock"
  fi ;;
packages)
  missing=$("$here/tools/missing-packages.sh" "${2:-}")
  # shellcheck disable=SC2086
  [ -z "$missing" ] || install_packages $missing ;;
*)
  echo "usage: setup.sh npm | setup.sh packages COMMAND" >&2; exit 2 ;;
esac
