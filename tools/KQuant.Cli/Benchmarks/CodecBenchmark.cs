using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Codecs.Decoding;
using KQuant.Codecs.Encoders;

namespace KQuant.Cli.Benchmarks;

/// <summary>Measures decoders and encoders.</summary>
internal static unsafe class CodecBenchmark
{
    private const int CachedWeights = 4096;
    private const int StreamedWeights = 32 << 20;
    private const int EncodedRow = 4096;
    private const int EncodedRows = 16;

    /// <summary>Times every decoder of some codecs and tiers.</summary>
    /// <param name="codecs">The codecs.</param>
    /// <param name="tiers">The tiers; the machine has them all.</param>
    /// <param name="rounds">Turns of each decoder.</param>
    /// <param name="progress">Told what is happening.</param>
    /// <param name="cancellationToken">Stops the measurement.</param>
    /// <returns>In the order of the codecs, worst tier first.</returns>
    public static IReadOnlyList<DecodeSpeed> Decode(
        IReadOnlyList<QuantCodec> codecs,
        IReadOnlyList<KernelTier> tiers,
        int rounds,
        Action<string> progress,
        CancellationToken cancellationToken)
    {
        const int CacheLine = 64;
        float* destination = (float*)NativeMemory.AlignedAlloc((nuint)StreamedWeights * sizeof(float), CacheLine);
        byte* source = (byte*)NativeMemory.AlignedAlloc((nuint)StreamedWeights * sizeof(float), CacheLine);
        try
        {
            RandomBlocks.Fill(source, (nint)StreamedWeights * sizeof(float));
            DecodeKernel[] kernels =
            [
                .. from codec in codecs
                   from kernel in DecodeKernels.All.OrderBy(kernel => kernel.Tier)
                   where kernel.Codec == codec && tiers.Contains(kernel.Tier)
                   select kernel,
            ];
            if (kernels.Length == 0)
            {
                throw new NotSupportedException($"No decoder of {string.Join(", ", codecs)} is written for {string.Join(", ", tiers)}.");
            }

            Contender[] cached = Array.ConvertAll(kernels, kernel => Contend(kernel, source, destination, CachedWeights));
            Contest.WarmUp(cached, progress, cancellationToken);
            Contest.Run(cached, 4 * rounds, TimeSpan.FromMilliseconds(1), progress, cancellationToken);
            Contender[] streaming = Array.ConvertAll(kernels, kernel => Contend(kernel, source, destination, StreamedWeights));
            Contest.Run(streaming, (rounds + 1) / 2, TimeSpan.Zero, progress, cancellationToken);

            return
            [
                .. kernels.Select((kernel, i) => new DecodeSpeed(
                    kernel.Codec.Name,
                    kernel.Tier.ToString(),
                    kernel.Tier == kernel.Codec.DecodeTier,
                    GigabytesPerSecond(CachedWeights, cached[i]),
                    GigabytesPerSecond(StreamedWeights, streaming[i]))),
            ];
        }
        finally
        {
            NativeMemory.AlignedFree(source);
            NativeMemory.AlignedFree(destination);
        }
    }

    /// <summary>Times the three ways of encoding on one thread, with every encoder of some codecs and tiers.</summary>
    /// <param name="codecs">The codecs.</param>
    /// <param name="tiers">The tiers; the machine has them all.</param>
    /// <param name="rounds">Turns of each.</param>
    /// <param name="progress">Told what is happening.</param>
    /// <param name="cancellationToken">Stops the measurement.</param>
    /// <returns>In the order of the codecs, worst tier first.</returns>
    public static IReadOnlyList<EncodeSpeed> Encode(
        IReadOnlyList<QuantCodec> codecs, IReadOnlyList<KernelTier> tiers, int rounds, Action<string> progress, CancellationToken cancellationToken)
    {
        var random = new Random(1);
        float[] weights = new float[EncodedRows * EncodedRow];
        float[] importance = new float[EncodedRow];
        for (int i = 0; i < weights.Length; i++)
        {
            weights[i] = (float)(0.02 * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
        }

        for (int i = 0; i < importance.Length; i++)
        {
            importance[i] = random.NextSingle() + 0.1f;
        }

        EncodeKernel[] kernels =
        [
            .. from codec in codecs
               from kernel in EncodeKernels.All.OrderBy(kernel => kernel.Tier)
               where kernel.Codec == codec && tiers.Contains(kernel.Tier)
               select kernel,
        ];
        if (kernels.Length == 0)
        {
            throw new NotSupportedException($"No encoder of {string.Join(", ", codecs)} is written for {string.Join(", ", tiers)}.");
        }

        Contender[][] ways = [.. kernels.Select(kernel => new[]
        {
            Contend(kernel, "reference", [], EncodeMode.Reference),
            Contend(kernel, "importance", importance, EncodeMode.Reference),
            Contend(kernel, "best", [], EncodeMode.Best),
        })];
        Contender[] all = [.. ways.SelectMany(way => way)];
        Contest.WarmUp(all, progress, cancellationToken);
        Contest.Run(all, rounds, TimeSpan.FromMilliseconds(5), progress, cancellationToken);
        return
        [
            .. kernels.Select((kernel, i) => new EncodeSpeed(
                kernel.Codec.Name,
                kernel.Tier.ToString(),
                kernel.Tier == kernel.Codec.EncodeTier,
                Speed(ways[i][0]),
                Speed(ways[i][1]),
                Speed(ways[i][2]))),
        ];

        Contender Contend(EncodeKernel kernel, string way, float[] columns, EncodeMode mode)
        {
            byte[] destination = new byte[kernel.Codec.GetByteCount(weights.Length)];
            return new Contender($"encode {kernel} {way}", repetitions =>
            {
                var options = new EncodeOptions { RowLength = EncodedRow, Importance = columns, Mode = mode, MaxDegreeOfParallelism = 1 };
                for (int i = 0; i < repetitions; i++)
                {
                    kernel.Codec.EncodeWith(kernel, weights, destination, options, cancellationToken);
                }
            });
        }

        double Speed(Contender contender) => Round(weights.Length / contender.BestSeconds / 1e6);
    }

    private static Contender Contend(DecodeKernel kernel, byte* source, float* destination, int weights)
    {
        nint blocks = weights / kernel.Codec.WeightsPerBlock;
        return new Contender($"decode {kernel}", repetitions =>
        {
            for (int i = 0; i < repetitions; i++)
            {
                kernel.Run(source, destination, blocks);
            }
        });
    }

    private static double GigabytesPerSecond(int weights, Contender contender) =>
        Round(weights * (double)sizeof(float) / contender.BestSeconds / 1e9);

    /// <summary>To the digits that a measurement can have.</summary>
    private static double Round(double value) => Math.Round(value, 2);
}
