namespace KQuant.Metal;

/// <summary>A kernel that knows no codec, and the shape in which it runs.</summary>
/// <param name="Name">Its name in the shader library.</param>
/// <param name="Threads">Threads of a threadgroup.</param>
/// <param name="ThreadgroupBytes">Threadgroup memory.</param>
internal sealed record LayerKernel(string Name, int Threads, int ThreadgroupBytes = 0)
{
    /// <summary>The most runs of 1024 values that a norm has: rows of a quarter of a million.</summary>
    private const int NormRuns = 256;

    /// <summary>A threadgroup for 256 values.</summary>
    public static LayerKernel AddRow { get; } = new("add_row", 256);

    /// <summary>A threadgroup for each row.</summary>
    public static LayerKernel Norm { get; } = new("norm", 256, NormRuns * sizeof(float));

    /// <summary>A threadgroup for 256 values.</summary>
    public static LayerKernel GateSilu { get; } = new("gate_silu", 256);

    /// <summary>A threadgroup, one simdgroup, for each head of a row.</summary>
    public static LayerKernel PrepareHeads { get; } = new("prepare_heads", 32);

    /// <summary>A threadgroup for each head of a row; its memory depends on the size of a head.</summary>
    public static LayerKernel Attend { get; } = new("attend", 128);

    /// <summary>A threadgroup, one simdgroup, for each row.</summary>
    public static LayerKernel Route { get; } = new("route", 32);

    /// <summary>A threadgroup for 256 values.</summary>
    public static LayerKernel AddWeighted { get; } = new("add_weighted", 256);
}
