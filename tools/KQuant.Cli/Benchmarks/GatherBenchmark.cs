using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Matmul;

namespace KQuant.Cli.Benchmarks;

/// <summary>Measures the products of a mixture of experts.</summary>
/// <param name="experts">Matrices.</param>
/// <param name="rows">Rows of each.</param>
/// <param name="columns">Columns of each.</param>
/// <param name="top">Experts per token.</param>
/// <param name="isPacked">Whether weights are packed.</param>
internal sealed unsafe class GatherBenchmark(int experts, int rows, int columns, int top, bool isPacked)
{
    // Different choices of experts follow each other, so that a token does not find its experts in the cache.
    private const int Choices = 8;

    private int TopPerToken => top;

    /// <summary>Measures one codec.</summary>
    /// <param name="codec">The codec.</param>
    /// <param name="tokens">Numbers of tokens.</param>
    /// <param name="threads">Numbers of threads.</param>
    /// <param name="maxTier">The best tier allowed.</param>
    /// <param name="rounds">Turns of each measurement.</param>
    /// <param name="progress">Told what is happening.</param>
    /// <param name="cancellationToken">Stops the measurement.</param>
    /// <returns>One entry per number of threads and tokens.</returns>
    public IReadOnlyList<GatherSpeed> Measure(
        QuantCodec codec,
        int[] tokens,
        int[] threads,
        KernelTier maxTier,
        int rounds,
        Action<string> progress,
        CancellationToken cancellationToken)
    {
        var shape = QuantShape.Stack(experts, rows, columns);
        nint bytes = checked((nint)(codec.GetByteCount(columns) * shape.TotalRows));
        using var memory = new NativeBlock(bytes);
        var contexts = new Dictionary<int, MatmulContext>();
        try
        {
            RandomBlocks.Fill(memory.Pointer, bytes);
            using QuantizedTensor weights = QuantizedTensor.FromBuffer(codec, shape, memory);
            foreach (int count in threads.Distinct())
            {
                contexts.Add(count, new MatmulContext(new MatmulOptions { MaxDegreeOfParallelism = count, MaxTier = maxTier }));
            }

            using PackedTensor? packed = isPacked ? PackedTensor.Pack(weights, contexts[threads[0]], cancellationToken) : null;
            Case[] cases = [.. from count in threads from number in tokens select new Case(this, weights, packed, contexts[count], number)];
            Contender[] contenders = [.. cases.SelectMany(item => new[] { item.Gather, item.Dense })];
            Contest.WarmUp(contenders, progress, cancellationToken);
            Contest.Run(contenders, rounds, TimeSpan.FromMilliseconds(20), progress, cancellationToken);
            return [.. cases.Select(item => item.Speed)];
        }
        finally
        {
            foreach (MatmulContext context in contexts.Values)
            {
                context.Dispose();
            }
        }
    }

    /// <summary>A number of tokens through one context, gathered and expert by expert.</summary>
    private sealed class Case
    {
        private readonly GatherBenchmark _benchmark;
        private readonly QuantizedTensor _weights;
        private readonly PackedTensor? _packed;
        private readonly MatmulContext _context;
        private readonly int _tokens;
        private readonly int[][] _choices;
        private readonly QuantizedTensor[] _slices;
        private readonly float[] _x;
        private readonly float[] _y;
        private int _turn;

        public Case(GatherBenchmark benchmark, QuantizedTensor weights, PackedTensor? packed, MatmulContext context, int tokens)
        {
            _benchmark = benchmark;
            _weights = weights;
            _packed = packed;
            _context = context;
            _tokens = tokens;
            var random = new Random(1);
            _choices = [.. Enumerable.Range(0, Choices).Select(_ => Choose(random))];
            _slices = [.. Enumerable.Range(0, (int)weights.Shape.Experts).Select(expert => weights.GetExpert(expert))];
            _x = new float[Entries * weights.Shape.Columns];
            _y = new float[Entries * weights.Shape.Rows];
            for (int i = 0; i < _x.Length; i++)
            {
                _x[i] = random.NextSingle() - 0.5f;
            }

            string name = $"{weights.Codec.Name} {tokens} tokens, {context.Threads} threads";
            Gather = new Contender($"{name}, gather", repetitions => Repeat(repetitions, RunGather));
            Dense = new Contender($"{name}, expert by expert", repetitions => Repeat(repetitions, RunDense));
        }

        public Contender Gather { get; }

        public Contender Dense { get; }

        public GatherSpeed Speed
        {
            get
            {
                double operations = 2.0 * Entries * _weights.Shape.Rows * _weights.Shape.Columns;
                double touched = _choices.Average(choice => choice.Distinct().Count());
                int rows = Math.Max(1, (int)Math.Round(Entries / touched));
                return new GatherSpeed(
                    _weights.Codec.Name,
                    _context.Threads,
                    _tokens,
                    (_packed is null ? _context.GetKernel(_weights.Codec, rows) : _context.GetKernel(_packed, rows)).ToString(),
                    Gather.BestSeconds * 1e6,
                    operations / Gather.BestSeconds / 1e9,
                    touched * _weights.ByteCount / _weights.Shape.Experts / Gather.BestSeconds / 1e9,
                    operations / Dense.BestSeconds / 1e9);
            }
        }

        private int Entries => _tokens * _benchmark.TopPerToken;

        private int[] Choose(Random random)
        {
            int[] all = [.. Enumerable.Range(0, (int)_weights.Shape.Experts)];
            var chosen = new int[Entries];
            for (int token = 0; token < _tokens; token++)
            {
                random.Shuffle(all);
                all.AsSpan(0, _benchmark.TopPerToken).CopyTo(chosen.AsSpan(token * _benchmark.TopPerToken));
            }

            return chosen;
        }

        private void Repeat(int repetitions, Action<int[]> run)
        {
            for (int i = 0; i < repetitions; i++)
            {
                run(_choices[_turn++ % Choices]);
            }
        }

        private void RunGather(int[] choice)
        {
            int columns = _weights.Shape.Columns;
            ReadOnlySpan<float> x = _x.AsSpan(0, _tokens * columns);
            var rhs = new IndexArray(choice, [_tokens, _benchmark.TopPerToken]);
            if (_packed is null)
            {
                QuantizedMatmul.GatherMultiply(_weights, x, [_tokens, 1, 1, columns], default, rhs, _y, _context);
            }
            else
            {
                QuantizedMatmul.GatherMultiply(_packed, x, [_tokens, 1, 1, columns], default, rhs, _y, _context);
            }
        }

        // The rows of an expert lie side by side already: what a gather would cost if choosing, sorting and scattering were free.
        private void RunDense(int[] choice)
        {
            Span<int> counts = stackalloc int[(int)_weights.Shape.Experts];
            counts.Clear();
            foreach (int expert in choice)
            {
                counts[expert]++;
            }

            for (int expert = 0; expert < counts.Length; expert++)
            {
                if (counts[expert] > 0)
                {
                    QuantizedMatmul.Multiply(
                        _slices[expert],
                        _x.AsSpan(0, counts[expert] * _weights.Shape.Columns),
                        _y.AsSpan(0, counts[expert] * (int)_weights.Shape.Rows),
                        _context);
                }
            }
        }
    }
}
