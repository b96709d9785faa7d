#!/usr/bin/env bash
# run.sh PACKAGES OUT: publishes Program.cs ahead of time from the packed packages and runs it: with default settings it has to give the JIT's
# results and AVX2; compiled for this processor (IlcInstructionSet=native) it also has to be at least 0.9 times as fast as the JIT.
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

tier=$("$out/default/products" | tee "$out/default.txt" | sed -nE 's/.*, (\w+), unused.*/\1/p')
cat "$out/default.txt"
if [ "$rid" = linux-x64 ] && grep -qw avx2 /proc/cpuinfo && [[ $tier != Avx* ]]; then
    echo "compiled with default settings, the program uses $tier"
    exit 1
fi

# The best of several turns on each side: other processes may disturb any of them.
for attempt in 1 2 3 4; do
    "$out/native/products" | tee -a "$out/native.txt"
    "$out/jit/products" | tee -a "$out/jit.txt"
    if awk '
        $1 ~ /^[0-9]+$/ { file = FILENAME; if (!((file, $1) in best) || $2 > best[file, $1]) best[file, $1] = $2; sum[file, $1] = $3; rows[$1] }
        END {
            for (m in rows) {
                for (key in sum) { split(key, part, SUBSEP); if (part[2] == m && (sum[key] - sum[ARGV[1], m]) ^ 2 > (1e-4 * sum[key]) ^ 2) { print "M=" m ": results differ"; bad = 1 } }
                ratio = best[ARGV[2], m] / best[ARGV[3], m]
                printf "M=%d: %.2f of the JIT\n", m, ratio
                if (ratio < 0.9) bad = 1
            }
            exit bad
        }' "$out/default.txt" "$out/native.txt" "$out/jit.txt"; then
        exit 0
    fi
done
exit 1
