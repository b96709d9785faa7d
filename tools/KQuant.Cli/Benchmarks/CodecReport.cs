using System.Text.Json.Serialization;

namespace KQuant.Cli.Benchmarks;

/// <summary>What <c>kquant bench codecs</c> found.</summary>
/// <param name="Processor">The machine.</param>
/// <param name="Runtime">The .NET version.</param>
/// <param name="Decode">One entry per codec and tier; null when not asked for.</param>
/// <param name="Encode">One entry per codec and tier; null when not asked for.</param>
internal sealed record CodecReport(
    string Processor, string Runtime, IReadOnlyList<DecodeSpeed>? Decode, IReadOnlyList<EncodeSpeed>? Encode);

/// <summary>How fast a codec decodes.</summary>
/// <param name="Codec">Its name.</param>
/// <param name="Tier">The kernel's tier.</param>
/// <param name="InUse">Whether the library decodes with this kernel in this process.</param>
/// <param name="CachedGBps">GB/s of float32 written, one 16 KB row over and over.</param>
/// <param name="StreamingGBps">The same over 128 MB, which no cache holds.</param>
internal sealed record DecodeSpeed(
    string Codec, string Tier, bool InUse, [property: JsonPropertyName("cached_gbps")] double CachedGBps,
    [property: JsonPropertyName("streaming_gbps")] double StreamingGBps);

/// <summary>How fast a codec encodes on one thread, in millions of weights per second.</summary>
/// <param name="Codec">Its name.</param>
/// <param name="Tier">The kernel's tier.</param>
/// <param name="InUse">Whether the library encodes with this kernel in this process.</param>
/// <param name="Reference">ggml's bytes without importance.</param>
/// <param name="Importance">ggml's bytes with importance.</param>
/// <param name="Best">The lowest error.</param>
internal sealed record EncodeSpeed(string Codec, string Tier, bool InUse, double Reference, double Importance, double Best);
