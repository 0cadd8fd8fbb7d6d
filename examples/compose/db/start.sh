#!/bin/sh
# PostgreSQL with its data in the volume; the first start makes the database.
set -eu
data=/var/lib/postgresql/data
export PATH="$PATH:$(echo /usr/lib/postgresql/*/bin)"
as() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }

mkdir -p "$data" /run/postgresql
chown postgres:postgres "$data" /run/postgresql
if [ ! -e "$data/PG_VERSION" ]; then
  as initdb --pgdata="$data" --encoding=UTF8 --auth-local=trust --auth-host=scram-sha-256 >/dev/null
  echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
  as pg_ctl --pgdata="$data" --options="-c listen_addresses=" --wait start >/dev/null
  as psql --quiet --command="CREATE ROLE shop LOGIN PASSWORD 'shop'" --command="CREATE DATABASE shop OWNER shop"
  as pg_ctl --pgdata="$data" --wait stop >/dev/null
fi
exec setpriv --reuid=postgres --regid=postgres --clear-groups postgres -D "$data" -c listen_addresses='*'
