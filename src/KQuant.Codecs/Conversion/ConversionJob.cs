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
    private readonly Dictionary<PlannedTensor, EncodedTensor> _encodings = [];
    private readonly HashSet<PlannedTensor> _weighed = [];

    public QuantizationPlan Plan => plan;

    public string Output => output;

    public ConversionOptions Options => options;

    public IProgress<ModelProgress>? Progress => progress;

    public CancellationToken CancellationToken => cancellationToken;

    /// <summary>What a user should know; one sentence each.</summary>
    public List<string> Notes { get; } = [];

    /// <summary>Parts that hold all tensors encoded; null to encode them here.</summary>
    public PartSet? Parts { get; init; }

    /// <summary>The way of a tensor through its new codec; its error is part of the report.</summary>
    public EncodedTensor Encode(PlannedTensor planned, QuantCodec codec)
    {
        EncodedTensor encoding = Parts?.Get(planned) ?? new TensorEncoding(planned.Source, codec, () => LoadImportance(planned), options, cancellationToken);
        _encodings.Add(planned, encoding);
        return encoding;
    }

    public ConversionReport Report()
    {
        AddFloatNote();
        return ReportOn(plan.Tensors);
    }

    /// <summary>The report on some tensors.</summary>
    public ConversionReport ReportOn(IEnumerable<PlannedTensor> tensors)
    {
        return new ConversionReport
        {
            Output = output,
            Tensors = [.. tensors.Select(tensor => new ConvertedTensor { Planned = tensor, Error = _encodings.GetValueOrDefault(tensor)?.Error })],
            Notes = Notes,
        };
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

    private float[]? LoadImportance(PlannedTensor planned)
    {
        if (options.Importance is not ImportanceMap map || !map.TryGet(planned.Source.Name, out ImportanceEntry? entry))
        {
            return null;
        }

        float[] importance = entry.GetImportance(planned.Source.GetQuantShape());
        if (_weighed.Add(planned))
        {
            AddZeroNote(planned, importance);
        }

        return importance;
    }

    /// <summary>Says where the importance says nothing: no weight counts, and ggml's fits, too, may then store zeros.</summary>
    private void AddZeroNote(PlannedTensor planned, ReadOnlySpan<float> importance)
    {
        // What is fitted for itself: a block, or a part of one that has a scale of its own.
        int size = Math.Min(planned.Codec!.WeightsPerBlock, planned.Codec.Integers?.SubBlock ?? int.MaxValue);
        int parts = importance.Length / size, zeros = 0;
        for (int part = 0; part < parts; part++)
        {
            zeros += importance.Slice(part * size, size).ContainsAnyExcept(0f) ? 0 : 1;
        }

        if (zeros > 0)
        {
            string which = zeros == parts
                ? "is 0 everywhere"
                : $"is 0 in {zeros} of {parts} runs of {size} columns, each of which has a scale";
            Notes.Add($"{planned.Source.Name}: the importance {which}; weights that do not count may become zeros there, as in ggml.");
        }
    }
}
