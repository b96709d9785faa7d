using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using KQuant.Codecs.Files;

namespace KQuant.Models.Weights;

/// <summary>
/// Tells a model from others without reading all of it: what it computes, the table of its tensors, and the first, the middle and the last
/// kilobyte of each.
/// </summary>
internal static class ModelFingerprint
{
    private const int SampleBytes = 1024;

    public static byte[] Compute(ModelSource source, ModelConfig config)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Add(hash, Describe(config));
        var sample = new byte[SampleBytes];
        foreach (ModelTensor tensor in source.Tensors)
        {
            Add(hash, tensor.ToString());
            Add(hash, tensor.ByteCount.ToString(CultureInfo.InvariantCulture));
            int count = (int)Math.Min(SampleBytes, tensor.ByteCount);
            foreach (long offset in (ReadOnlySpan<long>)[0, (tensor.ByteCount - count) / 2, tensor.ByteCount - count])
            {
                tensor.ReadBytes(offset, sample.AsSpan(0, count));
                hash.AppendData(sample.AsSpan(0, count));
            }
        }

        return hash.GetHashAndReset();
    }

    private static void Add(IncrementalHash hash, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        Span<byte> length = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(length, bytes.Length);
        hash.AppendData(length);
        hash.AppendData(bytes);
    }

    /// <summary>What keys and values depend on besides weights.</summary>
    private static string Describe(ModelConfig config) => string.Join(
        '|',
        Invariant($"{config.Architecture} {config.Activation} {config.InterleavedRope} {config.NormsAddOne} {config.HasPostNorms} {config.HasHeadNorms}"),
        Invariant($"{config.NormEpsilon:R} {config.EmbeddingScale:R} {config.AttentionScale:R} {config.AttentionSoftCap:R}"),
        List(config.Windows),
        Describe(config.Rope),
        config.LocalRope is null ? "" : Describe(config.LocalRope),
        config.Experts is { } experts
            ? Invariant($"{experts.Count} {experts.PerToken} {experts.Normalizes} {experts.LeastSum:R} {experts.SharedIntermediateSize}")
            : "");

    private static string Describe(RopeConfig rope) => string.Join(
        ' ',
        Invariant($"{rope.Kind} {rope.Theta:R} {rope.Dimensions} {rope.Factor:R} {rope.OriginalContext} {rope.LowFrequencyFactor:R}"),
        Invariant($"{rope.HighFrequencyFactor:R} {rope.BetaFast:R} {rope.BetaSlow:R} {rope.Truncate} {rope.AttentionFactor:R} {rope.SwitchesByContext}"),
        List(rope.ShortDivisors),
        List(rope.LongDivisors));

    private static string List<T>(ImmutableArray<T> values)
        where T : IFormattable => string.Join(',', values.Select(value => value.ToString(null, CultureInfo.InvariantCulture)));

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);
}
