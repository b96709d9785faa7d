using System.Runtime.InteropServices;
using KQuant.Codecs.Encoders;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Encoders;

/// <summary>Every encoder in the table writes the bytes of the scalar one and touches no byte that is not its own.</summary>
public unsafe class EncodeKernelTests
{
    /// <summary>What one block may hold, by the index of a weight in it.</summary>
    private static readonly Func<Random, Func<int, float>>[] Kinds =
    [
        random => _ => Normal(random),
        random => _ => 0.02f * Normal(random),
        _ => _ => 0,
        _ => _ => float.NegativeZero,
        random => _ => random.Next(2) == 0 ? 0f : float.NegativeZero,
        _ => _ => 0.75f,
        _ => _ => -0.75f,
        random => _ => 1 + MathF.Abs(Normal(random)),
        random => _ => -1 - MathF.Abs(Normal(random)),
        random => _ => -1000 + (0.01f * Normal(random)),
        random => i => i % 61 == 17 ? 100 * Normal(random) : 0.01f * Normal(random),
        random => i => i / 16 % 3 == 0 ? 0 : Normal(random),
        random => _ => random.Next(-15, 16),
        random => _ => random.Next(-15, 16) + 0.5f,
        random => _ => random.Next(-2, 3) * 0.25f,
        random => i => i % 2 == 0 ? 1 : -1 - (0.1f * random.Next(2)),
        random => i => MathF.ScaleB(Normal(random), -i / 16 * 4),
        random => _ => MathF.Exp(4 * Normal(random)) * Math.Sign(Normal(random)),
        random => _ => 1e-6f * Normal(random),
        random => _ => 1e-12f * Normal(random),
        random => _ => 1e-15f * Normal(random),
        random => _ => 1e-20f * Normal(random),
        random => _ => 1e-30f * Normal(random),
        random => _ => 1e-38f * Normal(random),
        random => _ => float.Epsilon * random.Next(-9, 10),
        random => _ => 6e4f * Normal(random),
        random => _ => 1e7f * Normal(random),
        random => _ => 1e13f * Normal(random),
        random => _ => 1e19f * Normal(random),
        random => _ => 1e30f * Normal(random),
        random => _ => (random.NextSingle() - 0.5f) * float.MaxValue,
        random => i => i % 40 == 3 ? float.MaxValue * Math.Sign(Normal(random)) : Normal(random),
        random => i => i == 5 ? 1 : 0,
        random => i => i % 32 == 31 ? -1e-3f : 1e-10f * random.NextSingle(),
    ];

    private static readonly (string Name, Func<Random, Func<int, float>>? Value)[] Importances =
    [
        ("none", null),
        ("spread", random => _ => MathF.Exp(1.5f * Normal(random))),
        ("ones", _ => _ => 1),
        ("zeros", _ => _ => 0),
        ("some zeros", random => i => i / 8 % 5 == 0 || i % 3 == 1 ? 0 : random.NextSingle()),
        ("one", _ => i => i % 97 == 13 ? 1 : 0),
        ("tiny", random => _ => 1e-30f * random.NextSingle()),
        ("denormal", random => _ => 1e-40f * random.NextSingle()),
        ("huge", random => _ => 1e30f * random.NextSingle()),
    ];

    private static IEnumerable<TestCaseData> Cases =>
        from kernel in EncodeKernels.All
        where kernel.IsSupported && kernel.Tier != KernelTier.Scalar
        from importance in Importances
        select new TestCaseData(kernel, importance.Value).SetArgDisplayNames(kernel.ToString(), importance.Name);

    private static IEnumerable<TestCaseData> Kernels =>
        from kernel in EncodeKernels.All
        where kernel.IsSupported
        select new TestCaseData(kernel).SetArgDisplayNames(kernel.ToString());

    /// <summary>Blocks of all kinds beside each other, so that lanes with trouble lie among others that have none.</summary>
    [TestCaseSource(nameof(Cases))]
    public void AgreesWithScalar(object kernelObject, object? importanceObject)
    {
        var kernel = (EncodeKernel)kernelObject;
        var random = new Random(20260303 + kernel.Codec.Index);
        int size = kernel.Codec.WeightsPerBlock;
        foreach ((int rows, int rowBlocks) in ((int, int)[])[(1, 256), (7, 3), (40, 5), (5, 16)])
        {
            float[] weights = MixedBlocks(random, rows * rowBlocks, size, Kinds);
            float[] importance = MakeImportance(importanceObject, random, rowBlocks * size);
            AssertSame(kernel, weights, importance, rowBlocks * size);
        }

        // One kind in all lanes.
        foreach (Func<Random, Func<int, float>> kind in Kinds)
        {
            float[] weights = MixedBlocks(random, 20, size, [kind]);
            AssertSame(kernel, weights, MakeImportance(importanceObject, random, 10 * size), 10 * size);
        }
    }

    [TestCaseSource(nameof(Cases))]
    public void AgreesWithScalarOnManyNormals(object kernelObject, object? importanceObject)
    {
        var kernel = (EncodeKernel)kernelObject;
        var random = new Random(20260404 + kernel.Codec.Index);
        float[] weights = MixedBlocks(random, 32768 / kernel.Codec.WeightsPerBlock, kernel.Codec.WeightsPerBlock, Kinds.AsSpan(0, 1));

        AssertSame(kernel, weights, MakeImportance(importanceObject, random, 1024), 1024);
    }

