using System.Security.Cryptography;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Encoders;

/// <summary>The search for the lowest error: how much it gains, and that it is the same everywhere.</summary>
public class EncodeBestTests
{
    /// <summary>
    /// Bytes of eight rows without and with importance. Nobody else defines them: they are pinned because the search works in vector
    /// lanes and has to give the same on every machine and tier. A deliberate change of the search changes them.
    /// </summary>
    [TestCase("q2_k", "d5c0592ff236", "98ca382879dd")]
    [TestCase("q3_k", "89837a46d6f9", "2fdb427ea19d")]
    [TestCase("q4_k", "ccead340b932", "660299a3037b")]
    [TestCase("q5_k", "390f3eebb12f", "b4f020b8d48b")]
    [TestCase("q6_k", "09c62b5ca7a0", "3710bd9f1a16")]
    [TestCase("q4_0", "c724bee7124e", "dbd5de152b21")]
    [TestCase("q4_1", "bf2367f81c42", "f10de862151e")]
    [TestCase("q5_0", "d57170b14a64", "cf3e27630940")]
    [TestCase("q5_1", "b48d78cdf69d", "4af2892cdc6b")]
    [TestCase("q8_0", "6902f3c6939e", "b4052ba2fd0a")]
    public void IsTheSameOnEveryMachine(string name, string plain, string weighted)
    {
        Assert.That(QuantCodec.TryParse(name, out QuantCodec? codec));
        SampleWeights sample = SampleWeights.SetA;

        Assert.Multiple(() =>
        {
            Assert.That(Fingerprint(codec!, sample, []), Is.EqualTo(plain), "without importance");
            Assert.That(Fingerprint(codec!, sample, sample.Importance), Is.EqualTo(weighted), "with importance");
        });
    }

    /// <summary>Root-mean-square error relative to ggml's encoder without importance, and with importance to its weighted one.</summary>
    [TestCase("q2_k", 0.88, 0.96)]
    [TestCase("q3_k", 0.96, 0.99)]
    [TestCase("q4_k", 0.98, 0.98)]
    [TestCase("q5_k", 0.95, 0.95)]
    [TestCase("q6_k", 0.93, 0.94)]
    [TestCase("q4_0", 0.95, 0.99)]
    [TestCase("q4_1", 0.89, 0.98)]
    [TestCase("q5_0", 0.95, 0.99)]
    [TestCase("q5_1", 0.89, 0.98)]
    [TestCase("q8_0", 0.89, 0.86)]
    public void ReducesTheErrorOfRealWeights(string name, double plain, double weighted)
    {
        Assert.That(QuantCodec.TryParse(name, out QuantCodec? codec));
        float[] weights = FixtureModel.Load("tiny-dense").Weights("model.layers.0.self_attn.q_proj.weight")[..(16 * 256)];
        float[] importance = SampleWeights.SetA.Importance[..256];

        Assert.Multiple(() =>
        {
            Assert.That(
                Error(codec!, weights, EncodeMode.Best, []), Is.LessThan(plain * Error(codec!, weights, EncodeMode.Reference, [])));
            Assert.That(
                Error(codec!, weights, EncodeMode.Best, importance),
                Is.LessThan(weighted * Error(codec!, weights, EncodeMode.Reference, importance)));
        });
    }

    private static double Error(QuantCodec codec, float[] weights, EncodeMode mode, float[] importance)
    {
        double sum = 0;
        for (int start = 0; start < weights.Length; start += 256)
        {
            sum += WeightedError.Of(
                codec, weights.AsSpan(start, 256), new EncodeOptions { Mode = mode, Importance = importance }, importance);
        }

        return Math.Sqrt(sum);
    }

    private static string Fingerprint(QuantCodec codec, SampleWeights sample, float[] importance)
    {
        var bytes = new byte[codec.GetByteCount(8 * sample.Columns)];
        codec.Encode(
            sample.Weights.AsSpan(0, 8 * sample.Columns),
            bytes,
            new EncodeOptions { RowLength = sample.Columns, Importance = importance, Mode = EncodeMode.Best });
        return Convert.ToHexStringLower(SHA256.HashData(bytes))[..12];
    }
}
