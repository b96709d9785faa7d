using System.Text.Json.Serialization;

namespace KQuant.Cli.Benchmarks;

/// <summary>What <c>kquant bench matmul</c> found.</summary>
/// <param name="Processor">The machine.</param>
/// <param name="Runtime">The .NET version.</param>
/// <param name="N">Rows of the weights (outputs).</param>
/// <param name="K">Columns of the weights (inputs).</param>
/// <param name="Packed">Whether the weights were packed at load.</param>
/// <param name="Deterministic">Whether sums have the canonical order.</param>
/// <param name="Activations">What activations were turned into.</param>
/// <param name="Speeds">One entry per codec, number of threads and number of rows.</param>
internal sealed record MatmulReport(
    string Processor, string Runtime, int N, int K, bool Packed, bool Deterministic, string Activations, IReadOnlyList<MatmulSpeed> Speeds);

/// <summary>How fast a product is, and how fast anything could be.</summary>
/// <param name="Codec">The codec of the weights.</param>
/// <param name="Threads">Threads.</param>
/// <param name="M">Activation rows.</param>
/// <param name="Kernel">The kernel.</param>
/// <param name="Microseconds">Time of a product, activation quantization included.</param>
/// <param name="Gflops">Two operations per weight and row, 2 M N K in all, per second.</param>
/// <param name="WeightGBps">Wire bytes of the weights per second.</param>
/// <param name="MemoryGBps">GB/s that so many threads read from memory at most.</param>
/// <param name="Chain">The chain of instructions that products like this are made of, or null.</param>
/// <param name="ChainGops">Billions of operations per second that the chain does on so many threads, or null.</param>
internal sealed record MatmulSpeed(
    string Codec,
    int Threads,
    int M,
    string Kernel,
    double Microseconds,
    double Gflops,
    [property: JsonPropertyName("weight_gbps")] double WeightGBps,
    [property: JsonPropertyName("memory_gbps")] double MemoryGBps,
    string? Chain,
    double? ChainGops)
{
    /// <summary>The share of the memory's bandwidth that the weights take.</summary>
    public double OfMemory => WeightGBps / MemoryGBps;

    /// <summary>The share of the chain's speed.</summary>
    public double? OfChain => Gflops / ChainGops;
}
