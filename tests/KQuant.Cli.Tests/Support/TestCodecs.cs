using KQuant.Codecs;

namespace KQuant.Cli.Tests;

/// <summary>The codecs as test cases.</summary>
internal static class TestCodecs
{
    public static IReadOnlyList<QuantCodec> All => QuantCodec.Quantized;
}
