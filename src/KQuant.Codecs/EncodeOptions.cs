using KQuant.Codecs.Scheduling;

namespace KQuant.Codecs;

/// <summary>How an encoder chooses scales and codes.</summary>
public enum EncodeMode
{
    /// <summary>
    /// The bytes of ggml's reference encoders: <c>quantize_row_*_ref</c> without importance, <c>quantize_row_*_impl</c> with it.
    /// </summary>
    Reference = 0,

    /// <summary>
    /// The lowest squared error at the same size, weighted by the importance if there is one. Starts from ggml's encoders (the weighted
    /// one with unit importance too, when none is given), searches further and keeps the better of each block, measured on the decoded
    /// weights; so it is never worse than <see cref="Reference"/>, and as deterministic. Some times slower. Any decoder reads the result.
    /// </summary>
    Best = 1,
}

/// <summary>What an encoder does with a block whose weights are too large for the format: its scale does not fit into binary16.</summary>
public enum ScaleOverflow
{
    /// <summary>Throw <see cref="InvalidWeightException"/>.</summary>
    Error = 0,

    /// <summary>
    /// Store what ggml stores: an infinite scale, which decodes to infinities and NaNs, or zeros where its float32 sums overflowed as well.
    /// </summary>
    Keep = 1,
}

/// <summary>Settings of <see cref="QuantCodec.Encode"/>. The default value encodes one row in <see cref="EncodeMode.Reference"/>.</summary>
public readonly ref struct EncodeOptions
{
    private readonly int _threads;

    /// <summary>
    /// Importance of each column (an imatrix row), a finite non-negative value for each weight of a row, applied to every row; empty for none.
    /// </summary>
    public ReadOnlySpan<float> Importance { get; init; }

    /// <summary>Weights per row, a multiple of the block size; 0 takes as many as there are values of <see cref="Importance"/>, and without them the
    /// whole source as one row.</summary>
    public int RowLength { get; init; }

    /// <summary>Which encoder; <see cref="EncodeMode.Reference"/> by default.</summary>
    public EncodeMode Mode { get; init; }

    /// <summary>What happens to weights beyond the scales of the format; an error by default.</summary>
    public ScaleOverflow Overflow { get; init; }

    /// <summary>
    /// Threads that share the rows: -1 for one per processor, a positive number for at most so many; 1, the calling thread alone, by default.
    /// The bytes do not depend on it.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">Set to 0 or less than -1.</exception>
    public int MaxDegreeOfParallelism
    {
        get => _threads == 0 ? 1 : _threads;
        init => _threads = Parallelism.Checked(value, nameof(MaxDegreeOfParallelism));
    }

    /// <summary>Row number that an error message gives the first row of the source, for callers who encode a tensor in pieces.</summary>
    public long FirstRow { get; init; }

    /// <summary>The length of a row of so many weights.</summary>
    internal int GetRowLength(int weights) => RowLength != 0 ? RowLength : Importance.IsEmpty ? weights : Importance.Length;
}
