#!/bin/sh
# Prints the Debian packages that a command needs and this machine lacks. usage: missing-packages.sh COMMAND
set -eu
here=$(dirname "$(readlink -f "$0")")
awk -v command="${1:-}" '
  /^#/ || NF < 2 { next }
  { for (i = 2; i <= NF; i++) if ($i == command || command == "tour" && $i != "test" || command == "setup") { print $1; next } }
' "$here/debian-packages.txt" | while read -r package; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || printf '%s ' "$package"
done | sed 's/ $//'
