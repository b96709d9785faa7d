namespace KQuant.Cli.Reports;

/// <summary>What <c>kquant kv compare</c> found.</summary>
/// <param name="Model">The model.</param>
/// <param name="Kinds">How the other cache stores keys and values.</param>
/// <param name="DenseText">What was written with a cache in f16.</param>
/// <param name="OtherText">What was written with the other.</param>
/// <param name="DenseTokens">Tokens of the first text.</param>
/// <param name="OtherTokens">Tokens of the second.</param>
/// <param name="CommonTokens">Tokens that both begin with.</param>
/// <param name="MeanDivergence">Mean divergence over the first text, in nats.</param>
/// <param name="MaxDivergence">The largest.</param>
/// <param name="DenseBytes">Bytes of the cache in f16.</param>
/// <param name="OtherBytes">Bytes of the other.</param>
internal sealed record KvCompareReport(
    string Model,
    string Kinds,
    string DenseText,
    string OtherText,
    int DenseTokens,
    int OtherTokens,
    int CommonTokens,
    double MeanDivergence,
    double MaxDivergence,
    long DenseBytes,
    long OtherBytes);
