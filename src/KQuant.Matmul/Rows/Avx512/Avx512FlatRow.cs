using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs.Decoding;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Panels;

namespace KQuant.Matmul.Rows.Avx512;

/// <summary>
/// The product of consecutive weight rows of a 32-wide codec with one to eight activation rows, on wire bytes. Four blocks are unpacked at a
/// time, a block in every 128-bit part of a vector, and the scales of sixteen are read together. An activation row sums in sixteen lanes of
/// its own and in the same order however many there are beside it.
/// </summary>
internal static unsafe class Avx512FlatRow<TFormat, TCodes>
    where TFormat : struct, IAvx512FlatRowFormat<TCodes>
    where TCodes : struct
{
    private const int Vector = 64;

    /// <summary>Blocks whose scales are read together, and blocks that are unpacked together.</summary>
    private const int Group = 16, Part = 4;

    private const int CacheLine = 64;

    /// <summary>How far in front of what is being multiplied weights are fetched.</summary>
    private const int Ahead = 8192;

    /// <summary>Bytes that follow the parts of a group: scales and, if there are minima, scales times sums.</summary>
    private static int FactorBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TFormat.HasMin ? 2 * Vector : Vector;
    }

    /// <summary>Bytes of an arranged activation row.</summary>
    public static nint GetActivationBytes(int blocks) => (nint)((blocks + Group - 1) / Group) * ((Group / Part * TFormat.PartBytes) + FactorBytes);

    /// <summary>Multiplies.</summary>
    /// <param name="weights">Wire bytes.</param>
    /// <param name="rowBytes">Bytes from weight row to weight row.</param>
    /// <param name="weightRows">Weight rows.</param>
    /// <param name="blocks">Blocks of a weight row.</param>
    /// <param name="x">Arranged activations.</param>
    /// <param name="rows">Activation rows, 1 to 8.</param>
    /// <param name="outputs">For each activation row, where its outputs go.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(byte* weights, nint rowBytes, int weightRows, int blocks, byte* x, int rows, float** outputs)
    {
        switch (rows)
        {
            case 1: Multiply<Rows1>(weights, rowBytes, weightRows, blocks, x, outputs); break;
            case 2: Multiply<Rows2>(weights, rowBytes, weightRows, blocks, x, outputs); break;
            case 3: Multiply<Rows3>(weights, rowBytes, weightRows, blocks, x, outputs); break;
            case 4: Multiply<Rows4>(weights, rowBytes, weightRows, blocks, x, outputs); break;
            case 5: Multiply<Rows5>(weights, rowBytes, weightRows, blocks, x, outputs); break;
            case 6: Multiply<Rows6>(weights, rowBytes, weightRows, blocks, x, outputs); break;
            case 7: Multiply<Rows7>(weights, rowBytes, weightRows, blocks, x, outputs); break;
            default: Multiply<Rows8>(weights, rowBytes, weightRows, blocks, x, outputs); break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply<TRows>(byte* weights, nint rowBytes, int weightRows, int blocks, byte* x, float** outputs)
        where TRows : struct, ITileRows
    {
        int groupBytes = Group * TFormat.BlockBytes;
        int partBytes = TFormat.PartBytes;
        byte* tail = stackalloc byte[groupBytes];
        float* scales = stackalloc float[TRows.Count * Group];
        float* mins = stackalloc float[TRows.Count * Group];
        Vector512<byte> order = TFormat.Order, bits = TFormat.HighOrder;
        for (int n = 0; n < weightRows; n++)
        {
            Vector512<float> y0 = default, y1 = default, y2 = default, y3 = default, y4 = default, y5 = default, y6 = default, y7 = default;
            byte* block = weights + (n * rowBytes);
            byte* codes = x;
            for (int b = 0; b < blocks; b += Group)
            {
                if (b + Group > blocks)
                {
                    // The missing blocks are zeros; nothing behind the row may be read.
                    int bytes = (blocks - b) * TFormat.BlockBytes;
                    Unsafe.InitBlockUnaligned(tail, 0, (uint)groupBytes);
                    Unsafe.CopyBlockUnaligned(tail, block, (uint)bytes);
                    block = tail;
                }

                byte* factors = codes + (TRows.Count * Group / Part * partBytes);
                Vector512<uint> read = ReadFactors(block);
                Vector512<float> d = Binary16.ToSingle(read);
                for (int r = 0; r < TRows.Count; r++, factors += FactorBytes)
                {
                    (d * Vector512.Load((float*)factors)).Store(scales + (r * Group));
                    if (TFormat.HasMin)
                    {
                        Vector512<float> sum = b == 0 ? Vector512<float>.Zero : Vector512.Load(mins + (r * Group));
                        Vector512<float> m = Binary16.ToSingle(read >>> 16);
                        Avx512F.FusedMultiplyAdd(m, Vector512.Load((float*)(factors + Vector)), sum).Store(mins + (r * Group));
                    }
                }

                Vector512<int> lanes = TFormat.ScaleOrder;
                for (int part = 0; part < Group / Part; part++)
                {
                    for (int i = 0; i < Part * TFormat.BlockBytes; i += CacheLine)
                    {
                        Sse.Prefetch0(block + Ahead + i);
                    }

                    TCodes unpacked = TFormat.Unpack(block, order, bits);
                    y0 = TFormat.Add(y0, unpacked, codes, Vector512.Load(scales), lanes);
                    if (TRows.Count > 1) y1 = TFormat.Add(y1, unpacked, codes + partBytes, Vector512.Load(scales + Group), lanes);
                    if (TRows.Count > 2) y2 = TFormat.Add(y2, unpacked, codes + (2 * partBytes), Vector512.Load(scales + (2 * Group)), lanes);
                    if (TRows.Count > 3) y3 = TFormat.Add(y3, unpacked, codes + (3 * partBytes), Vector512.Load(scales + (3 * Group)), lanes);
                    if (TRows.Count > 4) y4 = TFormat.Add(y4, unpacked, codes + (4 * partBytes), Vector512.Load(scales + (4 * Group)), lanes);
                    if (TRows.Count > 5) y5 = TFormat.Add(y5, unpacked, codes + (5 * partBytes), Vector512.Load(scales + (5 * Group)), lanes);
                    if (TRows.Count > 6) y6 = TFormat.Add(y6, unpacked, codes + (6 * partBytes), Vector512.Load(scales + (6 * Group)), lanes);
                    if (TRows.Count > 7) y7 = TFormat.Add(y7, unpacked, codes + (7 * partBytes), Vector512.Load(scales + (7 * Group)), lanes);
                    block += Part * TFormat.BlockBytes;
                    codes += TRows.Count * partBytes;
                    lanes += Vector512.Create(Part);
                }

                codes = factors;
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

    /// <summary>The first four bytes of sixteen blocks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> ReadFactors(byte* blocks)
    {
        int bytes = TFormat.BlockBytes;
        Vector512<uint> words = Words(blocks).ToVector256Unsafe().ToVector512Unsafe();
        words = Avx512F.InsertVector128(words, Words(blocks + (4 * bytes)), 1);
        words = Avx512F.InsertVector128(words, Words(blocks + (8 * bytes)), 2);
        return Avx512F.InsertVector128(words, Words(blocks + (12 * bytes)), 3);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector128<uint> Words(byte* block) => Vector128.Create(
            *(uint*)block, *(uint*)(block + TFormat.BlockBytes), *(uint*)(block + (2 * TFormat.BlockBytes)), *(uint*)(block + (3 * TFormat.BlockBytes)));
    }

    /// <summary>Arranges one activation row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Arrange(in ActivationView source, nint from, int row, int rows, byte* x)
    {
        sbyte* codes = source.RowCodes(from);
        short* sums = source.RowSums(from);
        float* scales = source.RowScales(from);
        int blocks = 8 * source.Units;
        for (int b = 0; b < blocks; b += Group)
        {
            int count = Math.Min(Group, blocks - b);
            for (int part = 0; part < count / Part; part++, codes += Part * 32)
            {
                TFormat.ArrangePart(codes, x + (((part * rows) + row) * TFormat.PartBytes));
            }

            // Parts that are missing meet zero weights and a zero scale, whatever they hold.
            x += rows * Group / Part * TFormat.PartBytes;
            float* factors = (float*)(x + (row * FactorBytes));
            Unsafe.InitBlockUnaligned(factors, 0, (uint)FactorBytes);
            for (int i = 0; i < count; i++)
            {
                factors[i] = scales[b + i];
                if (TFormat.HasMin)
                {
                    factors[Group + i] = scales[b + i] * sums[b + i];
                }
            }

            x += rows * FactorBytes;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Total(Vector512<float> y, float* mins) => Vector512.Sum(TFormat.HasMin ? y + Vector512.Load(mins) : y);
}
