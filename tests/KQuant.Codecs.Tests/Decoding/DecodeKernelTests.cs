using System.Runtime.InteropServices;
using KQuant.Codecs.Decoding;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Decoding;

/// <summary>Every decoder in the table gives the bits of the scalar one and touches no byte that is not its own.</summary>
public unsafe class DecodeKernelTests
{
    /// <summary>
    /// Numbers whose scale makes a difference: zeros, subnormals, the smallest and largest normal ones, infinities, NaNs.
    /// </summary>
    private static readonly ushort[] NotableHalves =
    [
        0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x8400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF,
        0x7C00, 0xFC00, 0x7C01, 0xFC01, 0x7E00, 0xFE00, 0x7FFF, 0xFFFF,
    ];

    private static IEnumerable<TestCaseData> Kernels =>
        from kernel in DecodeKernels.All
        where kernel.IsSupported && kernel.Codec.Planes.Length == 1
        select new TestCaseData(kernel).SetArgDisplayNames(kernel.ToString());

    [TestCaseSource(nameof(Kernels))]
    public void AgreesWithScalarInGuardedMemory(object kernelObject)
    {
        DecodeKernel kernel = Supported(kernelObject);
        if (!GuardedBuffer.IsSupported)
        {
            Assert.Ignore("No guard pages on this operating system.");
        }

        var random = new Random(20260101 + kernel.Codec.Index);
        (bool AtEnd, int Distance)[] places = [(true, 0), (false, 0), (true, 1), (false, 3)];
        int run = 0;
        foreach (int blocks in (int[])[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33, 64])
        {
            foreach (Action<byte[]> scales in (Action<byte[]>[])[_ => { }, MakeScalesFinite, MakeScalesNotable])
            {
                byte[] source = RandomBlocks(kernel.Codec, blocks, random);
                scales(source);
                float[] expected = DecodeScalar(kernel.Codec, source);

                // Against the page behind, where a wide load or store of the last block would end, and in one of the other places.
                foreach ((bool atEnd, int distance) in new[] { places[0], places[1 + (run++ % 3)] })
                {
                    using var from = new GuardedBuffer(source.Length, atEnd, distance);
                    using var to = new GuardedBuffer(4 * expected.Length, atEnd, distance);
                    source.CopyTo(from.Span);
                    kernel.Run(from.Start, (float*)to.Start, blocks);
                    AssertSame(MemoryMarshal.Cast<byte, float>(to.Span), expected, $"{kernel}, {blocks} blocks, distance {distance}");
                    Assert.That(from.Span.SequenceEqual(source), "the source was written");
                }
            }
        }

        void MakeScalesFinite(byte[] source) => SetScales(kernel.Codec, source, () =>
        {
            ushort bits = (ushort)random.Next(0x10000);
            return (bits & 0x7C00) == 0x7C00 ? (ushort)(bits ^ 0x4000) : bits;
        });

        void MakeScalesNotable(byte[] source) =>
            SetScales(kernel.Codec, source, () => NotableHalves[random.Next(NotableHalves.Length)]);
    }

    [TestCaseSource(nameof(Kernels))]
    public void AgreesWithScalarForAllScales(object kernelObject)
    {
        DecodeKernel kernel = Supported(kernelObject);

        // In order, so that most runs hold no infinity or NaN and a kernel has no reason to take a way of its own for them. A K-quant block
        // is large and its scale one of many factors: every fourth run will do.
        const int Run = 64;
        int step = kernel.Codec.WeightsPerBlock > 32 ? 4 * Run : Run;
        var random = new Random(20260202 + kernel.Codec.Index);
        for (int first = 0; first < 0x10000; first += step)
        {
            ushort next = (ushort)first;
            byte[] source = RandomBlocks(kernel.Codec, Run, random);
            SetScales(kernel.Codec, source, () => next++);
            float[] expected = DecodeScalar(kernel.Codec, source);
            var actual = new float[expected.Length];
            fixed (byte* from = source)
            fixed (float* to = actual)
            {
                kernel.Run(from, to, Run);
            }

            AssertSame(actual, expected, $"{kernel}, scales from {first:X4}");
        }
    }

    [TestCaseSource(nameof(Kernels))]
    public void DecodesFixturesAsGgml(object kernelObject)
    {
        DecodeKernel kernel = Supported(kernelObject);
        QuantCodec codec = kernel.Codec;
        if (!codec.IsQuantized)
        {
            Assert.Pass("There is no fixture of a pass-through format; every value is tested against scalar.");
        }

        FixtureTensors fixture = FixtureTensors.Load(kernel.Codec);
        foreach ((string wire, string floats) in ((string, string)[])[("w", "deq"), ("w_im", "deq_im")])
        {
            float[] expected = fixture.Floats(floats);
            var actual = new float[expected.Length];
            fixed (byte* from = fixture.Bytes(wire, codec.GetByteCount(expected.Length)))
            fixed (float* to = actual)
            {
                kernel.Run(from, to, expected.Length / codec.WeightsPerBlock);
            }

            AssertSame(actual, expected, $"{kernel}, {wire}");
        }
    }

