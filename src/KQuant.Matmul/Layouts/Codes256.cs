using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Matmul.Layouts;

/// <summary>Codes of wire blocks as bytes in 256-bit vectors: of two blocks side by side, or 32 of one block.</summary>
internal static unsafe class Codes256
{
    /// <summary>The codes of a run of two blocks of a K-quant.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Run<TLayout>(byte* a, byte* b, int run)
        where TLayout : struct, IKLayout => Combine<TLayout>(
            Pair(a, b, TLayout.LowByte(run)),
            TLayout.HighBits > 0 ? Pair(a, b, TLayout.HighByte(run)) : default,
            run);

    /// <summary>The codes of two consecutive runs, the first of them even, of a block of a K-quant.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Runs<TLayout>(byte* block, int run)
        where TLayout : struct, IKLayout => Combine<TLayout>(
            Vector256.Load(block + TLayout.LowByte(run)),
            TLayout.HighBits > 0 ? Vector256.Load(block + TLayout.HighByte(run)) : default,
            run);

    /// <summary>The first sixteen and the last sixteen codes of two blocks of a 32-wide codec, unsigned.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack<TLayout>(byte* a, byte* b, out Vector256<byte> first, out Vector256<byte> second)
        where TLayout : struct, IFlatLayout
    {
        first = Pair(a, b, TLayout.CodeByte);
        if (TLayout.Bits == 8)
        {
            second = Pair(a, b, TLayout.CodeByte + 16);
            return;
        }

        Vector256<byte> low = Vector256.Create((byte)15);
        second = (first.AsUInt16() >>> 4).AsByte() & low;
        first &= low;
        if (TLayout.Bits == 5)
        {
            Vector256<byte> bits = Vector256.Create(
                Vector128.Create(*(uint*)(a + TLayout.FifthByte)), Vector128.Create(*(uint*)(b + TLayout.FifthByte))).AsByte();
            first |= FifthBits(bits, 0);
            second |= FifthBits(bits, 0x0202020202020202);
        }
    }

    /// <summary>Sixteen bytes of each of two blocks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Pair(byte* a, byte* b, int first) => Vector256.Create(Vector128.Load(a + first), Vector128.Load(b + first));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Combine<TLayout>(Vector256<byte> low, Vector256<byte> high, int run)
        where TLayout : struct, IKLayout
    {
        low = Right(low, TLayout.LowShift(run)) & Vector256.Create((byte)((1 << TLayout.LowBits) - 1));
        if (TLayout.HighBits == 0)
        {
            return low;
        }

        high = Right(high, TLayout.HighShift(run) - TLayout.LowBits);
        return low | (high & Vector256.Create((byte)(((1 << TLayout.HighBits) - 1) << TLayout.LowBits)));
    }

    /// <summary>Moves bits; what comes from other bytes is to be masked. Spelt out because the JIT makes immediate operands of literals only.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Right(Vector256<byte> bytes, int bits) => bits switch
    {
        -4 => (bytes.AsUInt16() << 4).AsByte(),
        -3 => (bytes.AsUInt16() << 3).AsByte(),
        -2 => (bytes.AsUInt16() << 2).AsByte(),
        -1 => (bytes.AsUInt16() << 1).AsByte(),
        1 => (bytes.AsUInt16() >>> 1).AsByte(),
        2 => (bytes.AsUInt16() >>> 2).AsByte(),
        3 => (bytes.AsUInt16() >>> 3).AsByte(),
        4 => (bytes.AsUInt16() >>> 4).AsByte(),
        5 => (bytes.AsUInt16() >>> 5).AsByte(),
        6 => (bytes.AsUInt16() >>> 6).AsByte(),
        _ => bytes,
    };

    /// <summary>16 in every byte whose bit is set, of the 32 bits in every lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> FifthBits(Vector256<byte> bits, ulong firstByte)
    {
        Vector256<byte> bit = Vector256.Create(0x80402010_08040201).AsByte();
        Vector256<byte> place = Vector256.Create(firstByte, firstByte + 0x01010101_01010101, firstByte, firstByte + 0x01010101_01010101).AsByte();
        return Vector256.Equals(Avx2.Shuffle(bits, place) & bit, bit) & Vector256.Create((byte)16);
    }
}
