using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Codecs.Rotations;

/// <summary>Sixteen lanes, which machines with narrower vectors have as several of theirs.</summary>
internal sealed unsafe class VectorRotationKernel : RotationKernel
{
    private const int Lanes = 16;
    private const int MostRuns = 28;

    private static readonly ScalarRotationKernel Scalar = new();

    public override string Name => "Vector";

    public override bool IsSupported => Vector128.IsHardwareAccelerated;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Butterflies(float* values, int runs, int length)
    {
        if (length < Lanes)
        {
            Scalar.Butterflies(values, runs, length);
            return;
        }

        int count = runs * length;
        for (int i = 0; i < count; i += Lanes)
        {
            Vector128<float> a = InFours(Vector128.Load(values + i)), b = InFours(Vector128.Load(values + i + 4));
            Vector128<float> c = InFours(Vector128.Load(values + i + 8)), d = InFours(Vector128.Load(values + i + 12));
            (a, b) = (a + b, a - b);
            (c, d) = (c + d, c - d);
            (a + c).Store(values + i);
            (b + d).Store(values + i + 4);
            (a - c).Store(values + i + 8);
            (b - d).Store(values + i + 12);
        }

        for (int half = Lanes; half < length; half *= 2)
        {
            for (int start = 0; start < count; start += 2 * half)
            {
                for (float* at = values + start; at < values + start + half; at += Lanes)
                {
                    Vector512<float> first = Vector512.Load(at), second = Vector512.Load(at + half);
                    (first + second).Store(at);
                    (first - second).Store(at + half);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Mix(float* values, sbyte* matrix, int runs, int length)
    {
        if (length % 4 != 0)
        {
            Scalar.Mix(values, matrix, runs, length);
            return;
        }

        Vector128<float>* columns = stackalloc Vector128<float>[MostRuns];
        for (int i = 0; i < length; i += 4)
        {
            for (int run = 0; run < runs; run++)
            {
                columns[run] = Vector128.Load(values + (run * length) + i);
            }

            for (int row = 0; row < runs; row++)
            {
                Vector128<float> sum = default;
                sbyte* signs = matrix + (row * runs);
                for (int run = 0; run < runs; run++)
                {
                    sum += columns[run] * Vector128.Create((float)signs[run]);
                }

                sum.Store(values + (row * length) + i);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Combine(ReadOnlySpan<float> matrix, ReadOnlySpan<float> weights, Span<float> result)
    {
        int columns = result.Length, whole = columns / Lanes * Lanes;
        fixed (float* rows = matrix, factors = weights, sums = result)
        {
            for (int i = 0; i < whole; i += 4 * Lanes)
            {
                int vectors = Math.Min(4, (whole - i) / Lanes);
                Vector512<float> a = default, b = default, c = default, d = default;
                float* at = rows + i;
                for (int row = 0; row < weights.Length; row++, at += columns)
                {
                    Vector512<float> weight = Vector512.Create(factors[row]);
                    a += weight * Vector512.Load(at);
                    b = vectors > 1 ? b + (weight * Vector512.Load(at + Lanes)) : b;
                    c = vectors > 2 ? c + (weight * Vector512.Load(at + (2 * Lanes))) : c;
                    d = vectors > 3 ? d + (weight * Vector512.Load(at + (3 * Lanes))) : d;
                }

                Store(a, sums + i, vectors > 0);
                Store(b, sums + i + Lanes, vectors > 1);
                Store(c, sums + i + (2 * Lanes), vectors > 2);
                Store(d, sums + i + (3 * Lanes), vectors > 3);
            }

            for (int i = whole; i < columns; i++)
            {
                float sum = 0;
                for (int row = 0; row < weights.Length; row++)
                {
                    sum += factors[row] * rows[(row * columns) + i];
                }

                sums[i] = sum;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Assign(ReadOnlySpan<float> values, ReadOnlySpan<float> boundaries, Span<byte> codes)
    {
        ref float source = ref MemoryMarshal.GetReference(values);
        ref byte target = ref MemoryMarshal.GetReference(codes[..values.Length]);
        int i = 0;
        for (; i <= values.Length - Lanes; i += Lanes)
        {
            Vector512<float> some = Vector512.LoadUnsafe(ref source, (nuint)i);
            Vector512<int> counts = default;
            foreach (float boundary in boundaries)
            {
                counts -= Vector512.GreaterThanOrEqual(some, Vector512.Create(boundary)).AsInt32();
            }

            Vector256<short> shorts = Vector256.Narrow(counts.GetLower(), counts.GetUpper());
            Vector128.Narrow(shorts.GetLower().AsUInt16(), shorts.GetUpper().AsUInt16()).StoreUnsafe(ref target, (nuint)i);
        }

        Scalar.Assign(values[i..], boundaries, codes[i..]);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void LookUp(ReadOnlySpan<byte> codes, ReadOnlySpan<float> centroids, float factor, Span<float> values)
    {
        int i = 0;
        if (centroids.Length <= Lanes && (Avx512F.IsSupported || Avx2.IsSupported))
        {
            Span<float> scaled = stackalloc float[Lanes];
            for (int level = 0; level < Lanes; level++)
            {
                scaled[level] = centroids[level % centroids.Length] * factor;
            }

            ref byte source = ref MemoryMarshal.GetReference(codes);
            ref float target = ref MemoryMarshal.GetReference(values[..codes.Length]);
            Vector512<float> table = Vector512.LoadUnsafe(ref MemoryMarshal.GetReference(scaled));
            for (; i <= codes.Length - Lanes; i += Lanes)
            {
                Vector128<byte> some = Vector128.LoadUnsafe(ref source, (nuint)i);
                if (Avx512F.IsSupported)
                {
                    Avx512F.PermuteVar16x32(table, Avx512F.ConvertToVector512Int32(some)).StoreUnsafe(ref target, (nuint)i);
                }
                else
                {
                    LookUp(table, Avx2.ConvertToVector256Int32(some)).StoreUnsafe(ref target, (nuint)i);
                    LookUp(table, Avx2.ConvertToVector256Int32(Vector128.Shuffle(some, Vector128.Create((byte)8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15))))
                        .StoreUnsafe(ref target, (nuint)i + 8);
                }
            }
        }

        Scalar.LookUp(codes[i..], centroids, factor, values[i..]);
    }

    /// <summary>Eight levels of sixteen, of which either half is a register.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> LookUp(Vector512<float> table, Vector256<int> codes)
    {
        Vector256<float> low = Avx2.PermuteVar8x32(table.GetLower(), codes), high = Avx2.PermuteVar8x32(table.GetUpper(), codes);
        return Vector256.ConditionalSelect(Vector256.GreaterThan(codes, Vector256.Create(7)).AsSingle(), high, low);
    }

    /// <summary>The first two steps: sums and differences of neighbours, and of values two apart.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> InFours(Vector128<float> x)
    {
        Vector128<float> odd = Vector128.Create(0u, 0x80000000, 0, 0x80000000).AsSingle();
        Vector128<float> last = Vector128.Create(0u, 0, 0x80000000, 0x80000000).AsSingle();
        x = Vector128.Shuffle(x, Vector128.Create(1, 0, 3, 2)) + (x ^ odd);
        return Vector128.Shuffle(x, Vector128.Create(2, 3, 0, 1)) + (x ^ last);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector512<float> value, float* target, bool isThere)
    {
        if (isThere)
        {
            value.Store(target);
        }
    }
}
