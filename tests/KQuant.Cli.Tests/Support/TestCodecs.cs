using KQuant.Codecs;

namespace KQuant.Cli.Tests;

/// <summary>The codecs as test cases.</summary>
internal static class TestCodecs
{
    /// <summary>Those whose blocks a checkpoint holds; its mxfp4 and nvfp4 are MLX's.</summary>
    public static IEnumerable<QuantCodec> CheckpointBlocks => Blocks.Where(codec => codec.Name is not ("mxfp4" or "nvfp4"));

    /// <summary>Those whose bytes lie in one piece.</summary>
    public static IEnumerable<QuantCodec> Blocks => QuantCodec.Quantized.Where(codec => codec.Planes.Length == 1);
}
