using System.Text.Json.Serialization;

namespace KQuant.Cli.Benchmarks;

/// <summary>What <c>kquant bench gather</c> found.</summary>
/// <param name="Processor">The machine.</param>
/// <param name="Runtime">The .NET version.</param>
/// <param name="Experts">Matrices of the mixture.</param>
/// <param name="Rows">Rows of each (outputs).</param>
/// <param name="Columns">Columns of each (inputs).</param>
/// <param name="Top">Experts that each token goes through.</param>
/// <param name="Packed">Whether the weights were packed at load.</param>
/// <param name="Speeds">One entry per codec, number of threads and number of tokens.</param>
internal sealed record GatherReport(
    string Processor, string Runtime, int Experts, int Rows, int Columns, int Top, bool Packed, IReadOnlyList<GatherSpeed> Speeds);

/// <summary>How fast a mixture of experts is multiplied.</summary>
/// <param name="Codec">The codec of the weights.</param>
/// <param name="Threads">Threads.</param>
/// <param name="Tokens">Tokens in one call.</param>
/// <param name="Kernel">The kernel of an expert with the average number of rows.</param>
/// <param name="Microseconds">Time of one call.</param>
/// <param name="Gflops">Two operations per weight and row, activation quantization included in the time.</param>
/// <param name="ExpertGBps">Wire bytes of the experts touched, per second.</param>
/// <param name="DenseGflops">The same products, one call per expert with all its rows, without any gathering.</param>
internal sealed record GatherSpeed(
    string Codec,
    int Threads,
    int Tokens,
    string Kernel,
    double Microseconds,
    double Gflops,
    [property: JsonPropertyName("expert_gbps")] double ExpertGBps,
    double DenseGflops);
