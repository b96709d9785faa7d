#!/usr/bin/env bash
# Runs every sample on the fixtures and compares what it prints with expected/NAME.txt; with `update` it writes those anew.
set -euo pipefail
cd "$(dirname "$0")"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
fixtures=../fixtures

sample() {
    local name=$1
    shift
    "../artifacts/bin/$name/release/$name" "$@" >"$out/$name.txt"
    if [ "${mode:-}" = update ]; then
        cp "$out/$name.txt" "expected/$name.txt"
    fi
    diff -u "expected/$name.txt" "$out/$name.txt"
}

mode=${1:-}
sample EncodeDecode
sample QuantizeModel $fixtures/models/tiny-dense q4_k "$out/model"
mkdir "$out/converted" "$out/conversations"
sample Conversion "$out/converted" $fixtures/models/tiny-dense $fixtures/models/tiny-moe
sample VectorStore
sample MultiplyWireBytes $fixtures/gguf/matmul-q4_K.gguf w
cp -r $fixtures/models/tiny-dense "$out/tools"
cat >"$out/tools/chat_template.jinja" <<'END' # the fixture's own takes no tools; the ids of calls are drawn anew each time, so they are left out
{% if tools %}{{ tools | tojson }}<tool_call>
{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content or m.tool_calls[0].function | tojson }}<|im_end|>
{% endfor %}<|im_start|>assistant
END
printf 'How long is Emma?\nAnd the other one?\n' | sample ExtensionsChat "$out/tools"
printf '%s\n' 'Who is Elizabeth?' 'And Mr. Darcy?' '/edit And Jane?' '/open second' '/stop 3 Who is Lydia?' 'Why?' '/open first' '/undo' 'And Mr. Bingley?' /close 'And then?' |
    sample Conversations $fixtures/models/tiny-dense "$out/conversations"
sample Embeddings $fixtures/models/tiny-dense "a letter from my sister" "the letter of her sister" "ten thousand a year" "a ball at Netherfield"
printf 'Who is Elizabeth?\nAnd Mr. Darcy?\n' | sample AotChat $fixtures/models/tiny-dense
