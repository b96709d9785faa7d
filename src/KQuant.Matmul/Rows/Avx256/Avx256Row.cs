using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs.Decoding;
using KQuant.Matmul.Layouts;
using KQuant.Matmul.Panels;
using KQuant.Matmul.Panels.Avx256;

namespace KQuant.Matmul.Rows.Avx256;

/// <summary>
/// The product of consecutive weight rows of a K-quant with one to eight activation rows, on wire bytes. 32 codes at a time are unpacked once
/// for all activation rows. An activation row sums in eight lanes of its own and in the same order however many there are beside it.
/// </summary>
internal static unsafe class Avx256Row<TLayout, TDot>
    where TLayout : struct, IKLayout
    where TDot : struct, IDot256
{
    private const int CacheLine = 64;

    /// <summary>Units whose d and dmin are read together.</summary>
    private const int Group = 8;

    /// <summary>How far in front of what is being multiplied weights are fetched.</summary>
    private const int Ahead = 4096;

    /// <summary>Multiplies.</summary>
    /// <param name="weights">Wire bytes.</param>
    /// <param name="rowBytes">Bytes from weight row to weight row.</param>
    /// <param name="weightRows">Weight rows.</param>
    /// <param name="units">Blocks of a weight row.</param>
    /// <param name="x">Arranged activations, all rows of a unit before the next unit.</param>
    /// <param name="rows">Activation rows, 1 to 8.</param>
    /// <param name="outputs">For each activation row, where its outputs go.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(byte* weights, nint rowBytes, int weightRows, int units, Activations* x, int rows, float** outputs)
    {
        switch (rows)
        {
            case 1: Multiply<Rows1>(weights, rowBytes, weightRows, units, x, outputs); break;
            case 2: Multiply<Rows2>(weights, rowBytes, weightRows, units, x, outputs); break;
            case 3: Multiply<Rows3>(weights, rowBytes, weightRows, units, x, outputs); break;
            case 4: Multiply<Rows4>(weights, rowBytes, weightRows, units, x, outputs); break;
            case 5: Multiply<Rows5>(weights, rowBytes, weightRows, units, x, outputs); break;
            case 6: Multiply<Rows6>(weights, rowBytes, weightRows, units, x, outputs); break;
            case 7: Multiply<Rows7>(weights, rowBytes, weightRows, units, x, outputs); break;
            default: Multiply<Rows8>(weights, rowBytes, weightRows, units, x, outputs); break;
        }
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply<TRows>(byte* weights, nint rowBytes, int weightRows, int units, Activations* rows, float** outputs)
        where TRows : struct, ITileRows
    {
        Memory memory;
        float* sums = memory.Sums, factors = memory.Factors;
        for (int n = 0; n < weightRows; n++)
        {
            for (int r = 0; r < TRows.Count; r++)
            {
                Vector256<float>.Zero.Store(sums + (8 * r));
            }

            byte* block = weights + (n * rowBytes);
            Activations* x = rows;
            for (int u = 0; u < units; u++)
            {
                if (u % Group == 0)
                {
                    ReadFactors(block, Math.Min(Group, units - u), factors);
                }

                for (int i = 0; i < TLayout.BlockBytes; i += CacheLine)
                {
                    Sse.Prefetch0(block + Ahead + i);
                }

                TLayout.Unpack(block, out Vector128<sbyte> scaleBytes, out Vector128<sbyte> minBytes);
                Vector256<short> scales = Spread(scaleBytes), offsets = TLayout.Offset == 0 ? default : -(scales * (short)TLayout.Offset);
                Vector256<byte> a, b;
                Vector256<short> scaleA, scaleB;
                Vector256<int> i0 = default, i1 = default, i2 = default, i3 = default, i4 = default, i5 = default, i6 = default, i7 = default;
                if (TLayout.Offset != 0)
                {
                    i0 = TDot.AddPairs(i0, Vector256.Load(x[0].Sums), offsets);
                    if (TRows.Count > 1) { i1 = TDot.AddPairs(i1, Vector256.Load(x[1].Sums), offsets); }
                    if (TRows.Count > 2) { i2 = TDot.AddPairs(i2, Vector256.Load(x[2].Sums), offsets); }
                    if (TRows.Count > 3) { i3 = TDot.AddPairs(i3, Vector256.Load(x[3].Sums), offsets); }
                    if (TRows.Count > 4) { i4 = TDot.AddPairs(i4, Vector256.Load(x[4].Sums), offsets); }
                    if (TRows.Count > 5) { i5 = TDot.AddPairs(i5, Vector256.Load(x[5].Sums), offsets); }
                    if (TRows.Count > 6) { i6 = TDot.AddPairs(i6, Vector256.Load(x[6].Sums), offsets); }
                    if (TRows.Count > 7) { i7 = TDot.AddPairs(i7, Vector256.Load(x[7].Sums), offsets); }
                }

                a = Codes256.Runs<TLayout>(block, 0); b = Codes256.Runs<TLayout>(block, 2);
                scaleA = TDot.FirstScale(scales, 0); scaleB = TDot.SecondScale(scales, 0);
                i0 = TDot.AddScaled(i0, a, x[0].Codes + 0, scaleA, b, x[0].Codes + 32, scaleB);
                if (TRows.Count > 1) { i1 = TDot.AddScaled(i1, a, x[1].Codes + 0, scaleA, b, x[1].Codes + 32, scaleB); }
                if (TRows.Count > 2) { i2 = TDot.AddScaled(i2, a, x[2].Codes + 0, scaleA, b, x[2].Codes + 32, scaleB); }
                if (TRows.Count > 3) { i3 = TDot.AddScaled(i3, a, x[3].Codes + 0, scaleA, b, x[3].Codes + 32, scaleB); }
                if (TRows.Count > 4) { i4 = TDot.AddScaled(i4, a, x[4].Codes + 0, scaleA, b, x[4].Codes + 32, scaleB); }
                if (TRows.Count > 5) { i5 = TDot.AddScaled(i5, a, x[5].Codes + 0, scaleA, b, x[5].Codes + 32, scaleB); }
                if (TRows.Count > 6) { i6 = TDot.AddScaled(i6, a, x[6].Codes + 0, scaleA, b, x[6].Codes + 32, scaleB); }
                if (TRows.Count > 7) { i7 = TDot.AddScaled(i7, a, x[7].Codes + 0, scaleA, b, x[7].Codes + 32, scaleB); }
                a = Codes256.Runs<TLayout>(block, 4); b = Codes256.Runs<TLayout>(block, 6);
                scaleA = TDot.FirstScale(scales, 2); scaleB = TDot.SecondScale(scales, 2);
                i0 = TDot.AddScaled(i0, a, x[0].Codes + 64, scaleA, b, x[0].Codes + 96, scaleB);
                if (TRows.Count > 1) { i1 = TDot.AddScaled(i1, a, x[1].Codes + 64, scaleA, b, x[1].Codes + 96, scaleB); }
                if (TRows.Count > 2) { i2 = TDot.AddScaled(i2, a, x[2].Codes + 64, scaleA, b, x[2].Codes + 96, scaleB); }
                if (TRows.Count > 3) { i3 = TDot.AddScaled(i3, a, x[3].Codes + 64, scaleA, b, x[3].Codes + 96, scaleB); }
                if (TRows.Count > 4) { i4 = TDot.AddScaled(i4, a, x[4].Codes + 64, scaleA, b, x[4].Codes + 96, scaleB); }
                if (TRows.Count > 5) { i5 = TDot.AddScaled(i5, a, x[5].Codes + 64, scaleA, b, x[5].Codes + 96, scaleB); }
                if (TRows.Count > 6) { i6 = TDot.AddScaled(i6, a, x[6].Codes + 64, scaleA, b, x[6].Codes + 96, scaleB); }
                if (TRows.Count > 7) { i7 = TDot.AddScaled(i7, a, x[7].Codes + 64, scaleA, b, x[7].Codes + 96, scaleB); }
                a = Codes256.Runs<TLayout>(block, 8); b = Codes256.Runs<TLayout>(block, 10);
                scaleA = TDot.FirstScale(scales, 4); scaleB = TDot.SecondScale(scales, 4);
                i0 = TDot.AddScaled(i0, a, x[0].Codes + 128, scaleA, b, x[0].Codes + 160, scaleB);
                if (TRows.Count > 1) { i1 = TDot.AddScaled(i1, a, x[1].Codes + 128, scaleA, b, x[1].Codes + 160, scaleB); }
                if (TRows.Count > 2) { i2 = TDot.AddScaled(i2, a, x[2].Codes + 128, scaleA, b, x[2].Codes + 160, scaleB); }
                if (TRows.Count > 3) { i3 = TDot.AddScaled(i3, a, x[3].Codes + 128, scaleA, b, x[3].Codes + 160, scaleB); }
                if (TRows.Count > 4) { i4 = TDot.AddScaled(i4, a, x[4].Codes + 128, scaleA, b, x[4].Codes + 160, scaleB); }
                if (TRows.Count > 5) { i5 = TDot.AddScaled(i5, a, x[5].Codes + 128, scaleA, b, x[5].Codes + 160, scaleB); }
                if (TRows.Count > 6) { i6 = TDot.AddScaled(i6, a, x[6].Codes + 128, scaleA, b, x[6].Codes + 160, scaleB); }
                if (TRows.Count > 7) { i7 = TDot.AddScaled(i7, a, x[7].Codes + 128, scaleA, b, x[7].Codes + 160, scaleB); }
                a = Codes256.Runs<TLayout>(block, 12); b = Codes256.Runs<TLayout>(block, 14);
                scaleA = TDot.FirstScale(scales, 6); scaleB = TDot.SecondScale(scales, 6);
                i0 = TDot.AddScaled(i0, a, x[0].Codes + 192, scaleA, b, x[0].Codes + 224, scaleB);
                if (TRows.Count > 1) { i1 = TDot.AddScaled(i1, a, x[1].Codes + 192, scaleA, b, x[1].Codes + 224, scaleB); }
                if (TRows.Count > 2) { i2 = TDot.AddScaled(i2, a, x[2].Codes + 192, scaleA, b, x[2].Codes + 224, scaleB); }
                if (TRows.Count > 3) { i3 = TDot.AddScaled(i3, a, x[3].Codes + 192, scaleA, b, x[3].Codes + 224, scaleB); }
                if (TRows.Count > 4) { i4 = TDot.AddScaled(i4, a, x[4].Codes + 192, scaleA, b, x[4].Codes + 224, scaleB); }
                if (TRows.Count > 5) { i5 = TDot.AddScaled(i5, a, x[5].Codes + 192, scaleA, b, x[5].Codes + 224, scaleB); }
                if (TRows.Count > 6) { i6 = TDot.AddScaled(i6, a, x[6].Codes + 192, scaleA, b, x[6].Codes + 224, scaleB); }
                if (TRows.Count > 7) { i7 = TDot.AddScaled(i7, a, x[7].Codes + 192, scaleA, b, x[7].Codes + 224, scaleB); }

                Vector256<float> d = Vector256.Create(factors[u % Group]), dmin = Vector256.Create(factors[Group + (u % Group)]);
                Vector256<short> mins = TLayout.HasMin ? Spread(minBytes) : default;
                Finish(sums + 0, x + 0, i0, d, mins, dmin);
                if (TRows.Count > 1) { Finish(sums + 8, x + 1, i1, d, mins, dmin); }
                if (TRows.Count > 2) { Finish(sums + 16, x + 2, i2, d, mins, dmin); }
                if (TRows.Count > 3) { Finish(sums + 24, x + 3, i3, d, mins, dmin); }
                if (TRows.Count > 4) { Finish(sums + 32, x + 4, i4, d, mins, dmin); }
                if (TRows.Count > 5) { Finish(sums + 40, x + 5, i5, d, mins, dmin); }
                if (TRows.Count > 6) { Finish(sums + 48, x + 6, i6, d, mins, dmin); }
                if (TRows.Count > 7) { Finish(sums + 56, x + 7, i7, d, mins, dmin); }
                block += TLayout.BlockBytes;
                x += TRows.Count;
            }

            for (int r = 0; r < TRows.Count; r++)
            {
                outputs[r][n] = Vector256.Sum(Vector256.Load(sums + (8 * r)));
            }
        }
    }

    /// <summary>Reads d and dmin of up to eight blocks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ReadFactors(byte* blocks, int count, float* factors)
    {
        byte* rows = blocks + TLayout.FactorByte;
        nint stride = TLayout.BlockBytes;
        Vector256<uint> few = default;
        if (count < Group)
        {
            for (int i = 0; i < count; i++)
            {
                ((uint*)&few)[i] = TLayout.HasMin ? *(uint*)(rows + (i * stride)) : *(ushort*)(rows + (i * stride));
            }

            rows = (byte*)&few;
            stride = sizeof(uint);
        }

        if (TLayout.HasMin)
        {
            Vector256<uint> halves = Avx256Columns.Words(rows, stride);
            Binary16.ToSingle(halves).Store(factors);
            Binary16.ToSingle(halves >>> 16).Store(factors + Group);
        }
        else
        {
            Binary16.ToSingle(Avx256Columns.Halves(rows, stride)).Store(factors);
        }
    }

    /// <summary>Arranges a unit of an activation row.</summary>
    public static void Arrange(sbyte* codes, float* scale, short* sums, Activations* x)
    {
        Unsafe.CopyBlockUnaligned(x->Codes, codes, 256);
        for (int i = 0; i < 8; i++)
        {
            x->Sums[i] = sums[2 * i];
            x->Sums[8 + i] = sums[(2 * i) + 1];
        }

        x->Scale = *scale;
    }

    /// <summary>
    /// Factors of sixteen sub-blocks, the even ones in the lower half, the odd ones in the upper; or of eight, in both halves: codes of
    /// even runs are in the lower half of a vector.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<short> Spread(Vector128<sbyte> factors)
    {
        if (TLayout.SubBlock == 32)
        {
            Vector128<short> wide = Vector128.WidenLower(factors);
            return Vector256.Create(wide, wide);
        }

        return Vector256.Create(factors.AsInt16() << 8 >> 8, factors.AsInt16() >> 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(
        float* sum, Activations* x, Vector256<int> dot, Vector256<float> d, Vector256<short> mins, Vector256<float> dmin)
    {
        Vector256<float> scale = Vector256.Create(x->Scale);
        Vector256<float> y = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(dot), d * scale, Vector256.Load(sum));
        if (TLayout.HasMin)
        {
            Vector256<int> min = Avx2.MultiplyAddAdjacent(mins, Vector256.Load(x->Sums));
            y = Vector256.FusedMultiplyAdd(-Vector256.ConvertToSingle(min), dmin * scale, y);
        }

        y.Store(sum);
    }

    /// <summary>A unit of an activation row.</summary>
    internal struct Activations
    {
        public fixed sbyte Codes[256];

        /// <summary>Sums of sixteen codes, the even ones before the odd ones.</summary>
        public fixed short Sums[16];
        public float Scale;
        private fixed float _padding[7];
    }

    private struct Memory
    {
        /// <summary>Eight sums of each activation row.</summary>
        public fixed float Sums[8 * 8];

        /// <summary>The d of some units, then their dmin.</summary>
        public fixed float Factors[2 * Group];
    }
}
