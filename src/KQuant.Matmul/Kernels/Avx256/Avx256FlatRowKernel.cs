using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs.Decoding;
using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels.Avx256;

/// <summary>
/// The product of consecutive weight rows of a 32-wide codec with one to four activation rows, on wire bytes. Two blocks are unpacked at a
/// time, one in each half of a vector, and the scales of eight are read together. An activation row sums in eight lanes of its own and in
/// the same order however many there are beside it.
/// </summary>
/// <param name="preferredRows">Up to how many activation rows it is faster than the panel kernel.</param>
internal sealed unsafe class Avx256FlatRowKernel<TLayout, TDot>(int preferredRows) : ProductKernel(TLayout.Format, TDot.Tier, "row")
    where TLayout : struct, IFlatLayout
    where TDot : struct, IAvx256Dot
{
    private const int CacheLine = 64;

    /// <summary>How far in front of what is being multiplied weights are fetched.</summary>
    private const int Ahead = 8192;

    /// <summary>What unpacked codes are above the weights' integers.</summary>
    private static int Offset
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TLayout.Bits == 8 && TDot.TakesSignedCodes ? 0 : TLayout.Offset;
    }

    public override bool IsCanonical => false;

    public override int MaxRows => 4;

    public override int PreferredRows => preferredRows;

    public override int Granule => 1;

    public override nint GetActivationBytes(int rows, int units) => (nint)rows * units * sizeof(Activations);

    public override nint GetScratchBytes(int units) => 0;

    /// <summary>Arranges activations, all rows of a unit before the next unit.</summary>
    public override void Arrange(in ActivationView source, int* rowIndices, int rows, byte* destination)
    {
        var x = (Activations*)destination;
        for (int u = 0; u < source.Units; u++)
        {
            for (int r = 0; r < rows; r++, x++)
            {
                nint from = rowIndices == null ? r : rowIndices[r];
                Arrange(source.RowCodes(from) + (256 * u), source.RowScales(from) + (8 * u), source.RowSums(from) + (8 * u), x);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Run(in ProductTask task, byte* scratch)
    {
        int blocks = (8 * (task.Units - 1)) + task.TailBlocks;
        var x = (Activations*)task.Activations;
        switch (task.Rows)
        {
            case 1: Multiply<Rows1>(task.Weights, task.WeightRowBytes, task.WeightRows, blocks, x, task.Outputs); break;
            case 2: Multiply<Rows2>(task.Weights, task.WeightRowBytes, task.WeightRows, blocks, x, task.Outputs); break;
            case 3: Multiply<Rows3>(task.Weights, task.WeightRowBytes, task.WeightRows, blocks, x, task.Outputs); break;
            default: Multiply<Rows4>(task.Weights, task.WeightRowBytes, task.WeightRows, blocks, x, task.Outputs); break;
        }
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply<TRows>(byte* weights, nint rowBytes, int weightRows, int blocks, Activations* rows, float** outputs)
        where TRows : struct, ITileRows
    {
        byte* tail = stackalloc byte[8 * TLayout.BlockBytes], constants = stackalloc byte[4 * 32];
        var picks = (Avx256Codes.Keep(TDot.Picker(0, 0, 4), constants), Avx256Codes.Keep(TDot.Picker(4, 0, 4), constants + 32));
        var orders = (Avx256Codes.Keep(TDot.FifthOrder(0), constants + 64), Avx256Codes.Keep(TDot.FifthOrder(2), constants + 96));
        Unsafe.InitBlockUnaligned(tail, 0, (uint)(8 * TLayout.BlockBytes));
        for (int n = 0; n < weightRows; n++)
        {
            byte* block = weights + (n * rowBytes);
            Activations* x = rows;
            if (blocks % 8 != 0)
            {
                // The missing blocks of the last unit are zeros; nothing behind the row may be read.
                Unsafe.CopyBlockUnaligned(tail, block + (blocks / 8 * 8 * TLayout.BlockBytes), (uint)(blocks % 8 * TLayout.BlockBytes));
            }

            Vector256<float> y0 = default, y1 = default, y2 = default, y3 = default;
            Vector256<float> m0 = default, m1 = default, m2 = default, m3 = default;
            for (int left = blocks; left > 0; left -= 8)
            {
                if (left < 8)
                {
                    block = tail;
                }

                for (int i = 0; i < 8 * TLayout.BlockBytes; i += CacheLine)
                {
                    Sse.Prefetch0(block + Ahead + i);
                }

                Vector256<uint> halves = Factors(block);
                Vector256<float> d = Binary16.ToSingle(halves), m = TLayout.HasMin ? Binary16.ToSingle(halves >>> 16) : default;
                Vector256<float> s0 = d * Vector256.Load(x[0].Scales);
                Vector256<float> s1 = TRows.Count > 1 ? d * Vector256.Load(x[1].Scales) : default;
                Vector256<float> s2 = TRows.Count > 2 ? d * Vector256.Load(x[2].Scales) : default;
                Vector256<float> s3 = TRows.Count > 3 ? d * Vector256.Load(x[3].Scales) : default;
                if (TLayout.HasMin)
                {
                    m0 = Vector256.FusedMultiplyAdd(m, Vector256.Load(x[0].ScaledSums), m0);
                    if (TRows.Count > 1) { m1 = Vector256.FusedMultiplyAdd(m, Vector256.Load(x[1].ScaledSums), m1); }
                    if (TRows.Count > 2) { m2 = Vector256.FusedMultiplyAdd(m, Vector256.Load(x[2].ScaledSums), m2); }
                    if (TRows.Count > 3) { m3 = Vector256.FusedMultiplyAdd(m, Vector256.Load(x[3].ScaledSums), m3); }
                }

                Unpack(block, block + TLayout.BlockBytes, picks, orders, out Vector256<byte> a, out Vector256<byte> b);
                y0 = Add(y0, a, b, x + 0, 0, Avx.Permute(s0, 0b00_00_00_00));
                if (TRows.Count > 1) { y1 = Add(y1, a, b, x + 1, 0, Avx.Permute(s1, 0b00_00_00_00)); }
                if (TRows.Count > 2) { y2 = Add(y2, a, b, x + 2, 0, Avx.Permute(s2, 0b00_00_00_00)); }
                if (TRows.Count > 3) { y3 = Add(y3, a, b, x + 3, 0, Avx.Permute(s3, 0b00_00_00_00)); }
                Unpack(block + (2 * TLayout.BlockBytes), block + (3 * TLayout.BlockBytes), picks, orders, out a, out b);
                y0 = Add(y0, a, b, x + 0, 1, Avx.Permute(s0, 0b01_01_01_01));
                if (TRows.Count > 1) { y1 = Add(y1, a, b, x + 1, 1, Avx.Permute(s1, 0b01_01_01_01)); }
                if (TRows.Count > 2) { y2 = Add(y2, a, b, x + 2, 1, Avx.Permute(s2, 0b01_01_01_01)); }
                if (TRows.Count > 3) { y3 = Add(y3, a, b, x + 3, 1, Avx.Permute(s3, 0b01_01_01_01)); }
                Unpack(block + (4 * TLayout.BlockBytes), block + (5 * TLayout.BlockBytes), picks, orders, out a, out b);
                y0 = Add(y0, a, b, x + 0, 2, Avx.Permute(s0, 0b10_10_10_10));
                if (TRows.Count > 1) { y1 = Add(y1, a, b, x + 1, 2, Avx.Permute(s1, 0b10_10_10_10)); }
                if (TRows.Count > 2) { y2 = Add(y2, a, b, x + 2, 2, Avx.Permute(s2, 0b10_10_10_10)); }
                if (TRows.Count > 3) { y3 = Add(y3, a, b, x + 3, 2, Avx.Permute(s3, 0b10_10_10_10)); }
                Unpack(block + (6 * TLayout.BlockBytes), block + (7 * TLayout.BlockBytes), picks, orders, out a, out b);
                y0 = Add(y0, a, b, x + 0, 3, Avx.Permute(s0, 0b11_11_11_11));
                if (TRows.Count > 1) { y1 = Add(y1, a, b, x + 1, 3, Avx.Permute(s1, 0b11_11_11_11)); }
                if (TRows.Count > 2) { y2 = Add(y2, a, b, x + 2, 3, Avx.Permute(s2, 0b11_11_11_11)); }
                if (TRows.Count > 3) { y3 = Add(y3, a, b, x + 3, 3, Avx.Permute(s3, 0b11_11_11_11)); }
                block += 8 * TLayout.BlockBytes;
                x += TRows.Count;
            }

            outputs[0][n] = Vector256.Sum(y0 + m0);
            if (TRows.Count > 1) { outputs[1][n] = Vector256.Sum(y1 + m1); }
            if (TRows.Count > 2) { outputs[2][n] = Vector256.Sum(y2 + m2); }
            if (TRows.Count > 3) { outputs[3][n] = Vector256.Sum(y3 + m3); }
        }
    }

    /// <summary>Arranges a unit of an activation row.</summary>
    private static void Arrange(sbyte* codes, float* scales, short* sums, Activations* x)
    {
        for (int b = 0; b < 8; b++)
        {
            // Blocks 0, 2, 4 and 6 are in the lower halves of vectors, the others in the upper.
            int lane = (b / 2) + (4 * (b % 2));
            sbyte* to = x->Codes + (64 * (b / 2)) + (16 * (b % 2));
            Vector128.Load(codes + (32 * b)).Store(to);
            Vector128.Load(codes + (32 * b) + 16).Store(to + 32);
            for (int i = 0; i < 4; i++)
            {
                sbyte* first = codes + (32 * b) + (4 * i), second = first + 16;
                x->Starts[(4 * b) + i] = -Offset * (first[0] + first[1] + first[2] + first[3] + second[0] + second[1] + second[2] + second[3]);
            }

            x->Scales[lane] = scales[b];
            x->ScaledSums[lane] = scales[b] * sums[b];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Unpack(
        byte* block,
        byte* next,
        (Vector256<byte> First, Vector256<byte> Second) picks,
        (Vector256<byte> First, Vector256<byte> Second) orders,
        out Vector256<byte> first,
        out Vector256<byte> second)
    {
        Avx256Codes.Unpack<TLayout, TDot>(block, next, picks, orders, out first, out second);
        if (TLayout.Bits == 8 && !TDot.TakesSignedCodes)
        {
            first ^= Vector256.Create((byte)0x80);
            second ^= Vector256.Create((byte)0x80);
        }
    }

    /// <summary>Adds the products of two blocks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Add(
        Vector256<float> y, Vector256<byte> first, Vector256<byte> second, Activations* x, int pair, Vector256<float> scale)
    {
        Vector256<int> start = Offset == 0 ? default : Vector256.Load(x->Starts + (8 * pair));
        Vector256<int> dot = TDot.Begin(start, first, Vector256.Load(x->Codes + (64 * pair)));
        dot = TDot.Add(dot, second, Vector256.Load(x->Codes + (64 * pair) + 32));
        return Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(TDot.End(start, dot)), scale, y);
    }

    /// <summary>The first bytes of eight blocks: d and perhaps m.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<uint> Factors(byte* blocks) => Vector256.Create(
        Factor(blocks), Factor(blocks + (2 * TLayout.BlockBytes)), Factor(blocks + (4 * TLayout.BlockBytes)), Factor(blocks + (6 * TLayout.BlockBytes)),
        Factor(blocks + TLayout.BlockBytes), Factor(blocks + (3 * TLayout.BlockBytes)), Factor(blocks + (5 * TLayout.BlockBytes)), Factor(blocks + (7 * TLayout.BlockBytes)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Factor(byte* block) => *(uint*)block;

    /// <summary>A unit of an activation row: everything about two blocks is in the halves of a vector.</summary>
    internal struct Activations
    {
        public fixed sbyte Codes[256];

        /// <summary>What the offset of the weights amounts to in every lane, negated: no lane is larger than what belongs to it.</summary>
        public fixed int Starts[32];
        public fixed float Scales[8];
        public fixed float ScaledSums[8];
    }
}
