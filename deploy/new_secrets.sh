#!/bin/sh
# Make what docker-compose.yml expects under deploy/secrets/, unless it is there already.
# The folder is closed to other users of the host; the files can be read, because the containers run as users of their own.
set -eu
folder="$(dirname "$0")/secrets"
mkdir -p "$folder"
chmod 700 "$folder"
for name in operator_key grafana_password; do
  if [ ! -e "$folder/$name" ]; then
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$folder/$name"
    chmod 444 "$folder/$name"
    echo "made $folder/$name"
  fi
done
