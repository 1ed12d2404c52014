#!/bin/sh
# convert and --int8: a smaller copy of a model plays the song that the model plays with --int8.
set -eu
. "$(dirname -- "$0")/lib.sh"
tiny

expect 0 convert --int8 tiny/acestep-v15-turbo tiny/acestep-v15-turbo-int8
says 'matrices are int8 now'
expect 0 convert --int8 tiny/Qwen3-Embedding-0.6B encoder -q
same tiny/Qwen3-Embedding-0.6B/tokenizer.json encoder/tokenizer.json
same tiny/acestep-v15-turbo/silence_latent.pt tiny/acestep-v15-turbo-int8/silence_latent.pt
expect 0 info tiny
prints 'acestep-v15-turbo-int8: diffusion model, turbo, complete'
prints 'I8'

expect 0 generate noise --models tiny --duration 10 --seed 5 --int8 -q -o songs/made.wav
mv tiny/Qwen3-Embedding-0.6B plain
mv encoder tiny/Qwen3-Embedding-0.6B
expect 0 generate noise --models tiny --model acestep-v15-turbo-int8 --duration 10 --seed 5 -q -o songs/stored.wav
same songs/made.wav songs/stored.wav
expect 0 generate noise --models tiny --duration 10 --seed 5 -q -o songs/plain.wav
cmp -s songs/made.wav songs/plain.wav && fail "--int8 changes nothing"
expect 0 plan 'a song' --models tiny --lm-int8 --seed 5 -q

expect 2 convert --int8 tiny/vae small
says 'no matrices'
expect 2 convert tiny/vae small
says '--int8'
expect 2 convert --int8 tiny/vae
expect 2 convert --int8 tiny/acestep-v15-turbo tiny/acestep-v15-base
says 'exists'
[ ! -e small ] || fail "a failed conversion leaves a folder"
