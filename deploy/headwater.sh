#!/bin/sh
# headwater.sh check|backfill|cdc|run|verify [FLAGS…]: one mode of MySQL into IoTDB, with its state kept in one folder.
#
# HEADWATER_CONFIG  the YAML file. If not set: /etc/headwater/config.yaml, or where the Flink job had it mounted.
# HEADWATER_STATE   the folder of the handoff token and the checkpoint: /var/lib/headwater if not set.
#
# backfill writes the handoff token there once every row is in IoTDB; cdc starts from it, or goes on from its checkpoint.
set -eu

fail() {
  echo "headwater.sh: $1" >&2
  exit 2
}

mode=${1:-}
case "$mode" in
  check | backfill | cdc | run | verify) shift ;;
  *) fail "say what to do: check, backfill, cdc, run or verify" ;;
esac

config=${HEADWATER_CONFIG:-}
if [ -z "$config" ]; then
  for file in /etc/headwater/config.yaml /opt/flink/config/config.yaml /opt/flink/usrlib/config.yaml; do
    if [ -f "$file" ]; then
      config=$file
      break
    fi
  done
fi
[ -n "$config" ] || fail "no configuration: mount it at /etc/headwater/config.yaml, or set HEADWATER_CONFIG"
[ -f "$config" ] || fail "there is no file $config (HEADWATER_CONFIG)"

state=${HEADWATER_STATE:-/var/lib/headwater}

case "$mode" in
  check | verify)
    exec headwater "$mode" --config "$config" "$@"
    ;;
esac

[ -d "$state" ] && [ -w "$state" ] || fail "the folder $state (HEADWATER_STATE) is not there or cannot be written to: mount a volume that lasts"

case "$mode" in
  backfill)
    # Whole or not at all: a token is in its place only once its rows are in IoTDB, and what replaces this shell is not
    # signalled by halves.
    new=$state/token.new
    trap 'kill -TERM "$child" 2>/dev/null || true' TERM INT
    headwater backfill --config "$config" "$@" >"$new" &
    child=$!
    code=0
    wait "$child" || code=$?
    # A signal ends the first wait; the second one gets what became of it.
    while kill -0 "$child" 2>/dev/null; do
      code=0
      wait "$child" || code=$?
    done
    if [ "$code" -ne 0 ]; then
      rm -f "$new"
      exit "$code"
    fi
    # Stopped when told to, it ends well and has no token.
    if [ -s "$new" ]; then
      mv "$new" "$state/token"
      echo "headwater.sh: the handoff token is in $state/token" >&2
    fi
    ;;
  cdc)
    if [ ! -e "$state/checkpoint" ] && [ -s "$state/token" ]; then
      exec headwater cdc --config "$config" --checkpoint "$state/checkpoint" --from "@$state/token" "$@"
    fi
    exec headwater cdc --config "$config" --checkpoint "$state/checkpoint" "$@"
    ;;
  run)
    exec headwater run --config "$config" --checkpoint "$state/checkpoint" "$@"
    ;;
esac
