using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Calibration;

/// <summary>How a text is cut for calibration, and what is counted.</summary>
public sealed record CalibrationOptions
{
    /// <summary>Tokens of a chunk, each of which is a text of its own.</summary>
    public int ChunkLength { get; init; } = 512;

    /// <summary>Chunks to use at most; 0 for all.</summary>
    public int MaxChunks { get; init; }

    /// <summary>
    /// The token that stands at the beginning of every chunk in place of the one that the text has there, as in llama-imatrix; null to leave
    /// chunks as they are.
    /// </summary>
    public int? FirstToken { get; init; }

    /// <summary>Whether the rest of the text is a chunk too if it has half the length of one or more, as in mlx-kquant.</summary>
    public bool KeepsRest { get; init; }

    /// <summary>
    /// The part of an even share of the tokens that every expert gets: those with less are given tokens that the router would not have
    /// given them, in a second pass that counts for nobody else. 0 for none.
    /// </summary>
    public double CoverageFloor { get; init; }

    /// <summary>
    /// The share of one of several processes: a run of the chunks, and of <see cref="ImportanceCalibrator.MeasureLosses"/> some of the tensors.
    /// <see cref="ImportanceMatrix.Merge"/> makes one matrix of the parts, which has the sums of a single run but for rounding to float32. Null
    /// for all.
    /// </summary>
    public JobShard? Shard { get; init; }

    /// <summary>What the text is called in the result.</summary>
    public string? Dataset { get; init; }
}
