using System.Runtime.InteropServices;
using KQuant.Codecs.Decoding;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Decoding;

/// <summary>16-bit destinations get the float weights, rounded as the scalar conversions round.</summary>
public unsafe class DecodeToHalfTests
{
    private static IEnumerable<TestCaseData> Codecs =>
        from codec in QuantCodec.All select new TestCaseData(codec).SetArgDisplayNames(codec.Name);

    private static IEnumerable<TestCaseData> Kernels =>
        from kernel in RoundKernels.All select new TestCaseData(kernel).SetArgDisplayNames(kernel.ToString());

    [TestCaseSource(nameof(Codecs))]
    public void RoundsEveryWeight(QuantCodec codec)
    {
        if (!GuardedBuffer.IsSupported)
        {
            Assert.Ignore("No guard pages on this operating system.");
        }

        var random = new Random(20260303 + codec.Index);
        foreach (int blocks in (int[])[0, 1, 2, 7, 8, 9, 17, 63, 64, 65, 2047, 2048, 2049])
        {
            using var source = new GuardedBuffer(blocks * codec.BytesPerBlock);
            random.NextBytes(source.Span);
            float[] weights = new float[blocks * codec.WeightsPerBlock];
            codec.Decode(source.Span, weights);

            using var halves = new GuardedBuffer(2 * weights.Length);
            codec.Decode(source.Span, MemoryMarshal.Cast<byte, Half>(halves.Span));
            AssertSame(Bits(halves), weights, weight => BitConverter.HalfToUInt16Bits((Half)weight));

            using var brains = new GuardedBuffer(2 * weights.Length);
            codec.Decode(source.Span, MemoryMarshal.Cast<byte, BFloat16>(brains.Span));
            AssertSame(Bits(brains), weights, weight => ((BFloat16)weight).Bits);
        }
    }

    [TestCaseSource(nameof(Codecs))]
    public void RefusesADestinationOfAnotherLength(QuantCodec codec)
    {
        byte[] source = new byte[2 * codec.BytesPerBlock];
        int weights = 2 * codec.WeightsPerBlock;
        string expected = $"{weights} was expected";
        Assert.Multiple(() =>
        {
            Assert.That(() => codec.Decode(source, new float[weights + 1]), Throws.ArgumentException.With.Message.Contains(expected));
            Assert.That(() => codec.Decode(source, new Half[weights - 1]), Throws.ArgumentException.With.Message.Contains(expected));
            Assert.That(() => codec.Decode(source, new int[weights]), Throws.TypeOf<NotSupportedException>().With.Message.Contains("Int32"));
            Assert.That(() => codec.Decode(source, Array.Empty<BFloat16>()), Throws.ArgumentException.With.Message.Contains(expected));
        });
    }

    [TestCaseSource(nameof(Kernels))]
    public void RoundsToBFloat16AsTheCast(object kernelObject)
    {
        RoundKernel kernel = Supported(kernelObject);

        // Every upper half meets lower halves around the tie and the ends; infinities, NaNs with payloads on either side, subnormals are
        // among them.
        ushort[] lowerHalves = [0, 1, 0x7FFE, 0x7FFF, 0x8000, 0x8001, 0xFFFE, 0xFFFF, 0x1234];
        float[] values = new float[0x10000];
        ushort[] rounded = new ushort[values.Length];
        foreach (ushort lower in lowerHalves)
        {
            for (uint upper = 0; upper < values.Length; upper++)
            {
                values[upper] = BitConverter.UInt32BitsToSingle((upper << 16) | lower);
            }

            fixed (float* from = values)
            fixed (ushort* to = rounded)
            {
                kernel.Run(from, to, values.Length);
            }

            AssertSame(rounded, values, weight => ((BFloat16)weight).Bits);
        }
    }

    [TestCaseSource(nameof(Kernels))]
    public void RoundsAnyCountInGuardedMemory(object kernelObject)
    {
        RoundKernel kernel = Supported(kernelObject);
        if (!GuardedBuffer.IsSupported)
        {
            Assert.Ignore("No guard pages on this operating system.");
        }

        var random = new Random(20260404);
        for (int count = 0; count <= 70; count++)
        {
            using var source = new GuardedBuffer(4 * count, atEnd: count % 2 == 0);
            using var destination = new GuardedBuffer(2 * count, atEnd: count % 3 != 0, distance: count % 5);
            random.NextBytes(source.Span);
            kernel.Run((float*)source.Start, (ushort*)destination.Start, count);
            AssertSame(Bits(destination), MemoryMarshal.Cast<byte, float>(source.Span), weight => ((BFloat16)weight).Bits);
        }
    }

    [Test]
    public void RoundingHasEveryTier() => Assert.That(
        from kernel in RoundKernels.All select kernel.Tier,
        Is.EqualTo([KernelTier.Scalar, KernelTier.Portable, KernelTier.Avx2, KernelTier.Avx512]));

    private static RoundKernel Supported(object kernelObject)
    {
        var kernel = (RoundKernel)kernelObject;
        if (!kernel.IsSupported)
        {
            Assert.Ignore($"This machine, as configured, has no {kernel.Tier}.");
        }

        return kernel;
    }

    private static ReadOnlySpan<ushort> Bits(GuardedBuffer buffer) => MemoryMarshal.Cast<byte, ushort>(buffer.Span);

    private static void AssertSame(ReadOnlySpan<ushort> actual, ReadOnlySpan<float> weights, Func<float, ushort> round)
    {
        Assert.That(actual.Length, Is.EqualTo(weights.Length));
        for (int i = 0; i < weights.Length; i++)
        {
            if (actual[i] != round(weights[i]))
            {
                uint bits = BitConverter.SingleToUInt32Bits(weights[i]);
                Assert.Fail($"weight {i}, {weights[i]:R} ({bits:X8}), became {actual[i]:X4}, not {round(weights[i]):X4}");
            }
        }
    }
}
