using KQuant.Models.Generation;

namespace KQuant.Server.Chat;

/// <summary>Several texts from one prompt.</summary>
internal static class Seeds
{
    /// <summary>Options for each of some texts: they draw from the seed plus their number, where there is one.</summary>
    public static IEnumerable<GenerationOptions> Spread(GenerationOptions options, SamplingOptions standard, int count)
    {
        SamplingOptions sampling = options.Sampling ?? standard;
        return Enumerable.Range(0, count).Select(i => options with
        {
            Sampling = sampling.Seed is int seed ? sampling with { Seed = unchecked(seed + i) } : sampling,
        });
    }
}
