using System.Text.Json.Serialization;

namespace KQuant.Cli.Benchmarks;

/// <summary>What <c>kquant bench limits</c> found.</summary>
/// <param name="Processor">The machine.</param>
/// <param name="Runtime">The .NET version.</param>
/// <param name="Memory">One entry per number of threads.</param>
/// <param name="Chains">One entry per chain of instructions and number of threads.</param>
internal sealed record LimitsReport(string Processor, string Runtime, IReadOnlyList<MemoryLimit> Memory, IReadOnlyList<ChainLimit> Chains);

/// <summary>How fast memory is read.</summary>
/// <param name="Threads">Threads that read together.</param>
/// <param name="ReadGBps">GB/s of all of them.</param>
internal sealed record MemoryLimit(int Threads, [property: JsonPropertyName("read_gbps")] double ReadGBps);

/// <summary>How fast a chain of instructions multiplies.</summary>
/// <param name="Tier">The instruction set.</param>
/// <param name="Chain">What is multiplied and how it is added up.</param>
/// <param name="Threads">Threads that multiply together.</param>
/// <param name="Gops">Billions of multiplications and additions per second of all of them.</param>
internal sealed record ChainLimit(string Tier, string Chain, int Threads, double Gops);
