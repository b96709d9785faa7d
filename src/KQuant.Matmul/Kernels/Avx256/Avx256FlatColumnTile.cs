using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs.Decoding;

namespace KQuant.Matmul.Kernels.Avx256;

/// <summary>
/// The product of up to six activation rows with two panels of eight weight rows in blocks of 32, in canonical order, where codes and factors
/// are taken from columns: for so few rows that writing panels down is not worth while.
/// </summary>
internal static unsafe class Avx256FlatColumnTile<TLayout, TDot>
    where TLayout : struct, IFlatLayout
    where TDot : struct, IAvx256Dot
{
    private const int Vector = Avx256Columns.Bytes;

    /// <summary>Blocks from one fetch of other weights to the next: as few as needed to get through all of them.</summary>
    private static int FetchEvery
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TLayout.Bits == 8 ? 1 : 2;
    }

    /// <summary>Columns of codes whose products are added up before the sum is ended.</summary>
    private static int Columns
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TDot.Steps(TLayout.Bits) / 2;
    }

    private static int Offset
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Avx256FlatTile<TLayout, TDot>.Offset;
    }

    /// <summary>Multiplies one to six activation rows with two panels.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(in TileTask task)
    {
        // Codes that are put together from two places leave registers for five activation rows.
        int most = TLayout.Bits == 5 ? 5 : 6, turns = (task.Rows + most - 1) / most;
        for (int turn = 0; turn < turns; turn++)
        {
            int first = turn * task.Rows / turns;
            switch (((turn + 1) * task.Rows / turns) - first)
            {
                case 1: Multiply<Rows1>(task, first); break;
                case 2: Multiply<Rows2>(task, first); break;
                case 3: Multiply<Rows3>(task, first); break;
                case 4: Multiply<Rows4>(task, first); break;
                case 5: Multiply<Rows5>(task, first); break;
                default: Multiply<Rows6>(task, first); break;
            }
        }
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply<TRows>(in TileTask task, int firstRow)
        where TRows : struct, ITileRows
    {
        nint row = 4 * task.Rows, high = 4 * row;
        int blocks = task.Blocks, pieces = firstRow == 0 ? task.FetchPieces : 0;
        byte* columns = task.Codes, x = task.Activations + (4 * firstRow);
        float** outputs = task.Outputs + firstRow;
        nint next = task.PanelStride, first = task.FirstOutput;
        WeightFetch fetch = task.Fetch;
        Sums memory;
        float* sums = memory.Lanes;
        for (int r = 0; r < TRows.Count; r++)
        {
            Copy(outputs[r] + first, sums + (16 * r));
        }

        for (int block = 0; block < blocks; block++, columns += 8 * TLayout.BlockBytes)
        {
            if (block % FetchEvery == 0 && pieces-- > 0)
            {
                fetch.Fetch();
            }

            byte* scales = x + (8 * row), terms = scales + row, codes = columns + (8 * TLayout.CodeByte);
            Vector256<uint> fifthA = default, fifthB = default;
            if (TLayout.Bits == 5)
            {
                fifthA = Vector256.Load((uint*)(columns + (8 * TLayout.FifthByte)));
                fifthB = Vector256.Load((uint*)(columns + next + (8 * TLayout.FifthByte)));
            }

            Vector256<int> i0a = Start(terms), i0b = i0a;
            Vector256<int> i1a = TRows.Count > 1 ? Start(terms + 4) : default, i1b = i1a;
            Vector256<int> i2a = TRows.Count > 2 ? Start(terms + 8) : default, i2b = i2a;
            Vector256<int> i3a = TRows.Count > 3 ? Start(terms + 12) : default, i3b = i3a;
            Vector256<int> i4a = TRows.Count > 4 ? Start(terms + 16) : default, i4b = i4a;
            Vector256<int> i5a = TRows.Count > 5 ? Start(terms + 20) : default, i5b = i5a;
            for (int part = 0; part < 4; part += Columns)
            {
                Vector256<int> s0a = TDot.Begin(i0a), s0b = TDot.Begin(i0b);
                Vector256<int> s1a = TDot.Begin(i1a), s1b = TDot.Begin(i1b);
                Vector256<int> s2a = TDot.Begin(i2a), s2b = TDot.Begin(i2b);
                Vector256<int> s3a = TDot.Begin(i3a), s3b = TDot.Begin(i3b);
                Vector256<int> s4a = TDot.Begin(i4a), s4b = TDot.Begin(i4b);
                Vector256<int> s5a = TDot.Begin(i5a), s5b = TDot.Begin(i5b);
                for (int column = 0; column < Columns; column++)
                {
                    Vector256<byte> a = First(codes, fifthA), b = First(codes + next, fifthB);
                    Vector256<sbyte> quad;
                    quad = Quad(x); s0a = TDot.Add(s0a, a, quad); s0b = TDot.Add(s0b, b, quad);
                    if (TRows.Count > 1) { quad = Quad(x + 4); s1a = TDot.Add(s1a, a, quad); s1b = TDot.Add(s1b, b, quad); }
                    if (TRows.Count > 2) { quad = Quad(x + 8); s2a = TDot.Add(s2a, a, quad); s2b = TDot.Add(s2b, b, quad); }
                    if (TRows.Count > 3) { quad = Quad(x + 12); s3a = TDot.Add(s3a, a, quad); s3b = TDot.Add(s3b, b, quad); }
                    if (TRows.Count > 4) { quad = Quad(x + 16); s4a = TDot.Add(s4a, a, quad); s4b = TDot.Add(s4b, b, quad); }
                    if (TRows.Count > 5) { quad = Quad(x + 20); s5a = TDot.Add(s5a, a, quad); s5b = TDot.Add(s5b, b, quad); }
                    a = Second(codes, fifthA);
                    b = Second(codes + next, fifthB);
                    quad = Quad(x + high); s0a = TDot.Add(s0a, a, quad); s0b = TDot.Add(s0b, b, quad);
                    if (TRows.Count > 1) { quad = Quad(x + high + 4); s1a = TDot.Add(s1a, a, quad); s1b = TDot.Add(s1b, b, quad); }
                    if (TRows.Count > 2) { quad = Quad(x + high + 8); s2a = TDot.Add(s2a, a, quad); s2b = TDot.Add(s2b, b, quad); }
                    if (TRows.Count > 3) { quad = Quad(x + high + 12); s3a = TDot.Add(s3a, a, quad); s3b = TDot.Add(s3b, b, quad); }
                    if (TRows.Count > 4) { quad = Quad(x + high + 16); s4a = TDot.Add(s4a, a, quad); s4b = TDot.Add(s4b, b, quad); }
                    if (TRows.Count > 5) { quad = Quad(x + high + 20); s5a = TDot.Add(s5a, a, quad); s5b = TDot.Add(s5b, b, quad); }
                    codes += Vector;
                    x += row;
                    if (TLayout.Bits == 5)
                    {
                        fifthA >>>= 1;
                        fifthB >>>= 1;
                    }
                }

                i0a = TDot.End(i0a, s0a); i0b = TDot.End(i0b, s0b);
                if (TRows.Count > 1) { i1a = TDot.End(i1a, s1a); i1b = TDot.End(i1b, s1b); }
                if (TRows.Count > 2) { i2a = TDot.End(i2a, s2a); i2b = TDot.End(i2b, s2b); }
                if (TRows.Count > 3) { i3a = TDot.End(i3a, s3a); i3b = TDot.End(i3b, s3b); }
                if (TRows.Count > 4) { i4a = TDot.End(i4a, s4a); i4b = TDot.End(i4b, s4b); }
                if (TRows.Count > 5) { i5a = TDot.End(i5a, s5a); i5b = TDot.End(i5b, s5b); }
            }

            Factors(columns, out Vector256<float> dA, out Vector256<float> mA);
            Factors(columns + next, out Vector256<float> dB, out Vector256<float> mB);
            Finish(scales, terms, i0a, i0b, dA, dB, mA, mB, sums);
            if (TRows.Count > 1) { Finish(scales + 4, terms + 4, i1a, i1b, dA, dB, mA, mB, sums + 16); }
            if (TRows.Count > 2) { Finish(scales + 8, terms + 8, i2a, i2b, dA, dB, mA, mB, sums + 32); }
            if (TRows.Count > 3) { Finish(scales + 12, terms + 12, i3a, i3b, dA, dB, mA, mB, sums + 48); }
            if (TRows.Count > 4) { Finish(scales + 16, terms + 16, i4a, i4b, dA, dB, mA, mB, sums + 64); }
            if (TRows.Count > 5) { Finish(scales + 20, terms + 20, i5a, i5b, dA, dB, mA, mB, sums + 80); }
            x = terms + row;
        }

        for (int r = 0; r < TRows.Count; r++)
        {
            Copy(sums + (16 * r), outputs[r] + first);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Copy(float* source, float* destination)
    {
        Vector256.Load(source).Store(destination);
        Vector256.Load(source + 8).Store(destination + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<sbyte> Quad(byte* x) => Vector256.Create(*(int*)x).AsSByte();

    /// <summary>What the offset of the codes adds to every dot product, negated.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Start(byte* term) => Offset == 0 ? default : Vector256.Create(*(int*)term);

    /// <summary>The codes of a column that belong to the first half of the block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> First(byte* column, Vector256<uint> fifth) => TLayout.Bits switch
    {
        8 => Bytes(column),
        5 => TDot.Pick(Vector256.Load(column), 0, TDot.Picker(0, 0, 4)) | Fifth(fifth << 4),
        _ => TDot.Pick(Vector256.Load(column), 0, TDot.Picker(0, 0, 4)),
    };

    /// <summary>Those that belong to the second half, or for bytes the column that does.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Second(byte* column, Vector256<uint> fifth) => TLayout.Bits switch
    {
        8 => Bytes(column + (4 * Vector)),
        5 => TDot.Pick(Vector256.Load(column), 4, TDot.Picker(4, 0, 4)) | Fifth(fifth),
        _ => TDot.Pick(Vector256.Load(column), 4, TDot.Picker(4, 0, 4)),
    };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Bytes(byte* column) =>
        TDot.TakesSignedCodes ? Vector256.Load(column) : Vector256.Load(column) ^ Vector256.Create((byte)0x80);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Fifth(Vector256<uint> bits) => bits.AsByte() & Vector256.Create((byte)16);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Factors(byte* columns, out Vector256<float> d, out Vector256<float> m)
    {
        Vector256<uint> halves = TLayout.HasMin ? Vector256.Load((uint*)columns) : Avx2.ConvertToVector256Int32((ushort*)columns).AsUInt32();
        d = Binary16.ToSingle(halves);
        m = TLayout.HasMin ? Binary16.ToSingle(halves >>> 16) : default;
    }

    /// <summary>Adds a block of both panels to an activation row's sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(
        byte* scale, byte* term, Vector256<int> a, Vector256<int> b, Vector256<float> dA, Vector256<float> dB, Vector256<float> mA, Vector256<float> mB, float* sums)
    {
        Vector256<float> scales = Vector256.Create(*(float*)scale), terms = Vector256.Create(*(float*)term);
        Add(a, dA * scales, mA, terms, sums);
        Add(b, dB * scales, mB, terms, sums + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(Vector256<int> dot, Vector256<float> d, Vector256<float> m, Vector256<float> term, float* sum)
    {
        Vector256<float> y = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(dot), d, Vector256.Load(sum));
        (TLayout.HasMin ? Vector256.FusedMultiplyAdd(m, term, y) : y).Store(sum);
    }

    private struct Sums
    {
        public fixed float Lanes[6 * 2 * 8];
    }
}
