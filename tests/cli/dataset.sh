#!/bin/sh
# dataset: from a folder of songs to samples for training, with the commands that README shows. Work that is there is not
# lost: not by scanning again, not by a song that cannot be used.
set -eu
. "$(dirname -- "$0")/lib.sh"
tiny

# A second of sound: a header and 48000 samples of 16 bits.
wave() {
  {
    printf 'RIFF\244\167\1\0WAVEfmt \20\0\0\0\1\0\1\0\200\273\0\0\0\167\1\0\2\0\20\0data\200\167\1\0'
    head -c 96000 tiny/vae/diffusion_pytorch_model.safetensors
  } >"$1"
}
wave songs/one.wav
wave songs/two.wav
printf 'no sound' >songs/three.wav
printf '{"caption": "slow waltz", "bpm": 90}' >songs/one.json

expect 0 dataset scan songs -o mine --tag zx --tag-position append
prints 'mine.json'
says 'three.wav: not a sound file'
says 'two.wav has the same content'
grep -q '"custom_tag": "zx"' mine.json || fail "no tag in the dataset"
expect 2 dataset scan songs -o mine
says '--force'

expect 0 dataset edit mine.json --sample 1 --set 'caption=broken' --set lyrics=la --set is_instrumental=false
expect 0 dataset edit mine.json
prints 'slow waltz'
expect 2 dataset edit mine.json --sample 1 --set audio_path=/etc/passwd
says 'no field that can be edited'
expect 2 dataset edit mine.json --sample 3 --set bpm=1
says '0..2'
expect 2 dataset check mine.json --set bpm=1
says '--set is a flag of edit'

expect 0 dataset check mine.json --json
prints '"file":"two.wav","kind":"unlabeled"'
prints '"event":"done"'

expect 0 dataset label mine.json --models tiny --only-unlabeled -q
[ "$(grep -c '"labeled": true' mine.json)" = 3 ] || fail "not all songs are labeled"
grep -q '"caption": "slow waltz"' mine.json || fail "a caption was replaced"
[ "$(wc -l <mine.json.autolabel.jsonl)" = 1 ] || fail "no line about the song that was labeled"
[ ! -e mine.json.codes.json ] || fail "codes stay behind"

expect 0 dataset preprocess mine.json -o tensors --models tiny
says '2 samples made, 0 were there'
says 'Failed: three.wav'
grep -q '"num_samples": 2' tensors/manifest.json || fail "the manifest has not two samples"
expect 0 dataset preprocess mine.json -o tensors --models tiny
says '0 samples made, 2 were there'
expect 2 dataset preprocess mine.json --models tiny
says '-o DIR'
expect 2 dataset
says 'scan, label, edit, preprocess or check'
expect 1 dataset scan "$work/nothing"
