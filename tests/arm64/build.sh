#!/usr/bin/env bash
# Compiles the shipped KQuant.Codecs and KQuant.Matmul for ARM64, with the JIT's own code generator, into a program that runs their kernels:
# artifacts/arm64/host. For x86-64 Linux with qemu-user-static, gcc-aarch64-linux-gnu and libc6-dev-arm64-cross.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
out=$root/artifacts/arm64
mkdir -p "$out"
export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1

for tool in aarch64-linux-gnu-gcc qemu-aarch64-static; do
    command -v $tool >/dev/null || {
        echo "$tool is missing: apt-get install --no-install-recommends qemu-user-static gcc-aarch64-linux-gnu libc6-dev-arm64-cross" >&2
        exit 1
    }
done

dotnet restore Toolchain.csproj -v q
ilc=$(dotnet msbuild Toolchain.csproj -getProperty:IlcFolder)
chmod +x "$ilc/ilc"
dotnet build Generator -c Release -v q -clp:ErrorsOnly
dotnet build Exports -c Release -v q -clp:ErrorsOnly
generator=$root/artifacts/bin/KQuant.Arm64.Generator/release/KQuant.Arm64.Generator
shipped=$root/artifacts/bin/KQuant.Arm64.Exports/release

sdk=$(dotnet --list-sdks | sed -n "s/^$(dotnet --version) \[\(.*\)\]/\1/p")/$(dotnet --version)
compile() {
    dotnet "$sdk/Roslyn/bincore/csc.dll" -nologo -noconfig -nostdlib -o+ -unsafe -deterministic -langversion:latest -target:library \
        -runtimemetadataversion:v4.0.30319 -nowarn:CS0169,CS0414,CS0436,CS0649,CS8500 "$@"
}

# The system module, and the names under which shipped assemblies know its types.
"$generator" intrinsics "$out/Intrinsics.cs"
compile -out:"$out/System.Private.CoreLib.dll" CoreLib/*.cs "$out/Intrinsics.cs"
"$generator" forwards "$out/System.Private.CoreLib.dll" "$out/Forwards.cs"
for name in System.Runtime System.Runtime.Intrinsics System.Memory; do
    compile -out:"$out/$name.dll" -r:"$out/System.Private.CoreLib.dll" "$out/Forwards.cs"
done

# With NEON alone as the baseline, Dp.IsSupported is a question that the program answers: one program holds both tiers.
"$ilc/ilc" "$shipped/KQuant.Arm64.Exports.dll" -r:"$shipped/KQuant.Codecs.dll" -r:"$shipped/KQuant.Matmul.dll" -r:"$out/*.dll" \
    -o:"$out/kernels.o" --systemmodule:System.Private.CoreLib --targetos:linux --targetarch:arm64 --instruction-set:neon -O \
    --nativelib --noscan --reflectiondata:none --root:KQuant.Arm64.Exports --jitpath:"$ilc/libclrjit_universal_arm64_x64.so"
# Nothing in a kernel may be left to a call: neither an instruction the compiler does not know, nor an operand that is no constant after all, nor
# a method that should have been inlined.
if aarch64-linux-gnu-nm "$out/kernels.o" | grep -E 'ThrowPlatformNotSupported|ThrowArgumentOutOfRange|__Unpack|(DotProduct|WideningProduct|Scales|Bits)__'; then
    echo "kernels call these" >&2
    exit 1
fi

aarch64-linux-gnu-gcc -O2 -Wall -Wextra -static -o "$out/host" Host/host.c "$out/kernels.o"

# Which assemblies these were: the tests compare.
(cd "$shipped" && sha256sum KQuant.Codecs.dll KQuant.Matmul.dll) >"$out/host.sha256"
