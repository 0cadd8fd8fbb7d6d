#!/bin/sh
# Makes the images shop-web, shop-api and shop-db in this host's Docker, from Debian packages and without a registry.
#
#   sh examples/compose/build.sh [ARCHIVE]
#
# ARCHIVE keeps the root file system that the images share, so that the next host need not make it again: about 2 minutes and 500 MB.
# Needs root, Docker and mmdebstrap (apt-get install docker.io mmdebstrap).
set -eu
cd "$(dirname "$0")"
archive=${1:-/var/tmp/weft-shop-root.tar}

if [ ! -e "$archive" ]; then
  mmdebstrap --variant=essential --include=nginx-light,python3-psycopg2,postgresql \
    --aptopt='APT::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' bookworm "$archive.new.tar"
  mv "$archive.new.tar" "$archive"
fi
docker import "$archive" shop-root >/dev/null
for part in web api db; do
  docker build --quiet --tag "shop-$part" "$part" >/dev/null
  echo "built shop-$part"
done
