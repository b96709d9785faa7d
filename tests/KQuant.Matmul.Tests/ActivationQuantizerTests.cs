using KQuant.Codecs;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Products;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>Every activation quantizer gives the bits of the scalar one, which does what it says.</summary>
public unsafe class ActivationQuantizerTests
{
    private static IEnumerable<TestCaseData> Quantizers =>
        from quantizer in ActivationQuantizers.All
        where quantizer.Tier != KernelTier.Scalar
        where quantizer.IsSupported
        from scheme in Enum.GetValues<ActivationScheme>()
        select new TestCaseData(quantizer, scheme).SetArgDisplayNames(quantizer.ToString(), scheme.ToString());

    [TestCaseSource(nameof(Quantizers))]
    public void AgreesWithScalar(object quantizerObject, object schemeObject)
    {
        var quantizer = (ActivationQuantizer)quantizerObject;
        var scheme = (ActivationScheme)schemeObject;
        var random = new Random(20260401);
        foreach (int count in (int[])[0, 1, 31, 32, 33, 96, 255, 256, 257, 512, 992, 1024, 1280])
        {
            foreach (Func<int, float> value in Values(random))
            {
                float[] x = [.. Enumerable.Range(0, count).Select(value)];
                int units = Math.Max(1, (count + 255) / 256);
                using Quantized expected = new(scheme, units), actual = new(scheme, units);
                using var source = new GuardedBuffer(4 * count);
                x.CopyTo(new Span<float>(source.Start, count));
                ScalarQuantizer.Quantize((float*)source.Start, count, expected.View, 1);
                quantizer.Quantize((float*)source.Start, count, actual.View, 1);
                Assert.That(actual.Bytes, Is.EqualTo(expected.Bytes).AsCollection, $"{count} values like {string.Join(' ', x.Take(5))}");
            }
        }
    }

    [TestCase(0f, 0f)]
    [TestCase(1e-45f, 0f)]
    [TestCase(3e-37f, 0f)]
    [TestCase(4e-37f, 4e-37f / 127)]
    [TestCase(-2f, 2f / 127)]
    [TestCase(float.MaxValue, float.MaxValue / 127)]
    [TestCase(float.PositiveInfinity, float.NaN)]
    [TestCase(float.NegativeInfinity, float.NaN)]
    [TestCase(float.NaN, float.NaN)]
    public void ScaleOfABlockFollowsItsLargestMagnitude(float largest, float scale)
    {
        using var block = new Quantized(ActivationScheme.Block32, 1);
        float[] x = new float[32];
        x[7] = largest;
        fixed (float* pointer = x)
        {
            ScalarQuantizer.Quantize(pointer, 32, block.View, 1);
        }

        int code = scale is > 0 ? Math.Sign(largest) * 127 : 0;
        Assert.That(BitConverter.SingleToInt32Bits(block.View.RowScales(1)[0]), Is.EqualTo(BitConverter.SingleToInt32Bits(scale)));
        Assert.That((int)block.View.RowCodes(1)[7], Is.EqualTo(code));
        Assert.That((int)block.View.RowSums(1)[0], Is.EqualTo(code));
    }

    /// <summary>Ordinary values, ties, blocks of zeros, values around the smallest scale, and some that are no numbers.</summary>
    private static IEnumerable<Func<int, float>> Values(Random random)
    {
        yield return _ => (float)((random.NextDouble() - 0.5) * Math.Pow(2, random.Next(-10, 10)));
        yield return i => i % 32 == 5 ? 127 : random.Next(-126, 126) + 0.5f;
        yield return i => i / 32 % 3 == 0 ? 0 : -1 + (0.01f * (i % 200));
        yield return _ => (float)((random.NextDouble() - 0.5) * 1.6e-36);
        yield return i => i % 300 == 299 ? float.NaN : i % 77 == 76 ? float.NegativeInfinity : random.NextSingle();
        yield return _ => BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue));
    }

    /// <summary>Room for two rows, in memory that ends where it ends.</summary>
    private sealed class Quantized : IDisposable
    {
        private readonly GuardedBuffer _codes, _scales, _sums;

        public Quantized(ActivationScheme scheme, int units)
        {
            View = new ActivationView { Scheme = scheme, Units = units, CodeStride = 256 * units };
            _codes = new GuardedBuffer(2 * 256 * units);
            _scales = new GuardedBuffer(2 * 4 * units * View.ScalesPerUnit);
            _sums = new GuardedBuffer(2 * 2 * units * View.SumsPerUnit);
            ActivationView view = View;
            view.Codes = (sbyte*)_codes.Start;
            view.Scales = (float*)_scales.Start;
            view.Sums = (short*)_sums.Start;
            View = view;
        }

        public ActivationView View { get; }

        public byte[] Bytes => [.. _codes.Span, .. _scales.Span, .. _sums.Span];

        public void Dispose()
        {
            _codes.Dispose();
            _scales.Dispose();
            _sums.Dispose();
        }
    }
}
