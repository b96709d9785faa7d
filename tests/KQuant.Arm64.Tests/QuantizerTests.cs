using System.Runtime.InteropServices;
using KQuant.Arm64.Exports;
using KQuant.Codecs;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Products;

namespace KQuant.Arm64.Tests;

/// <summary>The activation quantizer for NEON gives the bits of the scalar one.</summary>
public unsafe class QuantizerTests : Arm64Fixture
{
    private static IEnumerable<TestCaseData> Cases =>
        from scheme in Enum.GetValues<ActivationScheme>()
        from processor in Processors.Of(KernelTier.Neon)
        select new TestCaseData(scheme, processor).SetArgDisplayNames($"Neon {scheme}", processor);

    [Test]
    public void IsInTheTable() => Assert.That(
        ActivationQuantizers.All.Where(quantizer => quantizer.Tier is KernelTier.Neon or KernelTier.NeonDot), Has.Exactly(1).Items);

    [TestCaseSource(nameof(Cases))]
    public void AgreesWithScalar(object schemeObject, string processor)
    {
        var scheme = (ActivationScheme)schemeObject;
        var random = new Random(20260502);
        foreach (int count in (int[])[0, 1, 31, 32, 33, 96, 255, 256, 257, 512, 992, 1280])
        {
            foreach (Func<int, float> value in Values(random))
            {
                float[] x = [.. Enumerable.Range(0, count).Select(value)];
                var view = new ActivationView { Scheme = scheme, Units = Math.Max(1, (count + 255) / 256) };
                view.CodeStride = 256 * view.Units;
                byte[] codes = new byte[256 * view.Units];
                float[] scales = new float[view.Units * view.ScalesPerUnit];
                short[] sums = new short[view.Units * view.SumsPerUnit];
                fixed (float* source = x)
                fixed (byte* c = codes)
                fixed (float* s = scales)
                fixed (short* t = sums)
                {
                    view.Codes = (sbyte*)c;
                    view.Scales = s;
                    view.Sums = t;
                    ScalarQuantizer.Quantize(source, count, view, 0);
                }

                var request = new Request { Operation = (int)Operation.Quantize };
                (request.Numbers[0], request.Numbers[1], request.Numbers[2]) = (count, view.Units, (int)scheme);
                RequestBuffer actualCodes = RequestBuffer.Output(codes.Length);
                RequestBuffer actualScales = RequestBuffer.Output(4 * scales.Length), actualSums = RequestBuffer.Output(2 * sums.Length);
                Machine(processor).Run(
                    request, RequestBuffer.Input(MemoryMarshal.AsBytes(x.AsSpan()).ToArray()), actualCodes, actualScales, actualSums);
                string what = $"{count} values like {string.Join(' ', x.Take(5))}";
                Assert.That(actualCodes.Bytes, Is.EqualTo(codes).AsCollection, what);
                Assert.That(actualSums.As<short>(), Is.EqualTo(sums).AsCollection, what);
                Same.Bits(actualScales.As<float>(), scales, i => $"{what}, scale {i}");
            }
        }
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
}
