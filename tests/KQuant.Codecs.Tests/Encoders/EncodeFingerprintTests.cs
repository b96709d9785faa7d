using System.Security.Cryptography;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests;

/// <summary>Fingerprints of ggml's bytes on data that needs no file: 256 rows of 512 normals, and an importance.</summary>
public class EncodeFingerprintTests
{
    [TestCase("q2_k", "381170eaef46", "a92b6104eb71")]
    [TestCase("q3_k", "925454327365", "33eb44980ad9")]
    [TestCase("q4_k", "025ac03817d5", "ce9b7f68fb53")]
    [TestCase("q5_k", "5bd486254cad", "88f7cea8b0e2")]
    [TestCase("q6_k", "376904ae2061", "cb5853114b35")]
    [TestCase("q4_0", "ed9a08f9d8cf", "fd4c43c4bab5")]
    [TestCase("q4_1", "551f64267cce", "333ae9230c2e")]
    [TestCase("q5_0", "b62497249e23", "866feaf063d1")]
    [TestCase("q5_1", "a64e71c60192", "d251c863a3f0")]
    [TestCase("q8_0", "c75bf731a2a5", "c75bf731a2a5")]
    public void MatchesGgml(string name, string plain, string weighted)
    {
        Assert.That(QuantCodec.TryParse(name, out QuantCodec? codec));
        SampleWeights sample = SampleWeights.SetA;

        Assert.Multiple(() =>
        {
            Assert.That(Fingerprint(codec!, sample, []), Is.EqualTo(plain), "without importance");
            Assert.That(Fingerprint(codec!, sample, sample.Importance), Is.EqualTo(weighted), "with importance");
        });
    }

    [Test]
    public void GeneratorIsThatOfNumpy()
    {
        var random = new NumpyRandom(1234);

        Assert.That(
            new[] { random.NextNormal(), random.NextNormal(), random.NextNormal() },
            Is.EqualTo(new[] { -1.6038368053963015, 0.06409991400376412, 0.7408912958767259 }).Within(1e-14));
    }

    private static string Fingerprint(QuantCodec codec, SampleWeights sample, float[] importance)
    {
        var bytes = new byte[codec.GetByteCount(sample.Weights.Length)];
        codec.Encode(sample.Weights, bytes, new EncodeOptions { RowLength = sample.Columns, Importance = importance });
#pragma warning disable CA5350 // A fingerprint of public data, not a secret.
        return Convert.ToHexStringLower(SHA1.HashData(bytes))[..12];
#pragma warning restore CA5350
    }
}
