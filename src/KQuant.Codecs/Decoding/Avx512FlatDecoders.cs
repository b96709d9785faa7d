using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs.Blocks;

namespace KQuant.Codecs.Decoding;

/// <summary>
/// The 32-wide formats with AVX-512. A code of four bits selects among sixteen weights, which are all the weights that a block can have:
/// they are computed once per block, and a permutation looks up sixteen of them at a time. It reads only the low four bits (five with two
/// tables) of a lane, so codes need no masking.
/// </summary>
/// <remarks>Runs of blocks with an infinite or NaN scale are left to the specification, see <see cref="FiniteScale"/>.</remarks>
internal static unsafe class Avx512FlatDecoders
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q4_0(byte* source, float* destination, nint blocks)
    {
        Vector512<float> codes = Vector512.Create(-8f, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7) * FiniteScale.Unscale;
        Vector512<float> largest = Vector512<float>.Zero;
        byte* block = source;
        float* w = destination;
        nint left = blocks;
        do
        {
            LookUp16(block + 2, FiniteScale.Broadcast(block, ref largest) * codes, w);
            block += 18;
            w += 32;
        }
        while (--left != 0);

        if (!FiniteScale.All(largest))
        {
            ScalarDecoders.Decode<BlockQ4_0>(source, destination, blocks);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q4_1(byte* source, float* destination, nint blocks)
    {
        Vector512<float> codes = Vector512.Create(0f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) * FiniteScale.Unscale;
        Vector512<float> largest = Vector512<float>.Zero;
        Vector512<float> largestMin = Vector512<float>.Zero;
        byte* block = source;
        float* w = destination;
        nint left = blocks;
        do
        {
            Vector512<float> d = FiniteScale.Broadcast(block, ref largest);
            Vector512<float> m = FiniteScale.Broadcast(block + 2, ref largestMin) * FiniteScale.Unscale;
            LookUp16(block + 4, Avx512F.FusedMultiplyAdd(d, codes, m), w);
            block += 20;
            w += 32;
        }
        while (--left != 0);

        if (!FiniteScale.All(largest) || !FiniteScale.All(largestMin))
        {
            ScalarDecoders.Decode<BlockQ4_1>(source, destination, blocks);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q5_0(byte* source, float* destination, nint blocks)
    {
        Vector512<float> highCodes = Vector512.Create(0f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) * FiniteScale.Unscale;
        Vector512<float> lowCodes = highCodes - Vector512.Create(16 * FiniteScale.Unscale);
        Vector512<float> largest = Vector512<float>.Zero;
        byte* block = source;
        float* w = destination;
        nint left = blocks;
        do
        {
            Vector512<float> d = FiniteScale.Broadcast(block, ref largest);
            LookUp32(block + 2, d * lowCodes, d * highCodes, w);
            block += 22;
            w += 32;
        }
        while (--left != 0);

        if (!FiniteScale.All(largest))
        {
            ScalarDecoders.Decode<BlockQ5_0>(source, destination, blocks);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q5_1(byte* source, float* destination, nint blocks)
    {
        Vector512<float> lowCodes = Vector512.Create(0f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) * FiniteScale.Unscale;
        Vector512<float> highCodes = lowCodes + Vector512.Create(16 * FiniteScale.Unscale);
        Vector512<float> largest = Vector512<float>.Zero;
        Vector512<float> largestMin = Vector512<float>.Zero;
        byte* block = source;
        float* w = destination;
        nint left = blocks;
        do
        {
            Vector512<float> d = FiniteScale.Broadcast(block, ref largest);
            Vector512<float> m = FiniteScale.Broadcast(block + 2, ref largestMin) * FiniteScale.Unscale;
            LookUp32(block + 4, Avx512F.FusedMultiplyAdd(d, lowCodes, m), Avx512F.FusedMultiplyAdd(d, highCodes, m), w);
            block += 24;
            w += 32;
        }
        while (--left != 0);

        if (!FiniteScale.All(largest) || !FiniteScale.All(largestMin))
        {
            ScalarDecoders.Decode<BlockQ5_1>(source, destination, blocks);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q8_0(byte* source, float* destination, nint blocks)
    {
        Vector512<float> largest = Vector512<float>.Zero;
        byte* block = source;
        float* w = destination;
        nint left = blocks;
        do
        {
            Vector512<float> d = FiniteScale.Broadcast(block, ref largest) * FiniteScale.Unscale;
            sbyte* codes = (sbyte*)block + 2;
            (d * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(codes)))).Store(w);
            (d * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(codes + 16)))).Store(w + 16);
            block += 34;
            w += 32;
        }
        while (--left != 0);

        if (!FiniteScale.All(largest))
        {
            ScalarDecoders.Decode<BlockQ8_0>(source, destination, blocks);
        }
    }

    /// <summary>Looks up the 32 weights of a block whose codes are nibbles.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void LookUp16(byte* codes, Vector512<float> weights, float* w)
    {
        Vector512<int> nibbles = Avx512F.ConvertToVector512Int32(Vector128.Load(codes));
        Avx512F.PermuteVar16x32(weights, nibbles).Store(w);
        Avx512F.PermuteVar16x32(weights, nibbles >>> 4).Store(w + 16);
    }

    /// <summary>Looks up the 32 weights of a block whose codes are 32 fifth bits and then nibbles.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void LookUp32(byte* codes, Vector512<float> low, Vector512<float> high, float* w)
    {
        // Bit i of the word to bit 4 of lane i, above the low nibble, and bit i + 16 to bit 8, above the high one; what else these bytes
        // get is never looked at. Two lanes at a time: a control byte is the bit that its byte starts with.
        Vector512<byte> control = (Vector512.Create(0x0000_103Cu) + (Vector512<uint>.Indices * 0x0101u)).AsByte();
        Vector512<uint> fifthBits = Avx512Vbmi.MultiShift(control, Vector512.Create(*(uint*)codes).AsUInt64()).AsUInt32();
        Vector512<uint> nibbles = Avx512F.ConvertToVector512UInt32(Vector128.Load(codes + 4));
        Vector512<uint> first = Vector512.ConditionalSelect(Vector512.Create(0x010u), fifthBits, nibbles);
        Vector512<uint> second = Vector512.ConditionalSelect(Vector512.Create(0x100u), fifthBits, nibbles) >>> 4;
        Avx512F.PermuteVar16x32x2(low, first.AsInt32(), high).Store(w);
        Avx512F.PermuteVar16x32x2(low, second.AsInt32(), high).Store(w + 16);
    }
}
