using BenchmarkDotNet.Attributes;
using KQuant.Codecs;
using KQuant.Codecs.Decoding;

namespace KQuant.Benchmarks;

/// <summary>
/// Decodes one row of 4096 weights with every kernel that the machine runs. <c>kquant bench codecs</c> is the quick version.
/// </summary>
[MemoryDiagnoser]
public unsafe class DecodeBenchmarks
{
    private const int Weights = 4096;

    private readonly float[] _destination = new float[Weights];
    private byte[] _source = [];
    private DecodeKernel? _kernel;

    /// <summary>A row of the kernel table.</summary>
    public sealed record Row(QuantCodec Codec, KernelTier Tier)
    {
        public override string ToString() => $"{Codec} {Tier}";
    }

    [ParamsSource(nameof(Rows))]
    public Row Kernel { get; set; } = new(QuantCodec.Get(QuantFormat.Q4_K), KernelTier.Scalar);

    public static IEnumerable<Row> Rows =>
        from kernel in DecodeKernels.All where kernel.IsSupported select new Row(kernel.Codec, kernel.Tier);

    [GlobalSetup]
    public void Setup()
    {
        QuantCodec codec = Kernel.Codec;
        _kernel = DecodeKernels.All.Single(kernel => kernel.Codec == Kernel.Codec && kernel.Tier == Kernel.Tier);

        // No 16-bit word of these is an infinity or a NaN, so no scale is one.
        _source = new byte[codec.GetByteCount(Weights)];
        new Random(1).NextBytes(_source);
        for (int i = 1; i < _source.Length; i += 2)
        {
            _source[i] &= 0xBF;
        }
    }

    [Benchmark(OperationsPerInvoke = Weights)]
    public void Decode()
    {
        fixed (byte* source = _source)
        fixed (float* destination = _destination)
        {
            _kernel!.Run(source, destination, Weights / Kernel.Codec.WeightsPerBlock);
        }
    }
}
