using System.Reflection;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;

namespace KQuant.Codecs.Conversion;

/// <summary>
/// What has to be the same for parts to be parts of one whole. Of a source these are names, shapes and formats of all tensors and some
/// kilobytes of each, not all of its bytes.
/// </summary>
internal sealed class PartIdentity
{
    private PartIdentity(IReadOnlyList<(string Key, string Value, string Name)> facts) => Facts = facts;

    /// <summary>The facts: their keys in a part, their values, and what a person calls them.</summary>
    public IReadOnlyList<(string Key, string Value, string Name)> Facts { get; }

    /// <summary>The identity of a conversion.</summary>
    public static PartIdentity Of(QuantizationPlan plan, ConversionOptions options) => new(
    [
        ("source", HashSource(plan), "another source"),
        ("plan", HashPlan(plan), "other codecs"),
        ("importance", options.Importance is ImportanceMap map ? HashImportance(plan, map) : "none", "another importance matrix"),
        ("options", $"encode {options.Mode}, overflow {options.Overflow}, errors {options.MeasureError}".ToLowerInvariant(), "other options"),
        ("kquant", Version(), "another version of KQuant"),
    ]);

    private static string Version() =>
        typeof(PartIdentity).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];

    private static string HashSource(QuantizationPlan plan)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (PlannedTensor planned in plan.Tensors)
        {
            SourceDigest.Append(hash, planned.Source);
        }

        return Finish(hash);
    }

    private static string HashPlan(QuantizationPlan plan)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        SourceDigest.Append(hash, plan.Source is GgufSource ? "gguf" : "checkpoint");
        foreach (PlannedTensor planned in plan.Tensors)
        {
            SourceDigest.Append(hash, $"{planned.Source.Name} {planned.Codec?.Name ?? "-"}");
        }

        return Finish(hash);
    }

    private static string HashImportance(QuantizationPlan plan, ImportanceMap map)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (PlannedTensor planned in plan.Tensors)
        {
            if (map.TryGet(planned.Source.Name, out ImportanceEntry? entry))
            {
                SourceDigest.Append(hash, planned.Source.Name);
                hash.AppendData(MemoryMarshal.AsBytes(entry.GetImportance().AsSpan()));
            }
        }

        return Finish(hash);
    }

    private static string Finish(IncrementalHash hash) => Convert.ToHexStringLower(hash.GetHashAndReset())[..32];
}
