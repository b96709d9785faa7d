using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Codecs.Decoding;

/// <summary>The 32-wide formats with AVX2: codes are put together as bytes, see <see cref="Avx2Codes"/>, and converted.</summary>
internal static unsafe class Avx2FlatDecoders
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q4_0(byte* source, float* destination, nint blocks)
    {
        for (; blocks > 0; blocks--)
        {
            float d = Binary16.ToSingle(*(ushort*)source) * Avx2Codes.Unit;
            Vector256<byte> codes = Nibbles(source + 2).AsByte() - Vector256.Create((byte)8);
            Avx2Codes.Scale32(codes.AsUInt32(), Vector256.Create(d), destination);
            source += 18;
            destination += 32;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q4_1(byte* source, float* destination, nint blocks)
    {
        for (; blocks > 0; blocks--)
        {
            float d = Binary16.ToSingle(*(ushort*)source) * Avx2Codes.Unit;
            float m = Binary16.ToSingle(*(ushort*)(source + 2));
            Avx2Codes.Scale32(Nibbles(source + 4), Vector256.Create(d), Vector256.Create(m), destination);
            source += 20;
            destination += 32;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q5_0(byte* source, float* destination, nint blocks)
    {
        for (; blocks > 0; blocks--)
        {
            // A clear fifth bit takes 16 away: in two's complement, that is four bits set above the nibble.
            float d = Binary16.ToSingle(*(ushort*)source) * Avx2Codes.Unit;
            Vector256<uint> codes = Nibbles(source + 6) | Vector256.AndNot(Vector256.Create(0xF0F0_F0F0u), Bits(*(uint*)(source + 2)));
            Avx2Codes.Scale32(codes, Vector256.Create(d), destination);
            source += 22;
            destination += 32;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q5_1(byte* source, float* destination, nint blocks)
    {
        for (; blocks > 0; blocks--)
        {
            float d = Binary16.ToSingle(*(ushort*)source) * Avx2Codes.Unit;
            float m = Binary16.ToSingle(*(ushort*)(source + 2));
            Vector256<uint> codes = Nibbles(source + 8) | (Bits(*(uint*)(source + 4)) & Vector256.Create(0x1010_1010u));
            Avx2Codes.Scale32(codes, Vector256.Create(d), Vector256.Create(m), destination);
            source += 24;
            destination += 32;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q8_0(byte* source, float* destination, nint blocks)
    {
        for (; blocks > 0; blocks--)
        {
            Vector256<float> d = Vector256.Create(Binary16.ToSingle(*(ushort*)source));
            sbyte* codes = (sbyte*)source + 2;
            (d * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(codes))).Store(destination);
            (d * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(codes + 8))).Store(destination + 8);
            (d * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(codes + 16))).Store(destination + 16);
            (d * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(codes + 24))).Store(destination + 24);
            source += 34;
            destination += 32;
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
