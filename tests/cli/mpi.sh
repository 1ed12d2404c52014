#!/bin/sh
# Trainings by two processes that mpirun starts: the adapter, and the model, of one process that accumulates over two samples;
# what one of them leaves, two go on with. For builds with Open MPI.
set -eu
miniature=$(realpath -- "$2")
mpirun=$3
. "$(dirname -- "$0")/lib.sh"
tiny
[ "$(id -u)" != 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# two ARGS...: a training by two processes, each of which takes a sample of a step.
two() {
  "$mpirun" --oversubscribe -n 2 "$program" "$@" --gradient-accumulation 1 >out 2>err </dev/null || fail "two processes: acestep $*"
}

"$miniature" scale --vae tiny/vae --seed 5 --count 1 --seconds 2 -o scaled >out || fail "no scaled autoencoder"
"$miniature" models --vae scaled -o mini >out || fail "no models"
for seed in 5 6 7 8 9; do
  "$miniature" pieces --vae mini/vae --seed $seed --count 1 --seconds 2 --tracks 1 -o pieces 2>err || fail "no pieces"
done
for seed in 1 2 3; do
  expect 0 generate "a hum" --models mini --model acestep-v15-turbo --duration 10 --steps 1 --seed $seed -q -o "songs/$seed.wav"
  echo "hum $seed" >"songs/$seed.caption.txt"
done
expect 0 dataset scan songs -o songs.json -q
expect 0 dataset preprocess songs.json --models mini --model acestep-v15-base --output tensors -q

usual="--models mini --model acestep-v15-base --lm acestep-5Hz-lm-0.6B --epochs 3 --batch-size 1 --sample-every 0 -q"
for part in dit tokenizer lm; do
  expect 0 train pieces --full $part $usual --gradient-accumulation 2 --output-dir one
  two train pieces --full $part $usual --output-dir two
  for file in one/final/*/model.safetensors; do same "$file" "two/${file#one/}"; done
  [ $part != dit ] || mv one whole
  rm -rf one two
done
for flags in "--rank 4" "--adapter lokr --lokr-use-scalar"; do
  expect 0 train tensors $flags $usual --gradient-accumulation 2 --output-dir one
  two train tensors $flags $usual --output-dir two
  for file in one/final/*.safetensors; do same "$file" "two/${file#one/}"; done
  rm -rf one two
done

# Where a gradient has several parts a sample, sums are rounded in another order: the losses of epochs, to four digits.
flags="--adapter lokr --lokr-weight-decompose --save-every 1"
expect 0 train tensors $flags $usual --gradient-accumulation 2 --output-dir one
two train tensors $flags $usual --output-dir two
[ "$(ls one/checkpoints)" = "$(ls two/checkpoints)" ] || fail "other losses: $(ls one/checkpoints two/checkpoints)"

# one process leaves a checkpoint, two go on
two train pieces --full dit $usual --output-dir on --resume "$(ls -d whole/checkpoints/epoch_1_*)"
same whole/final/acestep-v15-base/model.safetensors on/final/acestep-v15-base/model.safetensors
exit 0
