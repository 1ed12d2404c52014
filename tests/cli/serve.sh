#!/bin/sh
# acestep serve as its flags and variables steer it: which words a switch takes, and what it does.
set -eu
. "$(dirname -- "$0")/lib.sh"
tiny

# Words that mean neither yes nor no are refused before the server starts, with the name of who said them.
expect 2 serve --models tiny --log-requests=maybe
says '--log-requests: "maybe" is not true or false'
expect 2 serve --models tiny --init-llm=tru
says '--init-llm: "tru"'
ACESTEP_NO_INIT=never expect 2 serve --models tiny
says '$ACESTEP_NO_INIT: "never"'

# started FLAGS...: a server on a port of its own; $url is where.
started() {
  rm -f served
  "$program" serve --models tiny --data data --port 0 "$@" >served 2>served-log &
  server=$!
  trap '[ -z "$server" ] || kill $server; cd /; rm -rf "$work"' EXIT
  tries=0
  while [ ! -s served ]; do
    tries=$((tries + 1))
    [ $tries -lt 600 ] && kill -0 $server 2>/dev/null || fail "the server does not start: $(cat served-log)"
    sleep 0.05
  done
  url=$(cat served)
}

stopped() {
  kill $server
  wait $server || fail "the server ends with status $?: $(cat served-log)"
  server=
}

# A request is logged when that is asked for, in whatever word. Any client will do: here the program itself.
for word in yes ON 1 true; do
  started --log-requests=$word --init-service=no
  expect 1 plan x --models tiny --lm-url "$url"
  stopped
  grep -q /v1/models served-log || fail "--log-requests=$word logs nothing"
done
started --log-requests=off
expect 1 plan x --models tiny --lm-url "$url"
stopped
! grep -q /v1/models served-log || fail "--log-requests=off logs"

# Command lines of the reference's program start this one too; what has no effect here is said.
expect 2 serve --models tiny --quantization int4
says '--quantization: "int4"'
for wrong in name :word name: ; do
  expect 2 serve --models tiny --auth $wrong
  says '--auth: NAME:PASSWORD'
done
expect 2 serve --models tiny --auth a:b --auth-username a
says 'no other --auth flag'
expect 2 serve --models tiny --language 'e;n'
says 'no code of a language'
export ACESTEP_QUEUE_WORKERS=2
started --config_path acestep-v15-base --backend mlx --language ja --quantization int8_weight_only --auth me:secret --api --device cuda \
  --use_flash_attention true --offload_to_cpu=false --batch_size 3 --share
stopped
unset ACESTEP_QUEUE_WORKERS
grep -q 'ACESTEP_QUEUE_WORKERS has no effect' served-log || fail "a variable without effect is taken without a word"
grep -q '"cuda"' served-log || fail "--device cuda is taken without a word"
grep -q 'proxy or a tunnel' served-log || fail "--share does not say how others reach the server"