    [Test]
    public void EveryFormatHasEveryTier()
    {
        KernelTier[] tiers = [KernelTier.Scalar, KernelTier.Portable, KernelTier.Neon, KernelTier.Avx2, KernelTier.Avx512];
        Assert.Multiple(() =>
        {
            foreach (QuantCodec codec in QuantCodec.All)
            {
                // Widening 16 bits is the same few instructions in portable vectors and in NEON; a copy of float32 has one implementation, and so
                // has a codec that nobody made faster yet. What is on one tier is on all.
                KernelTier[] found = [.. from kernel in DecodeKernels.All where kernel.Codec == codec select kernel.Tier];
                Assert.That(
                    found,
                    found.Length == 1 ? Is.EqualTo([KernelTier.Scalar])
                        : Is.EquivalentTo(codec.IsQuantized ? tiers : tiers.Where(tier => tier != KernelTier.Neon)),
                    codec.Name);
            }

            Assert.That(DecodeKernels.All.Count(kernel => kernel.Tier == KernelTier.Avx512), Is.GreaterThanOrEqualTo(12));
        });
    }

    [Test]
    public void BestIsTheHighestSupportedTierBelowTheCap()
    {
        Assert.Multiple(() =>
        {
            foreach (QuantCodec codec in QuantCodec.All)
            {
                foreach (KernelTier cap in KernelTiers.All)
                {
                    DecodeKernel best = DecodeKernels.Best(codec, cap);
                    Assert.That(best.Codec, Is.SameAs(codec));
                    Assert.That(best.IsSupported, $"{best}");
                    Assert.That(KernelTiers.Allows(cap, best.Tier), $"{best}");
                    Assert.That(
                        DecodeKernels.All.Where(k => k.Codec == codec && k.IsSupported && KernelTiers.Allows(cap, k.Tier)).Max(k => k.Tier),
                        Is.EqualTo(best.Tier),
                        $"{codec} capped at {cap}");
                }
            }
        });
    }

    [Test]
    public void CodecsUseTheBestKernelUnderTheCapOfTheProcess()
    {
        Assert.Multiple(() =>
        {
            foreach (QuantCodec codec in QuantCodec.All)
            {
                Assert.That(codec.DecodeTier, Is.EqualTo(DecodeKernels.Best(codec, KernelTiers.Max).Tier), codec.Name);
            }
        });
    }

    /// <summary>Test sources must be public and the kernel type is not.</summary>
    private static DecodeKernel Supported(object kernelObject)
    {
        var kernel = (DecodeKernel)kernelObject;
        if (!kernel.IsSupported)
        {
            Assert.Ignore($"This machine, as configured, has no {kernel.Tier}.");
        }

        return kernel;
    }

    private static byte[] RandomBlocks(QuantCodec codec, int blocks, Random random)
    {
        var bytes = new byte[blocks * codec.BytesPerBlock];
        random.NextBytes(bytes);
        return bytes;
    }

    private static void SetScales(QuantCodec codec, byte[] blocks, Func<ushort> next)
    {
        int size = codec.BytesPerBlock;
        ReadOnlySpan<int> offsets = codec.IsQuantized ? codec.ScaleOffsets : [0];
        for (int b = 0; b < blocks.Length && offsets.Length > 0; b += size)
        {
            ushort first = next();
            BitConverter.TryWriteBytes(blocks.AsSpan(b + offsets[0]), first);
            if (offsets.Length > 1)
            {
                // Not the same as the first, and finite together with it.
                BitConverter.TryWriteBytes(blocks.AsSpan(b + offsets[1]), (ushort)(first ^ 0x81FF));
            }
        }
    }

    private static float[] DecodeScalar(QuantCodec codec, byte[] source)
    {
        int blocks = source.Length / codec.BytesPerBlock;
        var weights = new float[blocks * codec.WeightsPerBlock];
        fixed (byte* from = source)
        fixed (float* to = weights)
        {
            DecodeKernels.Best(codec, KernelTier.Scalar).Run(from, to, blocks);
        }

        return weights;
    }

    private static void AssertSame(ReadOnlySpan<float> actual, ReadOnlySpan<float> expected, string what)
    {
        for (int i = 0; i < expected.Length; i++)
        {
            if (BitConverter.SingleToInt32Bits(actual[i]) != BitConverter.SingleToInt32Bits(expected[i])
                && !(float.IsNaN(actual[i]) && float.IsNaN(expected[i])))
            {
                Assert.Fail($"{what}: weight {i} is {actual[i]:R}, scalar says {expected[i]:R}.");
            }
        }
    }
}
