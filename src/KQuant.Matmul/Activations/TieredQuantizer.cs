using System.Runtime.CompilerServices;
using KQuant.Codecs;

namespace KQuant.Matmul.Activations;

/// <summary>Rounds a row of activations to int8 with SIMD: the bits of <see cref="ScalarQuantizer"/>.</summary>
internal static unsafe class TieredQuantizer<TTier>
    where TTier : struct, IQuantizerTier
{
    /// <inheritdoc cref="ScalarQuantizer.Quantize"/>
    public static void Quantize(float* x, int count, in ActivationView view, nint row)
    {
        int units = view.Units;
        sbyte* codes = view.RowCodes(row);
        float* scales = view.RowScales(row);
        short* sums = view.RowSums(row);
        if (view.Scheme == ActivationScheme.Block256)
        {
            int whole = Math.Min(count / 256, units);
            Blocks256(x, whole, codes, scales, sums);
            float* part = stackalloc float[256];
            for (int u = whole; u < units; u++)
            {
                Pad(x, count, 256 * u, 256, part);
                Blocks256(part, 1, codes + (256 * u), scales + u, sums + (16 * u));
            }
        }
        else
        {
            int whole = Math.Min(count / 32, 8 * units);
            Blocks32(x, whole, codes, scales, sums);
            float* part = stackalloc float[32];
            for (int b = whole; b < 8 * units; b++)
            {
                Pad(x, count, 32 * b, 32, part);
                Blocks32(part, 1, codes + (32 * b), scales + b, sums + b);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Blocks256(float* x, int blocks, sbyte* codes, float* scales, short* sums)
    {
        for (int b = 0; b < blocks; b++, x += 256, codes += 256, sums += 16)
        {
            float factor = ScalarQuantizer.Scale(TTier.Largest(x, 256), out scales[b]);
            if (factor != 0)
            {
                TTier.Round(x, 256, factor, codes);
                TTier.Sum16(codes, sums);
            }
            else
            {
                Unsafe.InitBlockUnaligned(codes, 0, 256);
                Unsafe.InitBlockUnaligned(sums, 0, 16 * sizeof(short));
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Blocks32(float* x, int blocks, sbyte* codes, float* scales, short* sums)
    {
        for (int b = 0; b < blocks; b++, x += 32, codes += 32)
        {
            float factor = ScalarQuantizer.Scale(TTier.Largest(x, 32), out scales[b]);
            if (factor != 0)
            {
                TTier.Round(x, 32, factor, codes);
                sums[b] = TTier.Sum32(codes);
            }
            else
            {
                Unsafe.InitBlockUnaligned(codes, 0, 32);
                sums[b] = 0;
            }
        }
    }

    // The values that there are, then zeros.
    private static void Pad(float* x, int count, int start, int length, float* part)
    {
        for (int i = 0; i < length; i++)
        {
            part[i] = start + i < count ? x[start + i] : 0;
        }
    }
}
