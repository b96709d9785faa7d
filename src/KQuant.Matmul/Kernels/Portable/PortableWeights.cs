using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace KQuant.Matmul.Kernels.Portable;

/// <summary>Weights of wire blocks as 16-bit integers in natural order, offsets taken off, with portable 128-bit vectors.</summary>
internal static unsafe class PortableWeights
{
    /// <summary>Unpacks the 256 weights of a block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void UnpackK<TLayout>(byte* block, short* weights)
        where TLayout : struct, IKLayout
    {
        Vector128<byte> lowMask = Vector128.Create((byte)((1 << TLayout.LowBits) - 1));
        Vector128<byte> highMask = Vector128.Create((byte)((1 << TLayout.HighBits) - 1));
        for (int run = 0; run < 16; run++, weights += 16)
        {
            Vector128<byte> codes = Shift(block + TLayout.LowByte(run), TLayout.LowShift(run)) & lowMask;
            if (TLayout.HighBits > 0)
            {
                Vector128<byte> high = Shift(block + TLayout.HighByte(run), TLayout.HighShift(run)) & highMask;
                codes |= high << TLayout.LowBits;
            }

            Store(codes, TLayout.Offset, weights);
        }
    }

    /// <summary>Unpacks the 32 weights of a block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void UnpackFlat<TLayout>(byte* block, short* weights)
        where TLayout : struct, IFlatLayout
    {
        if (TLayout.Bits == 8)
        {
            Vector128<byte> sign = Vector128.Create((byte)TLayout.Offset);
            Store(Vector128.Load(block + TLayout.CodeByte) ^ sign, TLayout.Offset, weights);
            Store(Vector128.Load(block + TLayout.CodeByte + 16) ^ sign, TLayout.Offset, weights + 16);
            return;
        }

        Vector128<byte> packed = Vector128.Load(block + TLayout.CodeByte);
        Vector128<byte> first = packed & Vector128.Create((byte)15), second = packed >>> 4;
        if (TLayout.Bits == 5)
        {
            first |= FifthBits(*(ushort*)(block + TLayout.FifthByte));
            second |= FifthBits(*(ushort*)(block + TLayout.FifthByte + 2));
        }

        Store(first, TLayout.Offset, weights);
        Store(second, TLayout.Offset, weights + 16);
    }

    /// <summary>Widens the 256 codes of a unit of activations.</summary>
    public static void Widen(sbyte* codes, short* x)
    {
        for (int i = 0; i < 256; i += 16)
        {
            Vector128<sbyte> run = Vector128.Load(codes + i);
            Vector128.WidenLower(run).Store(x + i);
            Vector128.WidenUpper(run).Store(x + i + 8);
        }
    }

    /// <summary>Four parts of the dot product of 16 weights; pairs of products fit 16 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Dot16(short* weights, short* x) => AddPairs(Products16(weights, x));

    /// <summary>Four parts of the dot product of 32 weights; four products fit 16 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Dot32(short* weights, short* x) => AddPairs(Products16(weights, x) + Products16(weights + 16, x + 16));

    /// <summary>The sum of each vector.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Sums(Vector128<int> a, Vector128<int> b, Vector128<int> c, Vector128<int> d) =>
        Vector128.Create(Vector128.Sum(a), Vector128.Sum(b), Vector128.Sum(c), Vector128.Sum(d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<short> Products16(short* weights, short* x) =>
        (Vector128.Load(weights) * Vector128.Load(x)) + (Vector128.Load(weights + 8) * Vector128.Load(x + 8));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> AddPairs(Vector128<short> sums) => ((sums.AsInt32() << 16) >> 16) + (sums.AsInt32() >> 16);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> Shift(byte* bytes, int bits) => (Vector128.Load((ushort*)bytes) >>> bits).AsByte();

    /// <summary>16 in every byte whose bit is set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> FifthBits(ushort bits)
    {
        Vector128<byte> bit = Vector128.Create(0x80402010_08040201).AsByte();
        const ulong EveryByte = 0x01010101_01010101;
        Vector128<byte> spread = Vector128.Create((byte)bits * EveryByte, (byte)(bits >> 8) * EveryByte).AsByte();
        return Vector128.Equals(spread & bit, bit) & Vector128.Create((byte)16);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector128<byte> codes, int offset, short* weights)
    {
        Vector128<short> minus = Vector128.Create((short)offset);
        (Vector128.WidenLower(codes).AsInt16() - minus).Store(weights);
        (Vector128.WidenUpper(codes).AsInt16() - minus).Store(weights + 8);
    }
}