    [TestCaseSource(nameof(Kernels))]
    public void StaysInItsMemory(object kernelObject)
    {
        var kernel = (EncodeKernel)kernelObject;
        if (!GuardedBuffer.IsSupported)
        {
            Assert.Ignore("No guard pages on this operating system.");
        }

        var random = new Random(20260505);
        QuantCodec codec = kernel.Codec;
        foreach ((int rows, int rowBlocks) in ((int, int)[])[(1, 1), (1, 2), (1, 15), (1, 17), (3, 1), (2, 9), (16, 1), (33, 1)])
        {
            int rowLength = rowBlocks * codec.WeightsPerBlock;
            float[] weights = MixedBlocks(random, rows * rowBlocks, codec.WeightsPerBlock, Kinds.AsSpan(0, 1));
            float[] importance = MakeImportance(Importances[1].Value, random, rowLength);
            foreach (bool weighted in (bool[])[false, true])
            {
                byte[] expected = Encode(codec.ScalarEncoder!, weights, weighted ? importance : [], rowLength);
                foreach ((bool atEnd, int distance) in ((bool, int)[])[(true, 0), (false, 0), (true, 3)])
                {
                    using var from = new GuardedBuffer(4 * weights.Length, atEnd, distance);
                    using var columns = new GuardedBuffer(4 * rowLength, atEnd, distance);
                    using var to = new GuardedBuffer(expected.Length, atEnd, distance);
                    MemoryMarshal.AsBytes(weights.AsSpan()).CopyTo(from.Span);
                    MemoryMarshal.AsBytes(importance.AsSpan()).CopyTo(columns.Span);
                    kernel.Run(new EncodeTask((float*)from.Start, to.Start, weighted ? (float*)columns.Start : null, rowLength, rows));
                    Assert.That(to.Span.SequenceEqual(expected), $"{kernel}, {rows} rows of {rowBlocks} blocks, distance {distance}");
                }
            }
        }
    }

    [Test]
    public void EveryFormatHasEveryTier()
    {
        KernelTier[] tiers = [KernelTier.Scalar, KernelTier.Portable, KernelTier.Avx2, KernelTier.Avx512];
        Assert.Multiple(() =>
        {
            foreach (QuantCodec codec in QuantCodec.All.Where(codec => codec.ScalarEncoder is not null))
            {
                KernelTier[] found = [.. from kernel in EncodeKernels.All where kernel.Codec == codec select kernel.Tier];
                Assert.That(found, found.Length == 1 ? Is.EqualTo([KernelTier.Scalar]) : Is.EquivalentTo(tiers), codec.Name);
                Assert.That(codec.EncodeTier, Is.EqualTo(EncodeKernels.Best(codec, KernelTiers.Max).Tier), codec.Name);
            }
        });
    }

    private static float[] MixedBlocks(Random random, int blocks, int size, ReadOnlySpan<Func<Random, Func<int, float>>> kinds)
    {
        var weights = new float[blocks * size];
        for (int b = 0; b < blocks; b++)
        {
            // Each kind once, then any.
            Func<int, float> kind = kinds[b < kinds.Length ? b : random.Next(kinds.Length)](random);
            for (int i = 0; i < size; i++)
            {
                weights[(b * size) + i] = kind(i);
            }
        }

        return weights;
    }

    private static float[] MakeImportance(object? kind, Random random, int length)
    {
        if (kind is null)
        {
            return [];
        }

        Func<int, float> value = ((Func<Random, Func<int, float>>)kind)(random);
        return [.. Enumerable.Range(0, length).Select(value)];
    }

    private static void AssertSame(EncodeKernel kernel, float[] weights, float[] importance, int rowLength)
    {
        byte[] expected = Encode(kernel.Codec.ScalarEncoder!, weights, importance, rowLength);
        byte[] actual = Encode(kernel, weights, importance, rowLength);
        int difference = expected.AsSpan().CommonPrefixLength(actual);
        if (difference < expected.Length)
        {
            int block = difference / kernel.Codec.BytesPerBlock, size = kernel.Codec.WeightsPerBlock;
            Assert.Fail(
                $"{kernel}: byte {difference % kernel.Codec.BytesPerBlock} of block {block} is {actual[difference]}, scalar says "
                + $"{expected[difference]}: {string.Join(", ", weights.Skip(block * size).Take(size).Select(weight => weight.ToString("R")))}");
        }
    }

    private static byte[] Encode(EncodeKernel kernel, float[] weights, float[] importance, int rowLength)
    {
        var wire = new byte[kernel.Codec.GetByteCount(weights.Length)];
        fixed (float* from = weights)
        fixed (float* columns = importance)
        fixed (byte* to = wire)
        {
            kernel.Run(new EncodeTask(from, to, importance.Length == 0 ? null : columns, rowLength, weights.Length / rowLength));
        }

        return wire;
    }

    private static float Normal(Random random) =>
        (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
}
