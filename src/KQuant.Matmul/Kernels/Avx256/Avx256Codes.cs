using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace KQuant.Matmul.Kernels.Avx256;

/// <summary>Codes of wire blocks as bytes in 256-bit vectors: of two blocks side by side, or 32 of one block.</summary>
internal static unsafe class Avx256Codes
{
    /// <summary>
    /// Reads the bytes with codes of eight runs of a block of a K-quant, from run 0 or 8 on: the low bits of every two runs, those that some
    /// share only once, and the high bits of them all.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<TLayout>(
        byte* block, int run, out Vector256<byte> low0, out Vector256<byte> low2, out Vector256<byte> low4, out Vector256<byte> low6, out Vector256<byte> high)
        where TLayout : struct, IKLayout
    {
        int byte0 = TLayout.LowByte(run), byte2 = TLayout.LowByte(run + 2), byte4 = TLayout.LowByte(run + 4), byte6 = TLayout.LowByte(run + 6);
        low0 = Vector256.Load(block + byte0);
        low2 = byte2 == byte0 ? low0 : Vector256.Load(block + byte2);
        low4 = byte4 == byte0 ? low0 : Vector256.Load(block + byte4);
        low6 = byte6 == byte2 ? low2 : byte6 == byte4 ? low4 : Vector256.Load(block + byte6);
        high = TLayout.HighBits == 0 ? default : Vector256.Load(block + TLayout.HighByte(run));
    }

    /// <summary>Puts the codes of two consecutive runs together, the first of them even.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Runs<TLayout, TDot>(Vector256<byte> low, Vector256<byte> high, int run, Vector256<byte> lowPicker)
        where TLayout : struct, IKLayout
        where TDot : struct, IAvx256Dot => Combine<TLayout, TDot>(low, high, run, lowPicker);

    /// <summary>Four codes of every lane's block, of eight whose words are interleaved.</summary>
    /// <param name="columns">The blocks; the four words of a run follow each other.</param>
    /// <param name="run">Of which run.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Column<TLayout, TDot>(byte* columns, int run)
        where TLayout : struct, IKLayout
        where TDot : struct, IAvx256Dot => Combine<TLayout, TDot>(
            Vector256.Load(columns + (8 * TLayout.LowByte(run))),
            TLayout.HighBits > 0 ? Vector256.Load(columns + (8 * TLayout.HighByte(run))) : default,
            run,
            LowPicker<TLayout, TDot>(run));

    /// <summary>The first sixteen and the last sixteen codes of two blocks of a 32-wide codec, unsigned.</summary>
    /// <param name="a">A block.</param>
    /// <param name="b">Another.</param>
    /// <param name="picks">What picks low and high nibbles.</param>
    /// <param name="orders">What spreads the fifth bits of the first and of the last codes.</param>
    /// <param name="first">The first codes.</param>
    /// <param name="second">The last codes.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack<TLayout, TDot>(
        byte* a,
        byte* b,
        (Vector256<byte> First, Vector256<byte> Second) picks,
        (Vector256<byte> First, Vector256<byte> Second) orders,
        out Vector256<byte> first,
        out Vector256<byte> second)
        where TLayout : struct, IFlatLayout
        where TDot : struct, IAvx256Dot
    {
        Vector256<byte> codes = Pair(a, b, TLayout.CodeByte);
        if (TLayout.Bits == 8)
        {
            first = codes;
            second = Pair(a, b, TLayout.CodeByte + 16);
            return;
        }

        first = TDot.Pick(codes, 0, picks.First);
        second = TDot.Pick(codes, 4, picks.Second);
        if (TLayout.Bits == 5)
        {
            Vector256<byte> bits = Pair(a, b, TLayout.FifthByte);
            first |= TDot.FifthBits(bits, orders.First);
            second |= TDot.FifthBits(bits, orders.Second);
        }
    }

    /// <summary>Hides that a vector is constant: the JIT would read it from memory whenever it is needed, but keeps a variable in a register.</summary>
    /// <param name="constant">The constant.</param>
    /// <param name="memory">Memory it passes through.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Keep(Vector256<byte> constant, byte* memory)
    {
        constant.Store(memory);
        return Vector256.Load(memory);
    }

    /// <summary>Sixteen bytes of each of two blocks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Pair(byte* a, byte* b, int first) => Vector256.Create(Vector128.Load(a + first), Vector128.Load(b + first));

    /// <summary>Takes the low bits of the codes of a run out of bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> LowPicker<TLayout, TDot>(int run)
        where TLayout : struct, IKLayout
        where TDot : struct, IAvx256Dot => TDot.Picker(TLayout.LowShift(run), 0, TLayout.LowBits);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Combine<TLayout, TDot>(Vector256<byte> low, Vector256<byte> high, int run, Vector256<byte> lowPicker)
        where TLayout : struct, IKLayout
        where TDot : struct, IAvx256Dot
    {
        int right = TLayout.HighShift(run) - TLayout.LowBits;
        low = TDot.Pick(low, TLayout.LowShift(run), lowPicker);
        return TLayout.HighBits == 0 ? low : low | TDot.Pick(high, right, TDot.Picker(right, TLayout.LowBits, TLayout.HighBits));
    }

    /// <summary>Moves bits; what comes from other bytes is to be masked. Spelt out because the JIT makes immediate operands of literals only.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Right(Vector256<byte> bytes, int bits) => bits switch
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
}
