namespace KQuant.Cli.Reports;

/// <summary>What a model computes, part by part.</summary>
/// <param name="Attention">The kinds of attention, each with the layers that have it.</param>
/// <param name="FeedForward">The kinds of feed-forward parts, each with the layers that have it.</param>
/// <param name="TiesEmbedding">Whether the embedding also makes the logits.</param>
/// <param name="ActiveWeights">Weights that a token meets.</param>
/// <param name="CacheBytesPerToken">Bytes in binary16 by which keys and values of one more token make the cache larger.</param>
/// <param name="CacheBytesPerTokenBeyondWindows">The same once every sliding window is full.</param>
internal sealed record ArchitectureReport(
    IReadOnlyList<AttentionReport> Attention,
    IReadOnlyList<FeedForwardReport> FeedForward,
    bool TiesEmbedding,
    long ActiveWeights,
    long CacheBytesPerToken,
    long CacheBytesPerTokenBeyondWindows);

/// <summary>One kind of attention.</summary>
/// <param name="Layers">The layers that have it.</param>
/// <param name="QueryHeads">Query heads.</param>
/// <param name="KeyValueHeads">Heads of keys and values.</param>
/// <param name="HeadSize">Values of a head.</param>
/// <param name="Window">Positions that a token sees, its own included; null for all.</param>
/// <param name="Rotated">Whether queries and keys are rotated by their positions.</param>
/// <param name="HeadNorms">Whether the heads of queries and keys are normalized.</param>
/// <param name="Sinks">Whether every head has a sink.</param>
/// <param name="SoftCap">The bound of scores; null for none.</param>
internal sealed record AttentionReport(
    IReadOnlyList<int> Layers, int QueryHeads, int KeyValueHeads, int HeadSize, int? Window, bool Rotated, bool HeadNorms, bool Sinks, float? SoftCap);

/// <summary>One kind of feed-forward part.</summary>
/// <param name="Layers">The layers that have it.</param>
/// <param name="IntermediateSize">The inner width, of one expert where there are experts.</param>
/// <param name="Activation">The gate.</param>
/// <param name="Experts">Experts of a layer; null for a dense one.</param>
/// <param name="ExpertsPerToken">Experts that a token goes through.</param>
/// <param name="Router">How scores of experts become weights.</param>
/// <param name="SharedIntermediateSize">The inner width of the expert that every token goes through; null for none.</param>
internal sealed record FeedForwardReport(
    IReadOnlyList<int> Layers, int IntermediateSize, string Activation, int? Experts, int? ExpertsPerToken, string? Router, int? SharedIntermediateSize);
