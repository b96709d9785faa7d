using System.Text.RegularExpressions;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.Models.Products;

namespace KQuant.Models.Calibration;

/// <summary>
/// Gathers an importance matrix: text runs through a model, and of everything that its weights are multiplied with the sums and the sums of
/// squares are kept for each column, in float64; for experts each on its own, with counts; for the output too.
/// </summary>
/// <remarks>While it lives, it sees everything that the model computes; nobody else should use the model then.</remarks>
public sealed partial class ImportanceCalibrator : IDisposable
{
    private readonly LanguageModel _model;
    private readonly CalibrationOptions _options;
    private readonly InputCollector _collector = new();
    private readonly IModelProducts _plain;
    private readonly RoutedProducts _routed;
    private readonly SubstitutedProducts _substituted;
    private readonly Dictionary<string, double> _losses = [];
    private readonly Dictionary<string, string?> _routers = [];
    private readonly KeyValueCache _cache;
    private readonly TensorNames? _names;
    private string _origin = "";
    private int _covered;
    private bool _disposed;

    /// <summary>Begins.</summary>
    /// <param name="model">A model, best with float weights and <c>Float32</c> activations.</param>
    /// <param name="options">How; null for chunks of 512.</param>
    /// <exception cref="ArgumentException">
    /// A chunk is longer than the context of the model; or a share is to see to rarely chosen experts, which only who sees all can.
    /// </exception>
    public ImportanceCalibrator(LanguageModel model, CalibrationOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        _model = model;
        _options = options ?? new CalibrationOptions();
        if (_options.ChunkLength < 1 || _options.ChunkLength > model.ContextLength)
        {
            throw new ArgumentException(
                $"A chunk of {_options.ChunkLength} tokens does not fit into the context of {model.ContextLength} of {model.Path}.", nameof(options));
        }

        if (_options is { Shard: not null, CoverageFloor: > 0 })
        {
            throw new ArgumentException("A coverage floor looks at all of the text, so it cannot be had in parts.", nameof(options));
        }

        _cache = model.CreateCache();
        _names = ModelTensorNames.TryFor(model.Config.Architecture, out TensorNames? names) ? names : null;
        IModelProducts? plain = null;
        RoutedProducts? routed = null;
        SubstitutedProducts? substituted = null;
        model.Runner.Decorate(products =>
        {
            plain = products;
            return new ObservedProducts(routed = new RoutedProducts(substituted = new SubstitutedProducts(products)), _collector);
        });
        (_plain, _routed, _substituted) = (plain!, routed!, substituted!);
    }

    /// <summary>Chunks that have run through the model.</summary>
    public int ChunkCount { get; private set; }

    /// <summary>How many inputs the experts of each stack have seen.</summary>
    public IReadOnlyList<ExpertCoverage> Coverage =>
    [
        .. _collector.ByName.Where(pair => pair.Value.Counts.Length > 1)
            .Select(pair => new ExpertCoverage { Name = NameOf(pair.Key), Counts = [.. pair.Value.Counts] }),
    ];

    /// <summary>Chunks of a text.</summary>
    /// <param name="tokens">Its tokens.</param>
    /// <param name="options">How it is cut.</param>
    /// <returns>Their number, those of the share if there is one; 0 when the text is too short.</returns>
    public static int CountChunks(int tokens, CalibrationOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return ChunksOf(tokens, options).Count;
    }

    private static (int First, int Count) ChunksOf(int tokens, CalibrationOptions options)
    {
        (int chunks, int rest) = Math.DivRem(tokens, options.ChunkLength);
        chunks += options.KeepsRest && rest >= Math.Max(1, options.ChunkLength / 2) ? 1 : 0;
        chunks = options.MaxChunks > 0 ? Math.Min(chunks, options.MaxChunks) : chunks;
        return options.Shard?.RangeOf(chunks) ?? (0, chunks);
    }

    /// <summary>Lets a text run through the model, from the chunk after those that were done; then sees to experts that were rarely chosen.</summary>
    /// <param name="tokens">The text; always the same one.</param>
    /// <param name="progress">Told after every chunk.</param>
    /// <param name="cancellationToken">Ends it between two steps; what was gathered from whole chunks remains.</param>
    /// <exception cref="ArgumentException">The text is shorter than a chunk, or has fewer chunks than there are shares.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public void Run(ReadOnlySpan<int> tokens, IProgress<CalibrationProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        (int first, int total) = ChunksOf(tokens.Length, _options);
        int all = CountChunks(tokens.Length, _options with { Shard = null });
        if (all == 0 || _options.Shard?.Count > all)
        {
            throw new ArgumentException(
                all == 0
                    ? $"The text has {tokens.Length} tokens, less than a chunk of {_options.ChunkLength}."
                    : $"The text has {all} chunks of {_options.ChunkLength} tokens, too few for {_options.Shard!.Count} parts.",
                nameof(tokens));
        }

