using KQuant.Codecs;

namespace KQuant.Arm64.Tests;

/// <summary>Which emulated processors run which tier.</summary>
internal static class Processors
{
    /// <summary>All of them.</summary>
    public static IReadOnlyList<string> All { get; } = ["max", "cortex-a76", "neoverse-n1", "cortex-a72"];

    /// <summary>Whether a processor has the dot-product instructions.</summary>
    public static bool HasDotProduct(string processor) => processor != "cortex-a72";

    /// <summary>
    /// The processors that a tier is tested on: those with dot products for the tier that needs them, for the other one that has none and
    /// one that has everything.
    /// </summary>
    public static IEnumerable<string> Of(KernelTier tier) =>
        tier == KernelTier.NeonDot ? All.Where(HasDotProduct) : ["cortex-a72", "max"];
}
