using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs.Decoding;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Panels;

namespace KQuant.Matmul.Rows.Avx512;

/// <summary>
/// The product of consecutive weight rows of a 32-wide codec with one to eight activation rows, on wire bytes. Four blocks are unpacked at a
/// time, in such an order that every fourth lane belongs to the same block, and the scales of sixteen are read together. An activation row sums in sixteen lanes of
/// its own and in the same order however many there are beside it.
/// </summary>
internal static unsafe class Avx512FlatRow<TFormat>
    where TFormat : struct, IAvx512FlatRowFormat
{
    private const int Vector = 64;

    /// <summary>Blocks whose scales are read together, and blocks that are unpacked together.</summary>
    private const int Group = 16, Part = 4;

    /// <summary>Groups whose scales are made ready before codes are looked at, so that nothing waits for them.</summary>
    private const int GroupsAhead = 16;

    private const int CacheLine = 64;

    /// <summary>How far in front of what is being multiplied weights are fetched.</summary>
    private const int Ahead = 8192;

    /// <summary>Bytes of four blocks of an arranged activation row: codes and, if weights have an offset, what it amounts to in every lane.</summary>
    private static int PartBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TFormat.Offset == 0 ? 2 * Vector : 3 * Vector;
    }

    /// <summary>Bytes of a group that follow all parts: scales and, if there are minima, scales times sums.</summary>
    private static int FactorBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TFormat.HasMin ? 2 * Vector : Vector;
    }

    /// <summary>Bytes of an arranged activation row.</summary>
    public static nint GetActivationBytes(int blocks) => (nint)((blocks + Group - 1) / Group) * ((Group / Part * PartBytes) + FactorBytes);

    /// <summary>Scales of eight activation rows, their sums of minima, and a group of blocks.</summary>
    public static nint ScratchBytes => (8 * (GroupsAhead + 1) * Vector) + (Group * TFormat.BlockBytes);

    /// <summary>Multiplies.</summary>
    /// <param name="weights">Wire bytes.</param>
    /// <param name="rowBytes">Bytes from weight row to weight row.</param>
    /// <param name="weightRows">Weight rows.</param>
    /// <param name="blocks">Blocks of a weight row.</param>
    /// <param name="x">Arranged activations.</param>
    /// <param name="rows">Activation rows, 1 to 8.</param>
    /// <param name="outputs">For each activation row, where its outputs go.</param>
    /// <param name="scratch"><see cref="ScratchBytes"/> bytes, 64-byte aligned.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(byte* weights, nint rowBytes, int weightRows, int blocks, byte* x, int rows, float** outputs, byte* scratch)
    {
        switch (rows)
        {
            case 1: Multiply<Rows1>(weights, rowBytes, weightRows, blocks, x, outputs, scratch); break;
            case 2: Multiply<Rows2>(weights, rowBytes, weightRows, blocks, x, outputs, scratch); break;
            case 3: Multiply<Rows3>(weights, rowBytes, weightRows, blocks, x, outputs, scratch); break;
            case 4: Multiply<Rows4>(weights, rowBytes, weightRows, blocks, x, outputs, scratch); break;
            case 5: Multiply<Rows5>(weights, rowBytes, weightRows, blocks, x, outputs, scratch); break;
            case 6: Multiply<Rows6>(weights, rowBytes, weightRows, blocks, x, outputs, scratch); break;
            case 7: Multiply<Rows7>(weights, rowBytes, weightRows, blocks, x, outputs, scratch); break;
            default: Multiply<Rows8>(weights, rowBytes, weightRows, blocks, x, outputs, scratch); break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply<TRows>(byte* weights, nint rowBytes, int weightRows, int blocks, byte* x, float** outputs, byte* scratch)
        where TRows : struct, ITileRows
    {
        int wholeBlocks = blocks / Group * Group, groups = (blocks + Group - 1) / Group;
        int partBytes = PartBytes;
        float* scales = (float*)scratch, mins = scales + (8 * GroupsAhead * Group);
        byte* tail = (byte*)(mins + (8 * Group));
        Unsafe.InitBlockUnaligned(tail, 0, (uint)(Group * TFormat.BlockBytes));
        Vector512<byte> order = TFormat.Order, highOrder = TFormat.HighOrder, factorOrder = TFormat.FactorOrder;
        Vector512<short> ones = Vector512.Create((short)1);
        for (int n = 0; n < weightRows; n++)
        {
            byte* block = weights + (n * rowBytes);
            byte* codes = x;
            if (wholeBlocks < blocks)
            {
                // The missing blocks of the last group are zeros; nothing behind the row may be read.
                Unsafe.CopyBlockUnaligned(tail, block + (wholeBlocks * TFormat.BlockBytes), (uint)((blocks - wholeBlocks) * TFormat.BlockBytes));
            }

            Vector512<float> y0 = default, y1 = default, y2 = default, y3 = default, y4 = default, y5 = default, y6 = default, y7 = default;
            byte* factors = x + ((nint)groups * Group / Part * TRows.Count * partBytes);
            for (int g = 0; g < groups; g += GroupsAhead)
            {
                int count = Math.Min(GroupsAhead, groups - g);
                for (int i = 0; i < count; i++)
                {
                    byte* first = (g + i) * Group == wholeBlocks ? tail : block + (i * Group * TFormat.BlockBytes);
                    Scale<TRows>(first, factorOrder, factors, scales + (i * TRows.Count * Group), mins, g + i == 0);
                    factors += TRows.Count * FactorBytes;
                }

                for (int i = 0; i < count; i++)
                {
                    float* scale = scales + (i * TRows.Count * Group);
                    if ((g + i) * Group == wholeBlocks)
                    {
                        block = tail;
                    }

                    for (int line = 0; line < Group * TFormat.BlockBytes; line += CacheLine)
                    {
                        Sse.Prefetch0(block + Ahead + line);
                    }

                    // Written out: what a loop around this costs is a good part of it.
                    AddPart<TRows>(block, order, highOrder, codes, scale, ones, ref y0, ref y1, ref y2, ref y3, ref y4, ref y5, ref y6, ref y7);
                    AddPart<TRows>(block + (Part * TFormat.BlockBytes), order, highOrder, codes + (TRows.Count * partBytes), scale + Part, ones, ref y0, ref y1, ref y2, ref y3, ref y4, ref y5, ref y6, ref y7);
                    AddPart<TRows>(block + (2 * Part * TFormat.BlockBytes), order, highOrder, codes + (2 * TRows.Count * partBytes), scale + (2 * Part), ones, ref y0, ref y1, ref y2, ref y3, ref y4, ref y5, ref y6, ref y7);
                    AddPart<TRows>(block + (3 * Part * TFormat.BlockBytes), order, highOrder, codes + (3 * TRows.Count * partBytes), scale + (3 * Part), ones, ref y0, ref y1, ref y2, ref y3, ref y4, ref y5, ref y6, ref y7);
                    block += Group * TFormat.BlockBytes;
                    codes += Group / Part * TRows.Count * partBytes;
                }
            }

            outputs[0][n] = Total(y0, mins);
            if (TRows.Count > 1) outputs[1][n] = Total(y1, mins + Group);
            if (TRows.Count > 2) outputs[2][n] = Total(y2, mins + (2 * Group));
            if (TRows.Count > 3) outputs[3][n] = Total(y3, mins + (3 * Group));
            if (TRows.Count > 4) outputs[4][n] = Total(y4, mins + (4 * Group));
            if (TRows.Count > 5) outputs[5][n] = Total(y5, mins + (5 * Group));
            if (TRows.Count > 6) outputs[6][n] = Total(y6, mins + (6 * Group));
            if (TRows.Count > 7) outputs[7][n] = Total(y7, mins + (7 * Group));
        }
    }

    /// <summary>Adds the products of four blocks with all activation rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddPart<TRows>(
        byte* block, Vector512<byte> order, Vector512<byte> highOrder, byte* codes, float* scale, Vector512<short> ones,
        ref Vector512<float> y0, ref Vector512<float> y1, ref Vector512<float> y2, ref Vector512<float> y3,
        ref Vector512<float> y4, ref Vector512<float> y5, ref Vector512<float> y6, ref Vector512<float> y7)
        where TRows : struct, ITileRows
    {
        FourBlocks unpacked = TFormat.Unpack(block, order, highOrder);
        y0 = TFormat.Add(y0, unpacked, codes, Avx512FlatRowTools.FourScales(scale), ones);
        if (TRows.Count > 1) y1 = TFormat.Add(y1, unpacked, codes + PartBytes, Avx512FlatRowTools.FourScales(scale + Group), ones);
        if (TRows.Count > 2) y2 = TFormat.Add(y2, unpacked, codes + (2 * PartBytes), Avx512FlatRowTools.FourScales(scale + (2 * Group)), ones);
        if (TRows.Count > 3) y3 = TFormat.Add(y3, unpacked, codes + (3 * PartBytes), Avx512FlatRowTools.FourScales(scale + (3 * Group)), ones);
        if (TRows.Count > 4) y4 = TFormat.Add(y4, unpacked, codes + (4 * PartBytes), Avx512FlatRowTools.FourScales(scale + (4 * Group)), ones);
        if (TRows.Count > 5) y5 = TFormat.Add(y5, unpacked, codes + (5 * PartBytes), Avx512FlatRowTools.FourScales(scale + (5 * Group)), ones);
        if (TRows.Count > 6) y6 = TFormat.Add(y6, unpacked, codes + (6 * PartBytes), Avx512FlatRowTools.FourScales(scale + (6 * Group)), ones);
        if (TRows.Count > 7) y7 = TFormat.Add(y7, unpacked, codes + (7 * PartBytes), Avx512FlatRowTools.FourScales(scale + (7 * Group)), ones);
    }

    /// <summary>Multiplies the scales of a group by those of the activation rows, and takes care of its minima, a block in every lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Scale<TRows>(byte* blocks, Vector512<byte> order, byte* factors, float* scales, float* mins, bool isFirst)
        where TRows : struct, ITileRows
    {
        Vector512<uint> halves = ReadFactors(blocks, order);
        Vector512<float> d = Binary16.ToSingle(halves), m = TFormat.HasMin ? Binary16.ToSingle(halves >>> 16) : default;
        for (int r = 0; r < TRows.Count; r++, factors += FactorBytes)
        {
            (d * Vector512.Load((float*)factors)).Store(scales + (r * Group));
            if (TFormat.HasMin)
            {
                Vector512<float> sum = isFirst ? Vector512<float>.Zero : Vector512.Load(mins + (r * Group));
                Avx512F.FusedMultiplyAdd(m, Vector512.Load((float*)(factors + Vector)), sum).Store(mins + (r * Group));
            }
        }
    }

    /// <summary>The first four bytes of sixteen blocks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> ReadFactors(byte* blocks, Vector512<byte> order)
    {
        Vector512<uint> part0 = TFormat.GatherFactors(blocks, order);
        Vector512<uint> part1 = TFormat.GatherFactors(blocks + (Part * TFormat.BlockBytes), order);
        Vector512<uint> part2 = TFormat.GatherFactors(blocks + (2 * Part * TFormat.BlockBytes), order);
        Vector512<uint> part3 = TFormat.GatherFactors(blocks + (3 * Part * TFormat.BlockBytes), order);
        Vector512<uint> odd = Vector512.Create(0, 0, ulong.MaxValue, ulong.MaxValue, 0, 0, ulong.MaxValue, ulong.MaxValue).AsUInt32();
        Vector512<uint> upper = Vector512.Create(0, 0, 0, 0, ulong.MaxValue, ulong.MaxValue, ulong.MaxValue, ulong.MaxValue).AsUInt32();
        return Vector512.ConditionalSelect(
            upper, Vector512.ConditionalSelect(odd, part3, part2), Vector512.ConditionalSelect(odd, part1, part0));
    }

    /// <summary>Arranges one activation row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Arrange(in ActivationView source, nint from, int row, int rows, byte* x)
    {
        sbyte* codes = source.RowCodes(from);
        short* sums = source.RowSums(from);
        float* scales = source.RowScales(from);
        int blocks = 8 * source.Units;
        byte* parts = x + (row * PartBytes);
        for (int b = 0; b < blocks; b += Part, codes += Part * 32, parts += rows * PartBytes)
        {
            Avx512FlatRowTools.Arrange(codes, parts, TFormat.Offset);
        }

        // Parts that are missing from the last group meet zero weights and a zero scale, whatever they hold.
        int groups = (blocks + Group - 1) / Group;
        float* factors = (float*)(x + ((nint)groups * Group / Part * rows * PartBytes) + (row * FactorBytes));
        for (int b = 0; b < blocks; b += Group, factors += rows * FactorBytes / sizeof(float))
        {
            for (int i = 0; i < Group; i++)
            {
                bool exists = b + i < blocks;
                factors[i] = exists ? scales[b + i] : 0;
                if (TFormat.HasMin)
                {
                    factors[Group + i] = exists ? scales[b + i] * sums[b + i] : 0;
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Total(Vector512<float> y, float* mins) => Vector512.Sum(TFormat.HasMin ? y + Vector512.Load(mins) : y);
}
