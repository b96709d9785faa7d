using KQuant.Codecs;
using KQuant.TestKit;

namespace KQuant.Metal.Tests;

/// <summary>Encoding gives the bytes of the managed reference encoders.</summary>
public class EncodeTests : MetalTest
{
    private static IEnumerable<QuantFormat> Encodable =>
        QuantCodec.Quantized.Where(MetalBackend.CanEncode).Select(codec => codec.Format!.Value);

    [TestCaseSource(nameof(Encodable))]
    public void GivesTheBytesOfTheReference(QuantFormat format) => InAllModes(backend =>
    {
        var random = new Random(5);
        float[] scaled = Numbers.Gaussian(32 * 300, seed: 3);
        for (int i = 0; i < scaled.Length; i++)
        {
            // Blocks of every size from 2^-40 to 2^14, some of one sign, some with zeros, ties between the extremes, all the same.
            int block = i / 32;
            float value = MathF.ScaleB(scaled[i], (block % 55) - 40);
            scaled[i] = (block % 7) switch
            {
                1 => MathF.Abs(value),
                2 => random.Next(3) == 0 ? 0 : value,
                3 => i % 2 == 0 ? -1.5f : 1.5f,
                4 => block % 2 == 0 ? 0 : -0.75f,
                5 => MathF.Round(value * 4) / 4,
                _ => value,
            };
        }

        foreach (float[] weights in (float[][])[SampleWeights.Cosines, SampleWeights.SetA.Weights[..8192], scaled])
        {
            Assert.That(Encode(backend, format, weights), Is.EqualTo(Expect(format, weights)));
        }
    });

    [TestCaseSource(nameof(Encodable))]
    public void LeavesExtraordinaryBlocksToTheProcessor(QuantFormat format)
    {
        using var backend = MetalBackend.Create();
        foreach (float odd in (float[])[1e-40f, -3e-38f, 1e-31f])
        {
            float[] weights = Numbers.Gaussian(96, seed: 2);
            weights.AsSpan(32, 32).Fill(odd);
            weights[40] = 0;
            Assert.That(Encode(backend, format, weights), Is.EqualTo(Expect(format, weights)), $"{odd}");
        }
    }

    [TestCaseSource(nameof(Encodable))]
    public void RefusesWhatTheProcessorRefuses(QuantFormat format)
    {
        using var backend = MetalBackend.Create();
        foreach (float bad in (float[])[float.NaN, float.PositiveInfinity, 3e38f])
        {
            float[] weights = Numbers.Gaussian(96, seed: 2);
            weights[70] = bad;
            string? expected = Assert.Catch<InvalidWeightException>(() => Expect(format, weights))?.Message;
            Assert.That(() => Encode(backend, format, weights), Throws.InstanceOf<InvalidWeightException>().With.Message.EqualTo(expected));
        }
    }

    [Test]
    public void SaysWhichCodecsItTakes()
    {
        using var backend = MetalBackend.Create();
        Assert.Multiple(() =>
        {
            Assert.That(Encodable.Count(), Is.EqualTo(5));
            Assert.That(() => Encode(backend, QuantFormat.Q4_K, new float[256]), Throws.InstanceOf<NotSupportedException>().With.Message.Contains("q4_k"));
            Assert.That(
                () => backend.Encode(QuantCodec.Get(QuantFormat.Q8_0), new float[64], new byte[67]),
                Throws.ArgumentException.With.Message.Contains("67 bytes"));
        });
    }

    private static byte[] Encode(MetalBackend backend, QuantFormat format, float[] weights)
    {
        QuantCodec codec = QuantCodec.Get(format);
        var bytes = new byte[codec.GetByteCount(weights.Length)];
        backend.Encode(codec, weights, bytes);
        return bytes;
    }

    private static byte[] Expect(QuantFormat format, float[] weights)
    {
        QuantCodec codec = QuantCodec.Get(format);
        var bytes = new byte[codec.GetByteCount(weights.Length)];
        codec.Encode(weights, bytes);
        return bytes;
    }
}