        _origin = OriginOf(tokens);

        while (ChunkCount < total)
        {
            RunChunk(tokens, first + ChunkCount, cancellationToken);
            ChunkCount++;
            progress?.Report(new CalibrationProgress { Chunks = ChunkCount, TotalChunks = total, IsCovering = false });
        }

        try
        {
            while (_options.CoverageFloor > 0 && _covered < total && FindCold())
            {
                RunChunk(tokens, _covered, cancellationToken);
                _covered++;
                progress?.Report(new CalibrationProgress { Chunks = ChunkCount + _covered, TotalChunks = total, IsCovering = true });
            }
        }
        finally
        {
            _routed.Cold = new Dictionary<string, int[]>();
            _collector.Filter = null;
        }
    }

    /// <summary>
    /// Measures what errors of each weight cost the model, on some of the text: every tensor is quantized alone, and how far predictions move
    /// is noted (<see cref="ImportanceEntry.LossPerError"/>). Takes as long as reading these tokens once for each tensor.
    /// </summary>
    /// <param name="tokens">The text, of which <see cref="Run"/> has used at least a chunk.</param>
    /// <param name="count">Tokens of it to use.</param>
    /// <param name="progress">Told after every tensor.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    public void MeasureLosses(
        ReadOnlySpan<int> tokens, int count, IProgress<CalibrationProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);

        // The head is multiplied with only where logits are wanted, so it is met here first.
        int length = Math.Min(Math.Min(_options.ChunkLength, count), tokens.Length);
        int texts = Math.Max(1, Math.Min(count, tokens.Length) / length), step = tokens.Length / texts;
        var chosen = new int[texts][];
        for (int i = 0; i < texts; i++)
        {
            chosen[i] = tokens.Slice(Math.Min(i * step, tokens.Length - length), length).ToArray();
            chosen[i][0] = _options.FirstToken ?? chosen[i][0];
        }

        var meter = new LossMeter(_model, _substituted, chosen);
        _collector.IsPaused = false;
        _collector.Filter = (_, _) => false;
        try
        {
            meter.Begin(cancellationToken);
            _collector.IsPaused = true;
            int done = 0;
            foreach ((string name, InputMoments moments) in _collector.ByName.ToArray())
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (_options.Shard is JobShard shard && done % shard.Count != shard.Number - 1)
                {
                    done++;
                    continue;
                }

                if (_collector.Weights.TryGetValue(name, out List<ModelWeight>? parts)
                    && TensorRoles.Classify(name) != TensorRole.Router && meter.Measure(parts, moments, cancellationToken) is double loss)
                {
                    _losses[name] = loss;
                }

                progress?.Report(new CalibrationProgress { Chunks = ++done, TotalChunks = _collector.ByName.Count, IsCovering = false });
            }
        }
        finally
        {
            (_collector.IsPaused, _collector.Filter) = (false, null);
        }
    }

    /// <summary>What all parts of a calibration have in common: model, text and options.</summary>
    /// <param name="tokens">The text.</param>
    /// <returns>A description.</returns>
    public string OriginOf(ReadOnlySpan<int> tokens) =>
        FormattableString.Invariant($"{CountChunks(tokens.Length, _options with { Shard = null })} chunks of ")
        + CalibrationState.Describe(_model.Path, tokens, _options with { Shard = null });

    /// <summary>The matrix gathered so far, under GGUF names where they are known.</summary>
    /// <param name="priorWeight">
    /// For how many inputs a neutral one counts in each matrix: one whose columns are all as important as a column is on average. Helps
    /// experts that have seen little.
    /// </param>
    /// <returns>The matrix.</returns>
    public ImportanceMatrix ToMatrix(double priorWeight = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(priorWeight);
        var matrix = new ImportanceMatrix
        {
            ChunkCount = ChunkCount,
            ChunkSize = _options.ChunkLength,
            Datasets = _options.Dataset is null ? [] : [_options.Dataset],
            Part = _options.Shard is JobShard shard ? new ImportancePart { Shard = shard, Origin = _origin } : null,
        };
        foreach ((string name, InputMoments moments) in _collector.ByName.OrderBy(pair => NameOf(pair.Key), StringComparer.Ordinal))
        {
            float[] squares = Array.ConvertAll(moments.Squares, value => (float)value);
            float[] sums = Array.ConvertAll(moments.Sums, value => (float)value);
            var entry = new ImportanceEntry(NameOf(name), squares, moments.Counts, sums)
            {
                LossPerError = _losses.TryGetValue(name, out double loss) ? loss : null,
            };
            matrix.Add(priorWeight > 0 ? entry.WithPrior(priorWeight) : entry);
        }

        return matrix;
    }

    /// <summary>Saves everything that was gathered, exactly, so that <see cref="Resume"/> can go on.</summary>
    /// <param name="path">The file; one that exists is replaced.</param>
    /// <param name="tokens">The text.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path, ReadOnlySpan<int> tokens) =>
        CalibrationState.Write(path, _collector, ChunkCount, _covered, CalibrationState.Describe(_model.Path, tokens, _options));

    /// <summary>Goes on where a saved calibration of the same model, text and options was.</summary>
    /// <param name="path">The file.</param>
    /// <param name="tokens">The text.</param>
    /// <exception cref="ModelFormatException">The file is none, or that of another model, text or chunk length.</exception>
    public void Resume(string path, ReadOnlySpan<int> tokens) =>
        (ChunkCount, _covered) = CalibrationState.Read(path, _collector, CalibrationState.Describe(_model.Path, tokens, _options));

    /// <summary>Stops looking at the model.</summary>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            _model.Runner.Decorate(_ => _plain);
            _cache.Dispose();
        }
    }

    private void RunChunk(ReadOnlySpan<int> tokens, int chunk, CancellationToken cancellation)
    {
        int start = chunk * _options.ChunkLength;
        int[] text = tokens.Slice(start, Math.Min(_options.ChunkLength, tokens.Length - start)).ToArray();
        text[0] = _options.FirstToken ?? text[0];
        _cache.Clear();
        var hidden = new float[text.Length * _model.Config.HiddenSize];

        // A chunk counts as a whole or not at all, so it is not ended early.
        cancellation.ThrowIfCancellationRequested();
        _model.ForwardHidden(text, _cache, hidden, CancellationToken.None);
        if (_collector.Filter is null)
        {
            // The logits themselves are of no use here.
            string head = _model.Config.TiesEmbedding ? "model.embed_tokens.weight" : "lm_head.weight";
            InputCollector.Add(_collector.Get(head, 1, _model.Config.HiddenSize), hidden);
        }
    }

    /// <summary>Whose turn it is in the second pass; false when everybody has enough.</summary>
    private bool FindCold()
    {
        var cold = new Dictionary<string, int[]>();
        foreach ((string name, InputMoments moments) in _collector.ByName)
        {
            if (moments.Counts.Length < 2 || RouterOf(name) is not string router)
            {
                continue;
            }

            double least = _options.CoverageFloor * ChunkCount * _options.ChunkLength
                * (_model.Config.Experts?.PerToken ?? 1) / moments.Counts.Length;
            int[] rare = [.. Enumerable.Range(0, moments.Counts.Length).Where(expert => moments.Counts[expert] < least)];
            if (rare.Length > 0)
            {
                cold[router] = rare;
            }
        }

        _routed.Cold = cold;
        _collector.Filter = (name, expert) => RouterOf(name) is string router && cold.TryGetValue(router, out int[]? rare) && rare.Contains(expert);
        return cold.Count > 0;
    }

    /// <summary>The router of a stack of experts: the one beside it that has a score for each of them. Null for what is no stack.</summary>
    private string? RouterOf(string stack)
    {
        if (!_routers.TryGetValue(stack, out string? router))
        {
            string block = BlockOf().Match(stack) is { Success: true } match ? match.Value : "";
            router = block.Length == 0 ? null : _collector.Weights
                .Where(weight => weight.Key.StartsWith(block, StringComparison.Ordinal) && TensorRoles.Classify(weight.Key) == TensorRole.Router)
                .FirstOrDefault(weight => weight.Value[0].Outputs == _collector.ByName[stack].Counts.Length).Key;
            _routers.Add(stack, router);
        }

        return router;
    }

    [GeneratedRegex(@"^.*\.(?=(switch_mlp|experts)\.)")]
    private static partial Regex BlockOf();

    private string NameOf(string name) => _names is not null && _names.TryToGguf(name, out string? gguf) ? gguf : name;
}
