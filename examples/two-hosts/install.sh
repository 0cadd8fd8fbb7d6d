#!/bin/sh
# Makes `weft` and `weftd` commands of this machine that run from this checkout, with the Node that the project pins.
#
#   npm run install:host                          into /usr/local/bin
#   PREFIX=/opt/weft npm run install:host         into /opt/weft/bin
#   sh examples/two-hosts/install.sh --remove     takes them away again
set -eu

checkout=$(cd "$(dirname "$0")/../.." && pwd)
folder=${PREFIX:-/usr/local}/bin

if [ "${1:-}" = --remove ]; then
  rm -f "$folder/weft" "$folder/weftd"
  echo "removed weft and weftd from $folder"
  exit
fi

node=$checkout/node_modules/.bin/node
[ -x "$node" ] || {
  echo "install: $node is missing: run npm run install:host" >&2
  exit 1
}

# install NAME FILE: a command that replaces itself by Node
install() {
  printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$node" "$checkout/dist/$2" >"$folder/$1"
  chmod 755 "$folder/$1"
}

mkdir -p "$folder"
install weft cli/main.js
install weftd daemon/main.js
echo "weft and weftd are in $folder"
