using KQuant.Codecs.Files;
using KQuant.Codecs.Scheduling;

namespace KQuant.Codecs.Conversion;

/// <summary>Settings of <see cref="ModelConverter"/>. The default value is ggml's reference encoding on all processors.</summary>
public sealed record ConversionOptions
{
    /// <summary>Which encoder; <see cref="EncodeMode.Reference"/> by default.</summary>
    public EncodeMode Mode { get; init; }

    /// <summary>What happens to a scale beyond binary16; an error by default.</summary>
    public ScaleOverflow Overflow { get; init; }

    /// <summary>Which columns matter; null for none. See <see cref="ImportanceMap.Create"/>.</summary>
    public ImportanceMap? Importance { get; init; }

    /// <summary>Threads that read and encode: -1 for one per processor, a positive number for at most so many. The result does not depend on it.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Set to 0 or less than -1.</exception>
    public int MaxDegreeOfParallelism
    {
        get;
        init => field = Parallelism.Checked(value, nameof(MaxDegreeOfParallelism));
    } = Parallelism.All;

    /// <summary>
    /// Whether what was encoded is decoded again at once and compared with the source. Costs a small part of the time that encoding takes.
    /// </summary>
    public bool MeasureError { get; init; } = true;

    /// <summary>Whether an output that exists is replaced; otherwise it is an error.</summary>
    public bool Overwrite { get; init; }

    /// <summary>Bytes after which a checkpoint begins a new shard.</summary>
    public long MaxShardBytes { get; init; } = SafetensorsWriter.DefaultMaxShardBytes;

    /// <summary>
    /// The names under which a checkpoint stores experts one by one, as Hugging Face has them, instead of stacked as mlx-lm does. Only for
    /// float weights; others stay stacked, and all do when this is null.
    /// </summary>
    public TensorNames? ExpertNames { get; init; }
}
