#!/usr/bin/env bash
# run.sh PACKAGES OUT: publishes Program.cs ahead of time from the packed packages and runs it. It has to give the JIT's results, and what it
# reaches of the JIT's speed is printed: compiled with default settings, of a JIT that is restricted to the same instruction sets; compiled for
# this processor (IlcInstructionSet=native), of the JIT as it is. Where the machine is quiet that is 0.9 and more (docs/aot.md); below 0.5, which
# no noise explains and every lost instruction set does, the gate fails. With default settings AVX2 has to be used where there is AVX2.
set -euo pipefail
packages=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
cd "$(dirname "$0")"
case $(uname -m) in x86_64) rid=linux-x64 ;; aarch64) rid=linux-arm64 ;; *) echo "no gate for $(uname -m)"; exit 1 ;; esac
# A folder of their own, so that packages of the same version from another build are never taken instead.
common=(-c Release -r "$rid" -p:RestoreAdditionalProjectSources="$packages" -p:RestorePackagesPath="$out/nuget")
fallback=${NUGET_PACKAGES:-$HOME/.nuget/packages}
[ -d "$fallback" ] && common+=(-p:RestoreFallbackFolders="$fallback")

dotnet publish "${common[@]}" -o "$out/default"
dotnet publish "${common[@]}" -p:IlcInstructionSet=native -o "$out/native"
dotnet publish "${common[@]}" -p:PublishAot=false --self-contained false -o "$out/jit"

# turn NAME COMMAND...: the best of several turns counts: other processes may disturb any of them.
turn() {
    local name=$1
    shift
    "$@" | tee -a "$out/$name.txt"
}

# compare AHEAD JIT: whether each product is fast enough and has the same result.
compare() {
    awk -v ahead="$1" '
        $2 ~ /^[0-9]+$/ { what = $1 ", M=" $2; file = FILENAME; if (!((file, what) in best) || $3 > best[file, what]) best[file, what] = $3; sum[file, what] = $4; all[what] }
        END {
            for (what in all) {
                a = sum[ARGV[1], what]; b = sum[ARGV[2], what]
                if ((a - b) ^ 2 > (1e-4 * b) ^ 2) { print what ": results differ"; bad = 1 }
                ratio = best[ARGV[1], what] / best[ARGV[2], what]
                printf "%s, %s: %.2f of the JIT\n", ahead, what, ratio
                if (ratio < 0.5) bad = 1
            }
            exit bad
        }' "$out/$1.txt" "$out/$2.txt"
}

for attempt in {1..6}; do
    turn default "$out/default/products"
    turn same env DOTNET_EnableAVX512=0 "$out/jit/products"
    turn native "$out/native/products"
    turn jit "$out/jit/products"
    tier=$(sed -nE 's/.*, (\w+), unused.*/\1/p' "$out/default.txt" | tail -n 1)
    if [ "$rid" = linux-x64 ] && grep -qw avx2 /proc/cpuinfo && [[ $tier != Avx* ]]; then
        echo "compiled with default settings, the program uses $tier"
        exit 1
    fi

    bad=0
    compare default same || bad=1
    compare native jit || bad=1
    [ "$bad" -ne 0 ] || exit 0
done
exit 1
