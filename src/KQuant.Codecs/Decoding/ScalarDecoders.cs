using System.Runtime.InteropServices;
using KQuant.Codecs.Blocks;

namespace KQuant.Codecs.Decoding;

/// <summary>
/// The specification as a kernel: <see cref="IQuantBlock{TSelf}.Decode"/> of a block struct behind the signature of all kernels.
/// </summary>
internal static unsafe class ScalarDecoders
{
    public static void Decode<TBlock>(byte* source, float* destination, nint blocks)
        where TBlock : unmanaged, IQuantBlock<TBlock> => TBlock.Decode(
            MemoryMarshal.CreateReadOnlySpan(ref *(TBlock*)source, (int)blocks),
            MemoryMarshal.CreateSpan(ref *destination, (int)blocks * TBlock.WeightsPerBlock));

    public static void DecodePlanes(QuantCodec codec, in PlanePointers source, float* destination, nint blocks) =>
        codec.DecodePlanes(source, destination, blocks);
}
