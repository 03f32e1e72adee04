#!/bin/bash
# Runs the commands of docs/guide/registry.md and prints them with what they say; as root, in a network and a /srv of its own:
#   tools/registry-guide.sh > transcript && node tools/refresh-tutorial.ts transcript docs/guide/registry.md
set -euo pipefail
if [ "${1-}" != inside ]; then exec unshare --net --mount "$0" inside; fi
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
mount -t tmpfs tmpfs /srv
ip link set lo up
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT

berth() { "$root/berth" "$@" 2> >(grep -v '^127' >&2); }
# Runs the line that it shows.
show() { echo "\$ $1"; eval "$1" 2>&1; echo; }
serve() {
  : > "$work/said"
  "$root/berth" registry serve -q /srv/registry > "$work/said" 2>&1 &
  until grep -q "^Serving" "$work/said"; do sleep 0.2; done
}
stop() { kill %% && wait %% || true; }

# A dir: image with one layer of so many bytes.
image() {
  mkdir -p "$work/$1"
  cd "$work/$1"
  head -c "$2" /dev/urandom > file
  tar -cf layer file
  echo "{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:$(sha256sum < layer | cut -c1-64)\"]}}" > config
  entry() { echo "{\"mediaType\":\"application/vnd.oci.image.$2\",\"digest\":\"sha256:$(sha256sum < "$1" | cut -c1-64)\",\"size\":$(stat -c %s "$1")}"; }
  echo "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":$(entry config config.v1+json),\"layers\":[$(entry layer layer.v1.tar)]}" > manifest.json
  echo "Directory Transport Version: 1.1" > version
  for part in config layer; do mv $part "$(sha256sum < $part | cut -c1-64)"; done
  cd - > /dev/null
}
registry=localhost:5000
push() { skopeo copy -q --dest-cert-dir "$work/certs" --dest-authfile "$work/anna.json" "dir:$work/$1" "docker://$registry/$2"; }
login() { skopeo login --cert-dir "$work/certs" --authfile "$work/$1.json" -u "$1" -p "$2" "$registry" > /dev/null; }

show 'echo -n secret | berth registry init /srv/registry --user anna --password-stdin --hostname registry.example.com'
cat >> /srv/registry/registry.toml <<'TOML'
[gc]
grace = "1s"
[groups]
ops = ["anna"]
[[permissions]]
repositories = ["**"]
groups = ["ops"]
actions = ["pull", "push", "delete"]
[audit]
file = "audit.log"
pulls = true
[metrics]
listen = "127.0.0.1:9500"
TOML
mkdir "$work/certs"
cp /srv/registry/tls/registry.crt "$work/certs/ca.crt"
serve
echo '$ berth registry serve /srv/registry'
head -n 1 "$work/said"
echo

login anna secret
image os 3000000
image nightly 20000000
push os team/os:v1
push nightly team/os:nightly
skopeo delete --cert-dir "$work/certs" --authfile "$work/anna.json" "docker://$registry/team/os:nightly"
sleep 3
show 'berth registry gc --dry-run /srv/registry'
show 'berth registry gc /srv/registry'
show 'berth registry check /srv/registry'
show 'echo -n s3cret | berth registry user add /srv/registry bert --password-stdin'
show 'berth registry user list /srv/registry'
login bert s3cret
skopeo inspect --cert-dir "$work/certs" --authfile "$work/bert.json" "docker://$registry/team/os:v1" > /dev/null 2>&1 || true
show 'echo -n n3wer | berth registry user passwd /srv/registry bert --password-stdin'
show 'berth registry user remove /srv/registry bert'
show "berth registry token create /srv/registry ci --repository 'team/**' --allow pull --allow push --expires 90d"
show 'berth registry token list /srv/registry'
show 'berth registry token revoke /srv/registry ci'
show 'tail -n 2 /srv/registry/audit.log'
show 'curl -s http://127.0.0.1:9500/metrics | grep -E "endpoint=.manifest.*(PUT|le=.0.005|le=.0.1)|in_flight|waiting" | grep -v "#"'
stop
