using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs.Blocks;

namespace KQuant.Codecs.Decoding;

/// <summary>The 32-wide formats with AVX2: codes are put together as bytes, see <see cref="Avx2Codes"/>, and converted.</summary>
/// <remarks>Runs of blocks with an infinite or NaN scale are left to the specification, see <see cref="FiniteScale"/>.</remarks>
internal static unsafe class Avx2FlatDecoders
{
    private const float UnscaledUnit = FiniteScale.Unscale * Avx2Codes.Unit;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q4_0(byte* source, float* destination, nint blocks)
    {
        Vector256<uint> carries = Vector256<uint>.Zero;
        byte* block = source;
        float* w = destination;
        nint left = blocks;
        do
        {
            Vector256<float> d = FiniteScale.Broadcast(block, ref carries) * UnscaledUnit;
            Vector256<byte> codes = Nibbles(block + 2).AsByte() - Vector256.Create((byte)8);
            Avx2Codes.Scale32(codes.AsUInt32(), d, w);
            block += 18;
            w += 32;
        }
        while (--left != 0);

        if (!FiniteScale.All(carries))
        {
            ScalarDecoders.Decode<BlockQ4_0>(source, destination, blocks);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q4_1(byte* source, float* destination, nint blocks)
    {
        Vector256<uint> carries = Vector256<uint>.Zero;
        byte* block = source;
        float* w = destination;
        nint left = blocks;
        do
        {
            Vector256<float> d = FiniteScale.Broadcast(block, ref carries) * UnscaledUnit;
            Vector256<float> m = FiniteScale.Broadcast(block + 2, ref carries) * FiniteScale.Unscale;
            Avx2Codes.Scale32(Nibbles(block + 4), d, m, w);
            block += 20;
            w += 32;
        }
        while (--left != 0);

        if (!FiniteScale.All(carries))
        {
            ScalarDecoders.Decode<BlockQ4_1>(source, destination, blocks);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q5_0(byte* source, float* destination, nint blocks)
    {
        Vector256<uint> carries = Vector256<uint>.Zero;
        byte* block = source;
        float* w = destination;
        nint left = blocks;
        do
        {
            // A clear fifth bit takes 16 away: in two's complement, that is four bits set above the nibble.
            Vector256<float> d = FiniteScale.Broadcast(block, ref carries) * UnscaledUnit;
            Vector256<uint> codes = Nibbles(block + 6) | Vector256.AndNot(Vector256.Create(0xF0F0_F0F0u), Bits(*(uint*)(block + 2)));
            Avx2Codes.Scale32(codes, d, w);
            block += 22;
            w += 32;
        }
        while (--left != 0);

        if (!FiniteScale.All(carries))
        {
            ScalarDecoders.Decode<BlockQ5_0>(source, destination, blocks);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q5_1(byte* source, float* destination, nint blocks)
    {
        Vector256<uint> carries = Vector256<uint>.Zero;
        byte* block = source;
        float* w = destination;
        nint left = blocks;
        do
        {
            Vector256<float> d = FiniteScale.Broadcast(block, ref carries) * UnscaledUnit;
            Vector256<float> m = FiniteScale.Broadcast(block + 2, ref carries) * FiniteScale.Unscale;
            Vector256<uint> codes = Nibbles(block + 8) | (Bits(*(uint*)(block + 4)) & Vector256.Create(0x1010_1010u));
            Avx2Codes.Scale32(codes, d, m, w);
            block += 24;
            w += 32;
        }
        while (--left != 0);

        if (!FiniteScale.All(carries))
        {
            ScalarDecoders.Decode<BlockQ5_1>(source, destination, blocks);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q8_0(byte* source, float* destination, nint blocks)
    {
        Vector256<uint> carries = Vector256<uint>.Zero;
        byte* block = source;
        float* w = destination;
        nint left = blocks;
        do
        {
            Vector256<float> d = FiniteScale.Broadcast(block, ref carries) * FiniteScale.Unscale;
            sbyte* codes = (sbyte*)block + 2;
            (d * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(codes))).Store(w);
            (d * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(codes + 8))).Store(w + 8);
            (d * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(codes + 16))).Store(w + 16);
            (d * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(codes + 24))).Store(w + 24);
            block += 34;
            w += 32;
        }
        while (--left != 0);

        if (!FiniteScale.All(carries))
        {
            ScalarDecoders.Decode<BlockQ8_0>(source, destination, blocks);
        }
    }

    /// <summary>The low nibbles of sixteen bytes and then the high ones, in the order of <see cref="Avx2Codes"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<uint> Nibbles(byte* bytes)
    {
        Vector256<byte> order = Vector256.Create(
            (byte)0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15, 4, 5, 6, 7, 12, 13, 14, 15);
        Vector256<uint> ordered = Avx2.Shuffle(Avx2.BroadcastVector128ToVector256(bytes), order).AsUInt32();
        return Avx2.ShiftRightLogicalVariable(ordered, Vector256.Create(0u, 0, 4, 4, 0, 0, 4, 4)) & Vector256.Create(0x0F0F_0F0Fu);
    }

    /// <summary>All ones in the bytes whose bit of <paramref name="bits"/> is set, in the order of <see cref="Avx2Codes"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<uint> Bits(uint bits)
    {
        Vector256<uint> byteOfBits = Vector256.Create(0u, 0x0101_0101, 0x0202_0202, 0x0303_0303, 0, 0x0101_0101, 0x0202_0202, 0x0303_0303);
        Vector256<byte> bitOfByte = Vector256.Create(
            0x0804_0201u, 0x0804_0201, 0x0804_0201, 0x0804_0201, 0x8040_2010, 0x8040_2010, 0x8040_2010, 0x8040_2010).AsByte();
        Vector256<byte> spread = Avx2.Shuffle(Vector256.Create(bits).AsByte(), byteOfBits.AsByte());
        return Vector256.Equals(spread & bitOfByte, bitOfByte).AsUInt32();
    }
}
