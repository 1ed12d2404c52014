#!/bin/sh
# info, tokenize, schema, help: what is there, what is missing, and words to tokens and back.
set -eu
. "$(dirname -- "$0")/lib.sh"
tiny

expect 0 info tiny
prints 'acestep-v15-turbo: diffusion model, turbo, complete'
prints 'vae: autoencoder, complete'
prints 'Qwen3-Embedding-0.6B: text encoder, complete'
prints 'acestep-5Hz-lm-0.6B: language model, complete'
prints 'ready: acestep generate --models tiny'
expect 0 info tiny --json
prints '"generates": true'
expect 0 info tiny/vae --hash
grep -qE 'sha256 [0-9a-f]{64}$' out || fail "no hash"

# What is missing is named; a folder without the default model still plays with another.
mv tiny/acestep-v15-turbo/silence_latent.pt kept
expect 0 info tiny
prints 'acestep-v15-turbo: diffusion model, turbo, NOT usable'
prints 'silence_latent.pt'
prints '--model acestep-v15-base'
mv kept tiny/acestep-v15-turbo/silence_latent.pt
mv tiny/Qwen3-Embedding-0.6B/tokenizer.json kept
expect 1 info tiny
prints 'not ready to make music'
prints 'tokenizer'
mv kept tiny/Qwen3-Embedding-0.6B/tokenizer.json
dd if=tiny/vae/diffusion_pytorch_model.safetensors of=cut bs=1000 count=100 2>/dev/null
mv cut tiny/vae/diffusion_pytorch_model.safetensors
expect 1 info tiny
prints 'vae: autoencoder, NOT usable'
expect 1 info tiny/vae
expect 1 info songs
prints 'no models in here'
expect 1 info nowhere

# Words to tokens and back, specials included.
text='jazz trio, [Verse] Zürich 音楽'
expect 0 tokenize --models tiny "$text"
ids=$(grep -v special out | cut -f1 | tr '\n' ' ')
expect 0 tokenize --models tiny --decode "$ids"
[ "$(cat out)" = "$text" ] || fail "text does not come back"
expect 0 tokenize tiny/Qwen3-Embedding-0.6B 'a<|endoftext|>' --json
grep -qE '"pieces":\["a","<\|endoftext\|>","<\|endoftext\|>"\],"count":3' out || fail "specials"
expect 0 tokenize tiny/Qwen3-Embedding-0.6B 'a<|endoftext|>' --no-special
grep -q special out && fail "--no-special recognises specials"
printf 'a b' | "$program" tokenize tiny/Qwen3-Embedding-0.6B >out || fail "text from a pipe"
prints '" b"'
expect 2 tokenize --models tiny --decode '1 99999999'
says 'no id in 0..'
expect 2 tokenize --models tiny --decode '1 x'

# The schema, the help and the document come from the same table as the flags.
expect 0 schema
prints '"cfg_interval_start"'
expect 0 schema --profile rest
expect 2 schema --profile nobody
expect 0 help generate
prints '--cfg-interval-start X'
prints '--lyrics-text TEXT'
grep -q -- '--lyrics TEXT' out && fail "the help tells two meanings of --lyrics"
cp out help
expect 0 generate --help
same out help
for command in generate plan format understand info tokenize schema make-tiny convert version help; do
  expect 0 help $command
  prints "acestep $command"
done
expect 0 version
grep -q '^acestep [0-9]' out || fail "no version"
expect 2
says 'acestep generate'
