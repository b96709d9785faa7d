using KQuant.Cli.Benchmarks.Limits;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Matmul;

namespace KQuant.Cli.Benchmarks;

/// <summary>Measures products, and in turns with them the limits of the machine.</summary>
/// <param name="rows">Rows of the weights.</param>
/// <param name="columns">Columns of the weights.</param>
/// <param name="isPacked">Whether weights are packed.</param>
/// <param name="rotatedBytes">
/// What copies of the weights take together. More than any cache holds, and every product finds its weights in memory only, as in a model.
/// </param>
/// <param name="options">How to compute; the numbers of threads are given with each measurement.</param>
internal sealed unsafe class MatmulBenchmark(int rows, int columns, bool isPacked, long rotatedBytes, MatmulOptions options)
{
    private const int Alignment = 64;

    /// <summary>What the speed of memory is measured with.</summary>
    private const int LeastMemoryBytes = 128 << 20;

    /// <summary>Measures one codec.</summary>
    /// <param name="codec">The codec.</param>
    /// <param name="batches">Numbers of activation rows.</param>
    /// <param name="threads">Numbers of threads.</param>
    /// <param name="rounds">Turns of each measurement.</param>
    /// <param name="progress">Told what is happening.</param>
    /// <param name="cancellationToken">Stops the measurement.</param>
    /// <returns>One entry per number of threads and rows.</returns>
    public IReadOnlyList<MatmulSpeed> Measure(
        QuantCodec codec, int[] batches, int[] threads, int rounds, Action<string> progress, CancellationToken cancellationToken)
    {
        var shape = new QuantShape(rows, columns);
        nint bytes = checked((nint)(codec.GetByteCount(columns) * rows)), stride = (bytes + Alignment - 1) / Alignment * Alignment;
        nint copies = (nint)(rotatedBytes / stride) + 1;
        nint memoryBytes = Math.Max(stride * copies, LeastMemoryBytes);
        using var block = new NativeBlock(memoryBytes);
        byte* memory = block.Pointer;
        var contexts = new Dictionary<int, MatmulContext>();
        var weights = new QuantizedTensor[copies];
        var packed = new PackedTensor?[copies];
        try
        {
            RandomBlocks.Fill(memory, memoryBytes);
            foreach (int count in threads.Distinct())
            {
                contexts.Add(count, new MatmulContext(options with { MaxDegreeOfParallelism = count }));
            }

            for (int i = 0; i < copies; i++)
            {
                progress($"{codec.Name}, {(isPacked ? "packing" : "making")} weights");
                weights[i] = QuantizedTensor.FromBuffer(codec, shape, block, i * stride);
                packed[i] = isPacked ? PackedTensor.Pack(weights[i], contexts[threads[0]], cancellationToken) : null;
            }

            Case[] cases = [.. from count in threads from m in batches select new Case(weights, packed, contexts[count], m)];
            InstructionChain[] chains = [.. cases.Select(item => item.Chain).OfType<InstructionChain>().Distinct()];
            using var limits = new LimitBenchmark(memory, memoryBytes, chains, threads);
            Contender[] contenders = [.. cases.Select(item => item.Contender), .. limits.Contenders];
            Contest.WarmUp(contenders, progress, cancellationToken);
            Contest.Run(contenders, rounds, TimeSpan.FromMilliseconds(20), progress, cancellationToken);
            return [.. cases.Select(item => item.Speed(limits))];
        }
        finally
        {
            Array.ForEach(packed, item => item?.Dispose());
            Array.ForEach(weights, item => item?.Dispose());
            foreach (MatmulContext context in contexts.Values)
            {
                context.Dispose();
            }
        }
    }

    /// <summary>A number of rows through one context.</summary>
    private sealed class Case
    {
        private readonly QuantizedTensor[] _weights;
        private readonly PackedTensor?[] _packed;
        private readonly MatmulContext _context;
        private readonly MatmulKernel _kernel;
        private readonly int _m;
        private readonly float[] _x;
        private readonly float[] _y;
        private int _turn;

        public Case(QuantizedTensor[] weights, PackedTensor?[] packed, MatmulContext context, int m)
        {
            _weights = weights;
            _packed = packed;
            _context = context;
            _m = m;
            _kernel = packed[0] is { } arranged ? context.GetKernel(arranged, m) : context.GetKernel(weights[0].Codec, m);
            _x = new float[m * weights[0].Shape.Columns];
            _y = new float[m * weights[0].Shape.Rows];
            var random = new Random(1);
            for (int i = 0; i < _x.Length; i++)
            {
                _x[i] = random.NextSingle() - 0.5f;
            }

            Chain = InstructionChain.For(_kernel.Codec, _kernel.Tier, isInteger: _kernel.Name != "float");
            Contender = new Contender($"{weights[0].Codec.Name} M={m}, {context.Threads} threads", Repeat);
        }

        public Contender Contender { get; }

        public InstructionChain? Chain { get; }

        public MatmulSpeed Speed(LimitBenchmark limits)
        {
            int threads = _context.Threads;
            return new MatmulSpeed(
                _weights[0].Codec.Name,
                threads,
                _m,
                _kernel.ToString(),
                Contender.BestSeconds * 1e6,
                2.0 * _m * _weights[0].Shape.Rows * _weights[0].Shape.Columns / Contender.BestSeconds / 1e9,
                _weights[0].ByteCount / Contender.BestSeconds / 1e9,
                limits.MemoryGBps(threads),
                Chain?.ToString(),
                Chain is null ? null : limits.Gops(Chain, threads));
        }

        private void Repeat(int repetitions)
        {
            for (int i = 0; i < repetitions; i++)
            {
                int copy = _turn++ % _weights.Length;
                if (_packed[copy] is { } packed)
                {
                    QuantizedMatmul.Multiply(packed, _x, _y, _context);
                }
                else
                {
                    QuantizedMatmul.Multiply(_weights[copy], _x, _y, _context);
                }
            }
        }
    }
}
