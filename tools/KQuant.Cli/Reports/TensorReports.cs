namespace KQuant.Cli.Reports;

/// <summary>What <c>kquant tensor encode --json</c> prints.</summary>
internal sealed record TensorEncodeReport(
    string Source, string Output, string Name, string Codec, IReadOnlyList<long> Shape, long SourceBytes, long Bytes, ErrorReport? Error);

/// <summary>What <c>kquant tensor diff --json</c> prints.</summary>
internal sealed record TensorDiffReport(
    string A, string B, string FormatA, string FormatB, IReadOnlyList<long> Shape, bool EqualBytes, long? DifferingWeights,
    double? Rmse, double? Nmse, double? Cosine, double? MaxAbs);
