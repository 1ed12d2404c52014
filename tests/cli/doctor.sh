#!/bin/sh
# acestep doctor, models, download, completions: what they say on a fresh machine, with models, and with damaged ones.
. "$(dirname -- "$0")/lib.sh"

# A fresh machine: what is missing, and the command that fetches it.
expect 1 doctor
prints "acestep download acestep-v15-turbo"
prints "not ready"
expect 1 doctor --json
python_free_json=$(tr -d '\n ' <"$work/out")
case $python_free_json in
  '{"healthy":false,"checks":['*) ;;
  *) fail "doctor --json is no object" ;;
esac
expect 2 doctor --port 0
says "--port"

# A complete set, then one with holes.
tiny
expect 0 doctor --models tiny
prints "ready: 0 problems"
expect 0 models --models tiny
prints "installed"
rm tiny/vae/*.safetensors
expect 1 doctor --models tiny
prints "acestep download vae --force"
: >tiny/vae/diffusion_pytorch_model.safetensors
expect 1 doctor --models tiny
prints "problem  vae"

# A folder that nobody may write is named; root may write everywhere.
if [ "$(id -u)" != 0 ]; then
  mkdir locked && chmod 500 locked
  expect 1 doctor --models locked/models
  prints "can not be written"
fi

# Downloads say what stops them, without a key in it.
HF_ENDPOINT=http://127.0.0.1:1 HF_TOKEN=hush expect 1 download vae --source huggingface --yes --models new
says "nothing answers there"
! grep -q hush "$work/err" || fail "the key is in the message"
[ ! -e new ] || fail "a failed download left a folder"
expect 2 download nonsense
expect 1 plan x --models tiny --lm-url http://127.0.0.1:1 --no-lm-fallback
expect 2 plan x --models tiny --lm-url nonsense
says "language model server"

# Completions are scripts, every command and flag is in them, and every command has a manual page.
expect 0 completions bash
cp "$work/out" bash.completion
bash -n bash.completion
for name in $("$program" completions list); do
  grep -q "^    $name)" bash.completion || fail "bash completes nothing of $name"
  expect 0 completions man "$name"
  prints ".TH ACESTEP-$name 1"
done
(
  # shellcheck disable=SC1091
  bash -c '. ./bash.completion
    COMP_WORDS=(acestep generate --audio-format f) COMP_CWORD=3; _acestep; echo "${COMPREPLY[*]}"
    COMP_WORDS=(acestep dow) COMP_CWORD=1; _acestep; echo "${COMPREPLY[*]}"
    COMP_WORDS=(acestep download acestep-5Hz-lm-4) COMP_CWORD=2; _acestep; echo "${COMPREPLY[*]}"
    COMP_WORDS=(acestep generate --lm-u) COMP_CWORD=2; _acestep; echo "${COMPREPLY[*]}"'
) >completed
printf '%s\n' flac download acestep-5Hz-lm-4B "--lm-url --lm-url-model" >wanted
same completed wanted
expect 0 completions zsh
prints "#compdef acestep"
expect 0 completions fish
prints "__fish_seen_subcommand_from generate' -l bpm"
expect 2 completions tcsh
says "bash, zsh, fish"
