using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;
using KQuant.Codecs.Decoding;
using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>
/// The product of consecutive weight rows of a 32-wide codec with one to eight activation rows, on wire bytes. Four blocks are unpacked at a
/// time, in such an order that every fourth lane belongs to the same block, and the scales of sixteen are read together. An activation row sums in sixteen lanes of
/// its own and in the same order however many there are beside it.
/// </summary>
/// <param name="preferredRows">Up to how many activation rows it is faster than the panel kernel.</param>
internal sealed unsafe class Avx512FlatRowKernel<TFormat>(int preferredRows) : ProductKernel(TFormat.Format, KernelTier.Avx512, "row")
    where TFormat : struct, IAvx512FlatRowFormat
{
    private const int Vector = 64;

    /// <summary>Blocks whose scales are read together, and blocks that are unpacked together.</summary>
    private const int Group = 16, Part = 4;

    /// <summary>Groups whose scales are made ready before codes are looked at, so that nothing waits for them.</summary>
    private const int GroupsAhead = 16;

    private const int CacheLine = 64;

    /// <summary>How far in front of what is being multiplied weights are fetched.</summary>
    private const int Ahead = 12288;

    /// <summary>Bytes of four blocks of an arranged activation row: codes and, if they do so, what dot products start from.</summary>
    private static int PartBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TFormat.StartsAtOffset ? 3 * Vector : 2 * Vector;
    }

    /// <summary>Whether sums of activations count in float: where weights have a minimum, or codes are a little above the integers.</summary>
    private static bool HasTerms
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TFormat.HasMin || (TFormat.Offset != 0 && !TFormat.StartsAtOffset);
    }

    /// <summary>Bytes of a group that follow all parts: scales and, if they count, scales times sums.</summary>
    private static int FactorBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => HasTerms ? 2 * Vector : Vector;
    }

    public override bool IsSupported => TFormat.IsSupported;

    public override bool IsCanonical => false;

    public override int MaxRows => 8;

    public override int PreferredRows => preferredRows;

    public override int Granule => 1;

    /// <summary>Rows of parts and factors.</summary>
    public override nint GetActivationBytes(int rows, int units) => rows * PartsAndFactors(8 * units);

    /// <summary>Scales of eight activation rows, and a group of blocks.</summary>
    public override nint GetScratchBytes(int units) => (8 * GroupsAhead * Vector) + (Group * TFormat.BlockBytes);

    public override void Arrange(in ActivationView source, int* rowIndices, int rows, byte* destination)
    {
        for (int row = 0; row < rows; row++)
        {
            Arrange(source, rowIndices == null ? row : rowIndices[row], row, rows, destination);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Run(in ProductTask task, byte* scratch)
    {
        int blocks = (8 * (task.Units - 1)) + task.TailBlocks;
        switch (task.Rows)
        {
            case 1: Multiply<Rows1>(task.Weights, task.WeightRowBytes, task.WeightRows, blocks, task.Activations, task.Outputs, scratch); break;
            case 2: Multiply<Rows2>(task.Weights, task.WeightRowBytes, task.WeightRows, blocks, task.Activations, task.Outputs, scratch); break;
            case 3: Multiply<Rows3>(task.Weights, task.WeightRowBytes, task.WeightRows, blocks, task.Activations, task.Outputs, scratch); break;
            case 4: Multiply<Rows4>(task.Weights, task.WeightRowBytes, task.WeightRows, blocks, task.Activations, task.Outputs, scratch); break;
            case 5: Multiply<Rows5>(task.Weights, task.WeightRowBytes, task.WeightRows, blocks, task.Activations, task.Outputs, scratch); break;
            case 6: Multiply<Rows6>(task.Weights, task.WeightRowBytes, task.WeightRows, blocks, task.Activations, task.Outputs, scratch); break;
            case 7: Multiply<Rows7>(task.Weights, task.WeightRowBytes, task.WeightRows, blocks, task.Activations, task.Outputs, scratch); break;
            default: Multiply<Rows8>(task.Weights, task.WeightRowBytes, task.WeightRows, blocks, task.Activations, task.Outputs, scratch); break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply<TRows>(byte* weights, nint rowBytes, int weightRows, int blocks, byte* x, float** outputs, byte* scratch)
        where TRows : struct, ITileRows
    {
        int wholeBlocks = blocks / Group * Group, groups = (blocks + Group - 1) / Group;
        float* scales = (float*)scratch;
        byte* tail = scratch + (8 * GroupsAhead * Vector);
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
            byte* factors = x + ((nint)groups * Group / Part * TRows.Count * PartBytes);
            for (int g = 0; g < groups; g += GroupsAhead)
            {
                int count = Math.Min(GroupsAhead, groups - g);
                for (int i = 0; i < count; i++)
                {
                    byte* first = (g + i) * Group == wholeBlocks ? tail : block + (i * Group * TFormat.BlockBytes);
                    Scale<TRows>(first, factorOrder, factors, scales + (i * TRows.Count * Group), ref y0, ref y1, ref y2, ref y3, ref y4, ref y5, ref y6, ref y7);
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

                    // Written out as far as the JIT goes along with it: beyond that it inlines nothing any more.
                    for (int half = 0; half < 2; half++)
                    {
                        AddPart<TRows>(block, order, highOrder, codes, scale, ones, ref y0, ref y1, ref y2, ref y3, ref y4, ref y5, ref y6, ref y7);
                        block += Part * TFormat.BlockBytes;
                        codes += TRows.Count * PartBytes;
                        AddPart<TRows>(block, order, highOrder, codes, scale + Part, ones, ref y0, ref y1, ref y2, ref y3, ref y4, ref y5, ref y6, ref y7);
                        block += Part * TFormat.BlockBytes;
                        codes += TRows.Count * PartBytes;
                        scale += 2 * Part;
                    }
                }
            }

            outputs[0][n] = Vector512.Sum(y0);
            if (TRows.Count > 1) outputs[1][n] = Vector512.Sum(y1);
            if (TRows.Count > 2) outputs[2][n] = Vector512.Sum(y2);
            if (TRows.Count > 3) outputs[3][n] = Vector512.Sum(y3);
            if (TRows.Count > 4) outputs[4][n] = Vector512.Sum(y4);
            if (TRows.Count > 5) outputs[5][n] = Vector512.Sum(y5);
            if (TRows.Count > 6) outputs[6][n] = Vector512.Sum(y6);
            if (TRows.Count > 7) outputs[7][n] = Vector512.Sum(y7);
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

    /// <summary>Multiplies the scales of a group by those of the activation rows and adds its minima, or takes its offsets off, a block in every lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Scale<TRows>(
        byte* blocks, Vector512<byte> order, byte* factors, float* scales,
        ref Vector512<float> y0, ref Vector512<float> y1, ref Vector512<float> y2, ref Vector512<float> y3,
        ref Vector512<float> y4, ref Vector512<float> y5, ref Vector512<float> y6, ref Vector512<float> y7)
        where TRows : struct, ITileRows
    {
        Vector512<uint> halves = ReadFactors(blocks, order);
        Vector512<float> d = Binary16.ToSingle(halves), m = TFormat.HasMin ? Binary16.ToSingle(halves >>> 16) : d;
        y0 = Scale(d, m, factors, scales, y0);
        if (TRows.Count > 1) y1 = Scale(d, m, factors + FactorBytes, scales + Group, y1);
        if (TRows.Count > 2) y2 = Scale(d, m, factors + (2 * FactorBytes), scales + (2 * Group), y2);
        if (TRows.Count > 3) y3 = Scale(d, m, factors + (3 * FactorBytes), scales + (3 * Group), y3);
        if (TRows.Count > 4) y4 = Scale(d, m, factors + (4 * FactorBytes), scales + (4 * Group), y4);
        if (TRows.Count > 5) y5 = Scale(d, m, factors + (5 * FactorBytes), scales + (5 * Group), y5);
        if (TRows.Count > 6) y6 = Scale(d, m, factors + (6 * FactorBytes), scales + (6 * Group), y6);
        if (TRows.Count > 7) y7 = Scale(d, m, factors + (7 * FactorBytes), scales + (7 * Group), y7);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Scale(Vector512<float> d, Vector512<float> m, byte* factors, float* scales, Vector512<float> y)
    {
        (d * Vector512.Load((float*)factors)).Store(scales);
        return HasTerms ? Avx512F.FusedMultiplyAdd(m, Vector512.Load((float*)(factors + Vector)), y) : y;
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

    private static nint PartsAndFactors(int blocks) => (nint)((blocks + Group - 1) / Group) * ((Group / Part * PartBytes) + FactorBytes);

    /// <summary>Arranges one activation row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Arrange(in ActivationView source, nint from, int row, int rows, byte* x)
    {
        sbyte* codes = source.RowCodes(from);
        short* sums = source.RowSums(from);
        float* scales = source.RowScales(from);
        int blocks = 8 * source.Units;
        byte* parts = x + (row * PartBytes);
        for (int b = 0; b < blocks; b += Part, codes += Part * 32, parts += rows * PartBytes)
        {
            Avx512FlatRowTools.Arrange(codes, parts, TFormat.StartsAtOffset ? TFormat.Offset : 0);
        }

        // Parts that are missing from the last group meet zero weights and a zero scale, whatever they hold.
        int groups = (blocks + Group - 1) / Group;
        float* factors = (float*)(x + ((nint)groups * Group / Part * rows * PartBytes) + (row * FactorBytes));
        for (int b = 0; b < blocks; b += Group, factors += rows * FactorBytes / sizeof(float))
        {
            for (int i = 0; i < Group; i++)
            {
                bool exists = b + i < blocks;
                float scale = exists ? scales[b + i] : 0;
                factors[i] = scale;
                if (HasTerms)
                {
                    factors[Group + i] = exists ? scale * (TFormat.HasMin ? sums[b + i] : -TFormat.Offset * sums[b + i]) : 0;
                }
            }
        }
    }
}
