using System.Text.RegularExpressions;
using KQuant.Codecs.Recipes;

namespace KQuant.Codecs.Conversion;

/// <summary>All parts of a conversion.</summary>
internal sealed partial class PartSet : IDisposable
{
    private readonly List<ConversionPart> _parts = [];

    /// <summary>Opens the parts of an output.</summary>
    /// <exception cref="IOException">One is missing, or they are of different divisions.</exception>
    public PartSet(string output, QuantizationPlan plan, PartIdentity identity)
    {
        string folder = JobShard.GetPartFolder(output);
        var found = new List<JobShard>();
        foreach (string file in Directory.Exists(folder) ? Directory.EnumerateFiles(folder) : [])
        {
            if (PartName.Match(Path.GetFileName(file)) is { Success: true } match && JobShard.TryParse($"{match.Groups[1].Value}/{match.Groups[2].Value}", out JobShard? shard))
            {
                found.Add(shard);
            }
        }

        int[] counts = [.. found.Select(shard => shard.Count).Distinct().Order()];
        if (counts.Length != 1)
        {
            throw new IOException(counts.Length == 0
                ? $"{folder} has no parts of {output}."
                : $"{folder} has parts of {counts[0]} and of {counts[1]}; those of one division must go.");
        }

        int[] missing = [.. Enumerable.Range(1, counts[0]).Except(found.Select(shard => shard.Number))];
        if (missing.Length > 0)
        {
            const int Shown = 5;
            string list = string.Join(", ", missing.Take(Shown).Select(number => new JobShard(number, counts[0])))
                + (missing.Length > Shown ? $" and {missing.Length - Shown} more" : "");
            throw new IOException($"{folder} has {counts[0] - missing.Length} of {counts[0]} parts; {list} {(missing.Length == 1 ? "is" : "are")} missing.");
        }

        try
        {
            foreach (JobShard shard in found.OrderBy(shard => shard.Number))
            {
                _parts.Add(ConversionPart.Open(shard.GetPartPath(output, ConversionPart.Extension), shard, identity, plan));
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    [GeneratedRegex(@"^part-(\d{5,7})-of-(\d{5,7})\.safetensors$", RegexOptions.CultureInvariant)]
    private static partial Regex PartName { get; }

    /// <summary>A tensor that one of the parts has.</summary>
    public EncodedTensor Get(PlannedTensor planned) => new Stored(_parts.First(part => part.Holds(planned)), planned);

    /// <inheritdoc/>
    public void Dispose() => _parts.ForEach(part => part.Dispose());

    private sealed class Stored(ConversionPart part, PlannedTensor planned) : EncodedTensor
    {
        public override WeightError? Error => part.ErrorOf(planned);

        public override void WriteTo(Stream stream) => part.CopyPlaneTo(planned, 0, stream);

        public override void WritePlaneTo(Stream stream, int plane) => part.CopyPlaneTo(planned, plane, stream);

        public override void WriteExpertTo(Stream stream, long expert) =>
            throw new NotSupportedException($"{planned.Source.Name}: experts of a part are stacked.");
    }
}
