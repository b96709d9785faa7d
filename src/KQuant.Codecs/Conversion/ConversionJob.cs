using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;

namespace KQuant.Codecs.Conversion;

/// <summary>One conversion: what it was asked to do, and what it has found out.</summary>
internal sealed class ConversionJob(
    QuantizationPlan plan,
    string output,
    ConversionOptions options,
    IProgress<ModelProgress>? progress,
    CancellationToken cancellationToken)
{
    private readonly Dictionary<PlannedTensor, TensorEncoding> _encodings = [];

    public QuantizationPlan Plan => plan;

    public string Output => output;

    public ConversionOptions Options => options;

    public IProgress<ModelProgress>? Progress => progress;

    public CancellationToken CancellationToken => cancellationToken;

    /// <summary>What a user should know; one sentence each.</summary>
    public List<string> Notes { get; } = [];

    /// <summary>The way of a tensor through its new codec; its error is part of the report.</summary>
    public TensorEncoding Encode(PlannedTensor planned, QuantCodec codec)
    {
        var encoding = new TensorEncoding(planned.Source, codec, () => LoadImportance(planned), options, cancellationToken);
        _encodings.Add(planned, encoding);
        return encoding;
    }

    public ConversionReport Report()
    {
        AddFloatNote();
        return new(
            output,
            [.. plan.Tensors.Select(tensor => new ConvertedTensor(tensor, _encodings.GetValueOrDefault(tensor)?.Error))],
            Notes);
    }

    /// <summary>Says how much of a model that is quantized stays as it is, when it is not only norms and routers.</summary>
    private void AddFloatNote()
    {
        const double Worth = 0.05;
        if (!plan.Codec.IsQuantized)
        {
            return;
        }

        long total = plan.Tensors.Sum(tensor => tensor.Source.GetWeightCount());
        foreach (IGrouping<(string Format, string Why), PlannedTensor> group in plan.Tensors
            .Where(tensor => tensor.Codec is null && tensor.Source is { Codec.IsQuantized: false, Shape.Length: > 1 })
            .GroupBy(tensor => (tensor.Source.FormatName, tensor.Explanation)))
        {
            long weights = group.Sum(tensor => tensor.Source.GetWeightCount());
            if (weights > Worth * total)
            {
                Notes.Add(FormattableString.Invariant(
                    $"{group.Count()} tensors, {100.0 * weights / total:0.#} % of the weights, stay {group.Key.Format} ({group.Key.Why}): {group.First().Source.Name}{(group.Count() > 1 ? ", ..." : "")}."));
            }
        }
    }

    private float[]? LoadImportance(PlannedTensor planned) =>
        options.Importance is ImportanceMap map && map.TryGet(planned.Source.Name, out ImportanceEntry? entry)
            ? entry.GetImportance(planned.Source.GetQuantShape())
            : null;
}
