using System.Runtime.InteropServices;
using KQuant.Arm64.Exports;
using KQuant.Codecs;
using KQuant.Codecs.Decoding;
using KQuant.TestKit;

namespace KQuant.Arm64.Tests;

/// <summary>Decoders on ARM64 give the bits of the scalar ones on x86-64.</summary>
public unsafe class DecodeTests : Arm64Fixture
{
    /// <summary>Zeros, subnormals, the smallest and largest normal numbers, infinities, NaNs.</summary>
    private static readonly ushort[] NotableHalves =
    [
        0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x8400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF,
        0x7C00, 0xFC00, 0x7C01, 0xFC01, 0x7E00, 0xFE00, 0x7FFF, 0xFFFF,
    ];

    /// <summary>
    /// Every decoder that an ARM64 machine may choose. The tier with dot products decodes as the one without: there is nothing to multiply.
    /// </summary>
    private static IEnumerable<TestCaseData> Decoders =>
        from kernel in DecodeKernels.All
        where kernel.Tier is KernelTier.Portable or KernelTier.Neon
        from tier in kernel.Tier == KernelTier.Neon ? (KernelTier[])[KernelTier.Neon, KernelTier.NeonDot] : [kernel.Tier]
        from processor in Processors.Of(tier)
        select new TestCaseData(kernel.Codec, kernel.Tier, processor).SetArgDisplayNames($"{kernel.Codec} {tier} decode", processor);

    [TestCaseSource(nameof(Decoders))]
    public void AgreesWithScalar(QuantCodec codec, KernelTier tier, string processor)
    {
        var random = new Random(20260501 + codec.Index);
        foreach (int blocks in (int[])[1, 2, 3, 5, 8, 17, 64])
        {
            byte[] bytes = new byte[blocks * codec.BytesPerBlock];
            random.NextBytes(bytes);
            AssertSame(codec, tier, processor, bytes);
            bytes.AsSpan().Clear();
            AssertSame(codec, tier, processor, bytes);
            bytes.AsSpan().Fill(0xFF);
            AssertSame(codec, tier, processor, bytes);
            if (!codec.IsQuantized)
            {
                continue;
            }

            random.NextBytes(bytes);
            int next = 0;
            for (int block = 0; block < bytes.Length; block += codec.BytesPerBlock)
            {
                foreach (int offset in codec.ScaleOffsets)
                {
                    BitConverter.TryWriteBytes(bytes.AsSpan(block + offset), NotableHalves[next++ * 7 % NotableHalves.Length]);
                }
            }

            AssertSame(codec, tier, processor, bytes);
        }
    }

    [TestCaseSource(nameof(Decoders))]
    public void DecodesFixturesAsGgml(QuantCodec codec, KernelTier tier, string processor)
    {
        if (!codec.IsQuantized)
        {
            byte[] all = MemoryMarshal.AsBytes(Enumerable.Range(0, 0x10000).Select(bits => (ushort)bits).ToArray().AsSpan()).ToArray();
            AssertSame(codec, tier, processor, all);
            return;
        }

        FixtureTensors fixture = FixtureTensors.Load(codec);
        foreach ((string wire, string floats) in ((string, string)[])[("w", "deq"), ("w_im", "deq_im")])
        {
            float[] expected = fixture.Floats(floats);
            AssertSame(codec, tier, processor, fixture.Bytes(wire, codec.GetByteCount(expected.Length)).ToArray(), expected);
        }
    }

    private void AssertSame(QuantCodec codec, KernelTier tier, string processor, byte[] bytes, float[]? expected = null)
    {
        int blocks = bytes.Length / codec.BytesPerBlock;
        if (expected is null)
        {
            expected = new float[blocks * codec.WeightsPerBlock];
            fixed (byte* from = bytes)
            fixed (float* to = expected)
            {
                DecodeKernels.Best(codec, KernelTier.Scalar).Run(from, to, blocks);
            }
        }

        var request = new Request { Operation = (int)Operation.Decode, Format = (int)codec.Format!, Tier = (int)tier };
        request.Numbers[0] = blocks;
        RequestBuffer output = RequestBuffer.Output(sizeof(float) * expected.Length);
        Assert.That(Machine(processor).Run(request, RequestBuffer.Input(bytes), output), Is.Zero, "there is no such decoder");
        Same.Bits(output.As<float>(), expected, i => $"{codec} {tier} on {processor}, {blocks} blocks, weight {i}");
    }
}
