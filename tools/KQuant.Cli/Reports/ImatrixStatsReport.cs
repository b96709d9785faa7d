using KQuant.Codecs.Files;

namespace KQuant.Cli.Reports;

/// <summary>What <c>kquant imatrix stats --json</c> prints.</summary>
internal sealed record ImatrixStatsReport(
    string File,
    string Format,
    IReadOnlyList<string> Datasets,
    int Chunks,
    int ChunkSize,
    IReadOnlyList<ImportanceStatistics> Tensors,
    IReadOnlyList<LayerStatisticsReport> Layers);

/// <summary>The weights of a layer together, beside those of the layer before.</summary>
internal sealed record LayerStatisticsReport(int Layer, double Gain, double Distance)
{
    public static LayerStatisticsReport Of(IGrouping<int, ImportanceStatistics> layer) => new(
        layer.Key,
        Math.Sqrt(layer.Sum(tensor => tensor.SumOfSquares) / layer.Sum(tensor => tensor.SumOfSquares / (tensor.Gain!.Value * tensor.Gain.Value))),
        Math.Sqrt(layer.Sum(tensor => tensor.Distance!.Value * tensor.Distance.Value)));
}
