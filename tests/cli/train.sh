#!/bin/sh
# train and export: from samples to a song with the adapter, with the commands of docs/TRAINING.md. A training that was
# stopped costs nothing: going on gives the adapter of one that ran through.
set -eu
. "$(dirname -- "$0")/lib.sh"
tiny

{
  printf 'RIFF\244\167\1\0WAVEfmt \20\0\0\0\1\0\1\0\200\273\0\0\0\167\1\0\2\0\20\0data\200\167\1\0'
  head -c 96000 tiny/vae/diffusion_pytorch_model.safetensors
} >songs/one.wav
printf '{"caption": "slow waltz"}' >songs/one.json
expect 0 dataset scan songs -o mine -q
expect 0 dataset preprocess mine.json -o tensors --models tiny -q

expect 0 train tensors --models tiny --estimate
says 'MB beside the model'
expect 1 train tensors --models tiny --memory 1M
says 'MB are free'
expect 2 train tensors --models tiny --rank 0
says 'rank'
expect 1 train nowhere --models tiny

# the other kind of adapter has defaults of its own, whichever name chooses it
for flag in --adapter --adapter-type; do
  expect 0 train tensors --models tiny "$flag" lokr --epochs 1 --output-dir "kron$flag" -q
  grep -q '"learning_rate": 0.001[,}]*$' "kron$flag/run_config.json" || fail "$flag lokr: not the defaults of LoKr"
  [ -s "kron$flag/final/lokr_weights.safetensors" ] || fail "$flag lokr: no LoKr adapter"
done
expect 0 train tensors --models tiny --adapter lokr --lokr-weight-decompose --lokr-use-scalar --epochs 2 --output-dir dora -q
expect 0 export dora dora.safetensors -q
expect 0 info dora.safetensors --json
prints '"dora": true'
expect 0 generate "a hum" --models tiny --duration 10 --lora dora.safetensors:0.5 -q -o songs/dora.wav

# on weights that are stored as int8
expect 0 convert --int8 tiny/acestep-v15-turbo tiny/small -q
expect 0 train tensors --models tiny --model small --epochs 20 --rank 8 --learning-rate 1e-2 --output-dir little
says 'The model is quantized'
for lora in '' '--lora little/final'; do
  expect 0 generate "a hum" --models tiny --model small --duration 10 --seed 5 $lora -q -o "songs/little${lora:+-sung}.wav"
done
cmp -s songs/little*.wav && fail "an adapter of an int8 model changes nothing"
rm -rf tiny/small songs/little*

expect 0 train tensors --models tiny --epochs 120 --rank 8 --output-dir whole --sample-every 120 --sample-seconds 10 --json
prints '"event":"step"'
prints '"event":"done"'
[ -s whole/samples/epoch_120.flac ] || fail "no sample song"

# Ctrl-C, wherever in the training it falls
"$program" train tensors --models tiny --epochs 120 --rank 8 --output-dir part --json >stopped 2>err &
pid=$!
tries=0
until grep -q '"event":"step"' stopped || [ "$tries" = 1200 ]; do
  tries=$((tries + 1))
  sleep 0.05
done
kill -INT "$pid"
got=0
wait "$pid" || got=$?
[ "$got" = 130 ] || [ "$got" = 0 ] || fail "a stopped training ends with $got"
if [ "$got" = 130 ]; then
  expect 0 train tensors --models tiny --epochs 120 --rank 8 --output-dir part --resume part
  says 'Resumed from epoch'
fi
same whole/final/adapter_model.safetensors part/final/adapter_model.safetensors
expect 2 train tensors --models tiny --epochs 50 --rank 4 --output-dir part --resume part/final
says 'the settings ask for'

expect 0 export whole style
expect 0 export whole style.safetensors
expect 0 info style
prints 'LoRA adapter, rank 8, alpha 128'
expect 2 export whole songs
says 'not replaced'
expect 0 generate waltz --models tiny --duration 10 --seed 5 --lora style -q -o made.wav
expect 0 generate waltz --models tiny --duration 10 --seed 5 --lora style.safetensors -q -o same.wav
expect 0 generate waltz --models tiny --duration 10 --seed 5 -q -o plain.wav
same made.wav same.wav
cmp -s made.wav plain.wav && fail "the adapter changes nothing"
exit 0
