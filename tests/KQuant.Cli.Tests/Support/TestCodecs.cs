using KQuant.Codecs;

namespace KQuant.Cli.Tests;

/// <summary>The codecs as test cases.</summary>
internal static class TestCodecs
{
    /// <summary>Those whose bytes lie in one piece.</summary>
    public static IEnumerable<QuantCodec> Blocks => QuantCodec.Quantized.Where(codec => codec.Planes.Length == 1);
}
