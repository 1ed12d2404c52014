#!/bin/sh
# The models that come with the program: found without a word about models, after everything that was asked for or installed.
. "$(dirname -- "$0")/lib.sh"
song() {
  expect "$1" generate "a short test" --duration 10 --steps 2 --seed 3 -o "$2" $3
}

# None: the message says how to come by models.
song 1 none.wav
says "acestep download"

# As installed: bin/acestep and share/acestep/models.
tiny
mkdir -p share/acestep
cp -R tiny share/acestep/models
song 0 built-in.wav
says "come with the program"
song 0 quiet.wav --quiet
[ ! -s "$work/err" ] || fail "--quiet is not quiet"
same built-in.wav quiet.wav
expect 0 doctor
prints "come with the program"
expect 0 info
prints "$work/share/acestep/models"

# What is asked for comes first, then what is installed; a folder without a diffusion model is none.
mkdir -p home/models/vae
song 0 again.wav
says "come with the program"
cp -R tiny/. home/models/
rm -r share/acestep/models/vae
song 0 own.wav
same built-in.wav own.wav
! grep -q "come with the program" "$work/err" || fail "says the models are the small ones"
rm -r home/models
song 1 broken.wav

# A model of any name counts, here and for a server; of two usual folders the one that has a model is served.
mkdir -p home/models
cp -R tiny checkpoints
mv checkpoints/acestep-v15-turbo checkpoints/mine
rm -rf checkpoints/acestep-v15-base
song 0 mine.wav "--model mine"
! grep -q "come with the program" "$work/err" || fail "the models in ./checkpoints are not seen"
timeout 10 "$program" serve --port 0 --data data >served 2>served-log & # ended below, when it has said where
server=$!
for i in $(seq 200); do ! [ -s served ] || break; sleep 0.05; done
kill $server
wait $server || true
grep -q "models: checkpoints" served-log || fail "serves other models: $(cat served-log)"
rm -r home/models checkpoints
song 0 given.wav "--models tiny"
ACESTEP_CHECKPOINTS_DIR=$work/tiny song 0 named.wav
same given.wav named.wav

# Downloads never go to them.
rm -r share/acestep/models
cp -R tiny share/acestep/models
HF_ENDPOINT=http://127.0.0.1:1 expect 1 download vae --source huggingface --yes
[ "$(find share/acestep/models -newer given.wav -name '*.part*' | wc -l)" = 0 ] || fail "a download went to the small models"

# The trained ones, where this checkout has them: a song that is no silence, and another for other words.
models=$(dirname -- "$built")/../../models
if [ -f "$models/vae/diffusion_pytorch_model.safetensors" ]; then
  program=$built
  song 0 band.wav
  says "come with the program"
  expect 0 generate "drum and bass" --duration 10 --steps 2 --seed 3 -o other.wav
  ! cmp -s band.wav other.wav || fail "the caption does not matter"
  [ "$(tail -c +1000 band.wav | tr -d '\000' | wc -c)" -gt 100000 ] || fail "silence"
fi
