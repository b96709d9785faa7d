using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace KQuant.Matmul.Kernels.Avx256;

/// <summary>
/// The product of up to six activation rows with two panels of eight K-quant weight rows, in canonical order. One lane is one output.
/// Sixteen registers have room for the sums of a sub-block only, so the totals of a unit are in memory.
/// </summary>
internal static unsafe class Avx256Tile<TLayout, TDot>
    where TLayout : struct, IKLayout
    where TDot : struct, IAvx256Dot
{
    private const int Vector = Avx256Columns.Bytes;

    /// <summary>
    /// Whether the bytes of panels are codes times scales already: those of at most three bits have room. Then they are added up over the
    /// whole unit. They are negated if activations are biased, because -32 times -4 is 128.
    /// </summary>
    public static bool IsScaled
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TDot.IsWide && TLayout.LowBits + TLayout.HighBits <= 3;
    }

    /// <summary>Integer scales that go with a unit of a panel.</summary>
    public static int Scales
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => IsScaled ? 0 : 256 / TLayout.SubBlock;
    }

    /// <summary>Pairs of minima in a unit.</summary>
    public static int MinPairs
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TLayout.HasMin ? 128 / TLayout.SubBlock : 0;
    }

    /// <summary>
    /// Whether codes are signed and activations biased by 128 to be unsigned, instead of the other way round. What the bias adds is
    /// the same for every activation row, so it is taken off where the totals start.
    /// </summary>
    public static bool IsBiased
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TLayout.Offset != 0;
    }

    /// <summary>Bytes of the factors of a unit of a panel: scales, pairs of minima, d, dmin and what the totals start from.</summary>
    public static int FactorBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (Scales + MinPairs + 3) * Vector;
    }

    /// <summary>Vectors of codes with the same scale.</summary>
    private static int Part
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => IsScaled ? 32 : TLayout.SubBlock / 4;
    }

    /// <summary>Vectors of products that are added up before they are scaled.</summary>
    private static int Steps
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => IsScaled ? 32 : Math.Min(Part, TDot.Steps(TLayout.LowBits + TLayout.HighBits));
    }

    /// <summary>Multiplies one to six activation rows with two panels.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(in TileTask task)
    {
        switch (task.Rows)
        {
            case 1: Multiply<Rows1>(task); break;
            case 2: Multiply<Rows2>(task); break;
            case 3: Multiply<Rows3>(task); break;
            case 4: Multiply<Rows4>(task); break;
            case 5: Multiply<Rows5>(task); break;
            default: Multiply<Rows6>(task); break;
        }
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply<TRows>(in TileTask task)
        where TRows : struct, ITileRows
    {
        int other = FactorBytes, row = 4 * TRows.Count;
        byte* codes = task.Codes, factors = task.Factors, x = task.Activations;
        float** outputs = task.Outputs;
        nint next = task.PanelStride, skip = task.UnitStride - (64 * Vector), first = task.FirstOutput;
        WeightFetch fetch = task.Fetch;
        int pieces = task.FetchPieces;
        Totals memory;
        int* totals = (int*)&memory;
        for (int u = task.Units; u > 0; u--, codes += skip)
        {
            Vector256<int> startA = default, startB = default;
            if (IsBiased)
            {
                startA = Vector256.Load((int*)(factors + other - Vector));
                startB = Vector256.Load((int*)(factors + other + other - Vector));
            }

            for (int i = 0; i < 16 * TRows.Count; i += 16)
            {
                startA.Store(totals + i);
                startB.Store(totals + i + 8);
            }

            Vector256<byte> a, b, quad;
            Vector256<int> s0a, s1a = default, s2a = default, s3a = default, s4a = default, s5a = default;
            Vector256<int> s0b, s1b = default, s2b = default, s3b = default, s4b = default, s5b = default;
            for (int part = 0; part < 64 / Part; part++, factors += IsScaled ? 0 : Vector)
            {
                if (pieces-- > 0)
                {
                    fetch.Fetch();
                }

                for (int chain = 0; chain < Part; chain += Steps)
                {
                    a = Vector256.Load(codes); b = Vector256.Load(codes + next);
                    quad = Quad(x); s0a = Begin(a, quad); s0b = Begin(b, quad);
                    if (TRows.Count > 1) { quad = Quad(x + 4); s1a = Begin(a, quad); s1b = Begin(b, quad); }
                    if (TRows.Count > 2) { quad = Quad(x + 8); s2a = Begin(a, quad); s2b = Begin(b, quad); }
                    if (TRows.Count > 3) { quad = Quad(x + 12); s3a = Begin(a, quad); s3b = Begin(b, quad); }
                    if (TRows.Count > 4) { quad = Quad(x + 16); s4a = Begin(a, quad); s4b = Begin(b, quad); }
                    if (TRows.Count > 5) { quad = Quad(x + 20); s5a = Begin(a, quad); s5b = Begin(b, quad); }
                    codes += Vector;
                    x += row;
                    for (int step = 1; step < Steps; step++)
                    {
                        a = Vector256.Load(codes); b = Vector256.Load(codes + next);
                        quad = Quad(x); s0a = Add(s0a, a, quad); s0b = Add(s0b, b, quad);
                        if (TRows.Count > 1) { quad = Quad(x + 4); s1a = Add(s1a, a, quad); s1b = Add(s1b, b, quad); }
                        if (TRows.Count > 2) { quad = Quad(x + 8); s2a = Add(s2a, a, quad); s2b = Add(s2b, b, quad); }
                        if (TRows.Count > 3) { quad = Quad(x + 12); s3a = Add(s3a, a, quad); s3b = Add(s3b, b, quad); }
                        if (TRows.Count > 4) { quad = Quad(x + 16); s4a = Add(s4a, a, quad); s4b = Add(s4b, b, quad); }
                        if (TRows.Count > 5) { quad = Quad(x + 20); s5a = Add(s5a, a, quad); s5b = Add(s5b, b, quad); }
                        codes += Vector;
                        x += row;
                    }

                    Vector256<int> scaleA = Vector256.Load((int*)factors), scaleB = Vector256.Load((int*)(factors + other));
                    AddScaled(totals, s0a, scaleA); AddScaled(totals + 8, s0b, scaleB);
                    if (TRows.Count > 1) { AddScaled(totals + 16, s1a, scaleA); AddScaled(totals + 24, s1b, scaleB); }
                    if (TRows.Count > 2) { AddScaled(totals + 32, s2a, scaleA); AddScaled(totals + 40, s2b, scaleB); }
                    if (TRows.Count > 3) { AddScaled(totals + 48, s3a, scaleA); AddScaled(totals + 56, s3b, scaleB); }
                    if (TRows.Count > 4) { AddScaled(totals + 64, s4a, scaleA); AddScaled(totals + 72, s4b, scaleB); }
                    if (TRows.Count > 5) { AddScaled(totals + 80, s5a, scaleA); AddScaled(totals + 88, s5b, scaleB); }
                }
            }

            Vector256<int> m0a = default, m1a = default, m2a = default, m3a = default, m4a = default, m5a = default;
            Vector256<int> m0b = default, m1b = default, m2b = default, m3b = default, m4b = default, m5b = default;
            for (int pair = 0; pair < MinPairs; pair++, factors += Vector)
            {
                Vector256<short> minA = Vector256.Load((short*)factors), minB = Vector256.Load((short*)(factors + other)), sums;
                sums = Quad(x).AsInt16(); m0a = TDot.AddPairs(m0a, minA, sums); m0b = TDot.AddPairs(m0b, minB, sums);
                if (TRows.Count > 1) { sums = Quad(x + 4).AsInt16(); m1a = TDot.AddPairs(m1a, minA, sums); m1b = TDot.AddPairs(m1b, minB, sums); }
                if (TRows.Count > 2) { sums = Quad(x + 8).AsInt16(); m2a = TDot.AddPairs(m2a, minA, sums); m2b = TDot.AddPairs(m2b, minB, sums); }
                if (TRows.Count > 3) { sums = Quad(x + 12).AsInt16(); m3a = TDot.AddPairs(m3a, minA, sums); m3b = TDot.AddPairs(m3b, minB, sums); }
                if (TRows.Count > 4) { sums = Quad(x + 16).AsInt16(); m4a = TDot.AddPairs(m4a, minA, sums); m4b = TDot.AddPairs(m4b, minB, sums); }
                if (TRows.Count > 5) { sums = Quad(x + 20).AsInt16(); m5a = TDot.AddPairs(m5a, minA, sums); m5b = TDot.AddPairs(m5b, minB, sums); }
                x += row;
            }

            FinishBoth(factors, x, totals, m0a, m0b, outputs[0] + first);
            if (TRows.Count > 1) { FinishBoth(factors, x + 4, totals + 16, m1a, m1b, outputs[1] + first); }
            if (TRows.Count > 2) { FinishBoth(factors, x + 8, totals + 32, m2a, m2b, outputs[2] + first); }
            if (TRows.Count > 3) { FinishBoth(factors, x + 12, totals + 48, m3a, m3b, outputs[3] + first); }
            if (TRows.Count > 4) { FinishBoth(factors, x + 16, totals + 64, m4a, m4b, outputs[4] + first); }
            if (TRows.Count > 5) { FinishBoth(factors, x + 20, totals + 80, m5a, m5b, outputs[5] + first); }
            x += row;
            factors += (3 * Vector) + other;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Quad(byte* x) => Vector256.Create(*(int*)x).AsByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Begin(Vector256<byte> codes, Vector256<byte> x) =>
        IsBiased ? TDot.Begin(default, x, codes.AsSByte()) : TDot.Begin(default, codes, x.AsSByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Add(Vector256<int> sum, Vector256<byte> codes, Vector256<byte> x) =>
        IsBiased ? TDot.Add(sum, x, codes.AsSByte()) : TDot.Add(sum, codes, x.AsSByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddScaled(int* total, Vector256<int> sum, Vector256<int> scale) =>
        (!IsScaled ? TDot.AddScaled(Vector256.Load(total), sum, scale)
            : IsBiased ? Vector256.Load(total) - sum
            : Vector256.Load(total) + sum).Store(total);

    /// <summary>Adds a unit of both panels to an activation row's outputs.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void FinishBoth(byte* factors, byte* x, int* totals, Vector256<int> a, Vector256<int> b, float* outputs)
    {
        Finish(factors, x, totals, a, outputs);
        Finish(factors + FactorBytes, x, totals + 8, b, outputs + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(byte* factors, byte* x, int* dot, Vector256<int> min, float* sum)
    {
        Vector256<float> scale = Vector256.Create(*(float*)x);
        Vector256<float> d = Vector256.Load((float*)factors) * scale;
        Vector256<float> y = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(Vector256.Load(dot)), d, Vector256.Load(sum));
        if (TLayout.HasMin)
        {
            Vector256<float> dmin = Vector256.Load((float*)(factors + Vector)) * scale;
            y = Vector256.FusedMultiplyAdd(-Vector256.ConvertToSingle(min), dmin, y);
        }

        y.Store(sum);
    }

    private struct Totals
    {
        public fixed int Lanes[6 * 2 * 8];
    }
}
