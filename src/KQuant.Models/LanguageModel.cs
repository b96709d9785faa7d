using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Matmul;
using KQuant.Models.Adapters;
using KQuant.Models.Caching;
using KQuant.Models.Generation;
using KQuant.Models.Products;
using KQuant.Models.Templates;
using KQuant.Models.Tokenizers;
using KQuant.Models.Transformers;
using KQuant.Models.Weights;

namespace KQuant.Models;

/// <summary>
/// A language model ready to run: Hugging Face folders, KQuant/MLX checkpoints and GGUF files. Weights stay in the file, mapped into
/// memory; they are multiplied as they are stored.
/// </summary>
/// <remarks>
/// Safe to use from several threads: calls take turns, a chunk of a prompt or a token each. To run texts at the same time, batch them.
/// </remarks>
public sealed partial class LanguageModel : IDisposable
{
    /// <summary>A limited cache has room for these and for something new.</summary>
    private const int LeastCacheSize = 16;

    private readonly ModelWeights _weights;
    private readonly ModelRunner _runner;
    private readonly MatmulContext _context;
    private readonly AdapterBinding _binding;
    private readonly bool _ownsContext;
    private readonly Tokenizer? _tokenizer;
    private readonly ChatTemplate? _template;
    private byte[]? _fingerprint;
    private bool _disposed;

    private LanguageModel(
        ModelSource source, string path, ModelOptions options, IProgress<ModelProgress>? progress, CancellationToken cancellation)
    {
        Path = path;
        Options = options;
        Config = ModelConfig.Read(source, options.Conventions);
        ContextLength = options.ContextLength > 0 ? options.ContextLength : Config.ContextLength;
        _weights = new ModelWeights(source);
        DefaultSampling = SamplingReader.Read(source);
        (_tokenizer, _template) = options.LoadTokenizer ? LoadText(source, path) : default;
        _ownsContext = options.Context is null;
        _context = options.Context ?? new MatmulContext(options.Matmul);
        try
        {
            CheckCache(options.Cache, Config);
            IModelProducts products = options.Backend is null ? new ProcessorProducts(_context) : new BackendProducts(_context, options.Backend);
            var transformer = new Transformer(Config, _weights, _context, products, ContextLength, layer => Report(progress, layer), cancellation);
            _binding = new AdapterBinding(Config, transformer.Weights);
            Adapt(transformer, options.Adapters);
            _runner = new ModelRunner(this, Name, () => Fingerprint, transformer, Config, ContextLength, options.ChunkSize, options.Cache);
        }
        catch
        {
            if (_ownsContext)
            {
                _context.Dispose();
            }

            throw;
        }
    }

    /// <summary>The path that was loaded.</summary>
    public string Path { get; }

    /// <summary>What the model computes.</summary>
    public ModelConfig Config { get; }

    /// <summary>What the model is called: the last part of its path.</summary>
    internal string Name => System.IO.Path.GetFileName(System.IO.Path.TrimEndingDirectorySeparator(Path));

    /// <summary>How it was loaded.</summary>
    public ModelOptions Options { get; }

    /// <summary>Tokens that a text may have.</summary>
    public int ContextLength { get; }

    /// <summary>
    /// How the model's makers would choose tokens: <c>generation_config.json</c> of a folder (greedy unless <c>do_sample</c> is true, and then
    /// among 50 tokens unless <c>top_k</c> says otherwise, as in transformers), <c>general.sampling</c> of a GGUF file (what some of its keys
    /// leave out is as in llama.cpp: temperature 0.8, top-k 40, top-p 0.95, min-p 0.05); greedy where they say nothing. What generates
    /// without <see cref="GenerationOptions.Sampling"/> does it so.
    /// </summary>
    public SamplingOptions DefaultSampling { get; }

    /// <summary>Text to token ids and back.</summary>
    /// <exception cref="InvalidOperationException">The model was loaded without.</exception>
    public Tokenizer Tokenizer
    {
        get
        {
            if (_tokenizer is null)
            {
                Throw.NoTokenizer(Path);
            }

            return _tokenizer;
        }
    }

    /// <summary>The chat template, or null if the model has none.</summary>
    public ChatTemplate? ChatTemplate => _template;

    /// <summary>Bytes of all weights.</summary>
    public long WeightBytes => _weights.ByteCount;

    /// <summary>All weights.</summary>
    public long WeightCount => _weights.WeightCount;

    /// <summary>Bytes of the weights by codec.</summary>
    public IReadOnlyDictionary<QuantCodec, long> Codecs => _weights.Codecs;

    /// <summary>The codec of the weights that most bytes have.</summary>
    public QuantCodec MainCodec => _weights.Codecs.MaxBy(entry => entry.Value).Key;

    /// <summary>Threads and kernels.</summary>
    public MatmulContext Context => _context;

    /// <summary>
    /// Loads a model. Only headers, norms and the tokenizer are read; weights are read from the file when they are first multiplied, unless
    /// <see cref="ModelOptions.Map"/> is false.
    /// </summary>
    /// <param name="path">A checkpoint folder or a GGUF file.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <param name="progress">Told of every layer.</param>
    /// <param name="cancellationToken">Ends loading.</param>
    /// <returns>The model; dispose it to close the file.</returns>
    /// <exception cref="ArgumentException">The options name a layer that the model does not have.</exception>
    /// <exception cref="FileNotFoundException">There is no such file or folder.</exception>
    /// <exception cref="ModelFormatException">
    /// The files are not well-formed, a tensor is missing or has another shape, the architecture or something it needs is not supported, or an
    /// adapter is for another model.
    /// </exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static Task<LanguageModel> LoadAsync(
        string path, ModelOptions? options = null, IProgress<ModelProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return Task.Run(() => Load(path, options, progress, cancellationToken), cancellationToken);
    }

    /// <inheritdoc cref="LoadAsync"/>
    /// <example>
    /// <code>
    /// using LanguageModel model = LanguageModel.Load("Qwen3-0.6B");      // a checkpoint folder or a GGUF file
    /// Console.WriteLine($"{model.Config.Architecture}, {model.WeightCount} weights");
    /// </code>
    /// </example>
    public static LanguageModel Load(
        string path, ModelOptions? options = null, IProgress<ModelProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        options ??= new ModelOptions();
        ModelSource source = MappedFile.WithoutMapping(!options.Map, () => ModelSource.Open(path));
        try
        {
            if (source is not (ModelFolder or GgufSource))
            {
                throw new ModelFormatException(path, "this is neither a checkpoint folder with a config.json nor a GGUF file");
            }

            return new LanguageModel(source, path, options, progress, cancellationToken);
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>An empty cache for a text.</summary>
    /// <param name="maxSize">
    /// Tokens to remember at most: the first four and the last ones, as mlx-lm's rotating cache does; then a text may be longer than the
    /// context. 0 remembers all.
    /// </param>
    /// <returns>The cache; dispose it to free its memory.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxSize"/> is negative, or above 0 and less than 16.</exception>
    /// <example>
    /// <code>
    /// using KeyValueCache cache = model.CreateCache();
    /// var options = new GenerationOptions { Cache = cache, MaxTokens = 16 };
    /// _ = model.Generate(model.Tokenizer.Encode("Mr. Darcy"), options).Count();
    /// _ = model.Generate(model.Tokenizer.Encode(" was", addSpecialTokens: false), options).Count();   // goes on where the first ended
    /// </code>
    /// </example>
    public KeyValueCache CreateCache(int maxSize = 0) => CreateEmptyCache(maxSize, null);

    /// <summary>An empty cache for a text that stores in a way of its own.</summary>
    /// <param name="options">How keys and values are stored.</param>
    /// <param name="maxSize">Tokens to remember at most, as for the other overload; 0 for all.</param>
    /// <returns>The cache; dispose it to free its memory.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxSize"/> is negative, or above 0 and less than 16.</exception>
    /// <exception cref="ArgumentException">The options do not fit the model's heads, or name a layer that it does not have.</exception>
    public KeyValueCache CreateCache(CacheOptions options, int maxSize = 0)
    {
        ArgumentNullException.ThrowIfNull(options);
        return CreateEmptyCache(maxSize, options);
    }

    /// <summary>Reads a cache that <see cref="KeyValueCache.Save"/> wrote.</summary>
    /// <param name="path">The file. The model is the same, and loaded with the same formats of caches and
    /// <see cref="ModelOptions.ChunkSize"/>.</param>
    /// <returns>The cache; dispose it to free its memory.</returns>
    /// <exception cref="ModelFormatException">
    /// The file is no saved cache, damaged, of another version, for another model, or of another kind of cache; or the context is too short.
    /// </exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public KeyValueCache LoadCache(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return CacheFile.Read(path, Fingerprint, size => CreateCache(size));
    }

    /// <summary>Bytes that the cache of a text will take, before there is one.</summary>
    /// <remarks>
    /// It is what <see cref="KeyValueCache.ByteCount"/> shows behind <see cref="KeyValueCache.Reserve"/>. A cache that grows token by token
    /// doubles its room, and may hold up to twice as much meanwhile, but never more than a text of <see cref="ContextLength"/> needs.
    /// </remarks>
    /// <param name="tokens">Tokens of the text.</param>
    /// <param name="maxSize">Tokens to remember at most, as for <see cref="CreateCache(int)"/>; 0 for all.</param>
    /// <param name="options">How keys and values are stored; null for how the model was loaded.</param>
    /// <returns>Bytes, the ids of the tokens apart.</returns>
    /// <exception cref="ArgumentException">A number is out of its range, or the options name a layer that the model does not have.</exception>
    /// <example>
    /// <code>
    /// long half = model.GetCacheByteCount(512, options: CacheOptions.Uniform(CacheFormat.F16));
    /// Console.WriteLine($"{model.GetCacheByteCount(512)} bytes for 512 tokens, {half} in binary16");
    /// </code>
    /// </example>
    public long GetCacheByteCount(int tokens, int maxSize = 0, CacheOptions? options = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(tokens);
        using KeyValueCache empty = CreateEmptyCache(maxSize, options);
        return empty.GetByteCount(tokens);
    }

    /// <summary>An empty cache that stores in its own way.</summary>
    private KeyValueCache CreateEmptyCache(int maxSize, CacheOptions? options)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        CheckCache(options ?? Options.Cache, Config);
        if (maxSize is not 0 and < LeastCacheSize)
        {
            Throw.CacheTooSmall(nameof(maxSize), maxSize, LeastCacheSize);
        }

        return _runner.CreateCache(maxSize, options);
    }

    /// <summary>Continues a text and gives the logits of what comes next.</summary>
    /// <param name="tokens">The next tokens of the text; as many as one likes, they are processed in chunks.</param>
    /// <param name="cache">What came before; advanced.</param>
    /// <param name="logits">
    /// One value per token of the vocabulary, for the last token; or that for each of <paramref name="tokens"/>; or empty for none.
    /// </param>
    /// <param name="cancellationToken">Ends it early; the cache then holds the chunks that were done.</param>
    /// <exception cref="ArgumentException">A length does not fit, a token is not in the vocabulary, or the cache is another model's.</exception>
    /// <exception cref="ContextLengthException">The cache cannot hold the tokens.</exception>
    /// <exception cref="InvalidOperationException">Another call is using the cache.</exception>
    /// <exception cref="ObjectDisposedException">The model or the cache was disposed.</exception>
    /// <example>
    /// <code>
    /// using KeyValueCache cache = model.CreateCache();
    /// float[] logits = new float[model.Config.VocabularySize];
    /// model.Forward(model.Tokenizer.Encode("It is a"), cache, logits);   // of the token that comes next
    /// </code>
    /// </example>
    public void Forward(
        ReadOnlySpan<int> tokens, KeyValueCache cache, Span<float> logits, CancellationToken cancellationToken = default)
    {
        int vocabulary = Config.VocabularySize;
        bool wantsAll = logits.Length == (long)tokens.Length * vocabulary && tokens.Length != 1;
        if (!wantsAll && !logits.IsEmpty && logits.Length != vocabulary)
        {
            Throw.WrongLogitLength(nameof(logits), logits.Length, vocabulary, tokens.Length);
        }

        StepOutputs outputs = logits.IsEmpty ? StepOutputs.None : wantsAll ? StepOutputs.All : StepOutputs.Last;
        _runner.Read(tokens, cache, outputs, logits, default, cancellationToken);
    }

    /// <summary>Continues a text and gives the hidden states after the last norm, which the logits are made from.</summary>
    /// <param name="tokens">The next tokens of the text.</param>
    /// <param name="cache">What came before; advanced.</param>
    /// <param name="hidden">[tokens, hidden size].</param>
    /// <param name="cancellationToken">Ends it early; the cache then holds the chunks that were done.</param>
    /// <inheritdoc cref="Forward(ReadOnlySpan{int}, KeyValueCache, Span{float}, CancellationToken)" path="/exception"/>
    public void ForwardHidden(
        ReadOnlySpan<int> tokens, KeyValueCache cache, Span<float> hidden, CancellationToken cancellationToken = default)
    {
        if (hidden.Length != (long)tokens.Length * Config.HiddenSize)
        {
            Throw.WrongLength(nameof(hidden), hidden.Length, (long)tokens.Length * Config.HiddenSize);
        }

        _runner.Read(tokens, cache, StepOutputs.All, default, hidden, cancellationToken);
    }

    /// <summary>Continues several texts by one token each, which costs little more than one of them.</summary>
    /// <param name="tokens">The next token of every text.</param>
    /// <param name="caches">What came before, each text's own; advanced.</param>
    /// <param name="logits">[texts, vocabulary].</param>
    /// <param name="cancellationToken">Ends it early; the caches are as before then.</param>
    /// <inheritdoc cref="Forward(ReadOnlySpan{int}, KeyValueCache, Span{float}, CancellationToken)" path="/exception"/>
    public void ForwardBatch(
        ReadOnlySpan<int> tokens, IReadOnlyList<KeyValueCache> caches, Span<float> logits, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(caches);
        if (caches.Count != tokens.Length)
        {
            Throw.WrongLength(nameof(caches), caches.Count, tokens.Length);
        }

        if (logits.Length != (long)tokens.Length * Config.VocabularySize)
        {
            Throw.WrongLength(nameof(logits), logits.Length, (long)tokens.Length * Config.VocabularySize);
        }

        for (int i = 0; i < caches.Count; i++)
        {
            for (int j = 0; j < i; j++)
            {
                if (ReferenceEquals(caches[i], caches[j]))
                {
                    Throw.SharedCache(nameof(caches));
                }
            }
        }

        _runner.ReadOneOfEach(tokens, caches, logits, cancellationToken);
    }

    /// <summary>Closes the files and frees the memory, once what is running has ended.</summary>
    public void Dispose()
    {
        if (!Interlocked.Exchange(ref _disposed, true))
        {
            _runner.Dispose();
            if (_ownsContext)
            {
                _context.Dispose();
            }

            _weights.Dispose();
        }
    }

    /// <summary>What takes the steps.</summary>
    internal ModelRunner Runner => _runner;

    /// <summary>Tells the model from others.</summary>
    internal byte[] Fingerprint
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _fingerprint ??= GetFingerprint();
        }
    }

    private byte[] GetFingerprint()
    {
        byte[] own = _weights.GetFingerprint(Config);
        return Options.Adapters.Count == 0 ? own : AdapterBinding.Sign(own, Options.Adapters);
    }

    /// <summary>Why an adapter is not for this model; null if it is.</summary>
    internal string? FindMisfit(LoraAdapter adapter)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        try
        {
            _binding.Bind(new AppliedAdapter { Adapter = adapter });
            return null;
        }
        catch (ModelFormatException exception)
        {
            return exception.Message;
        }
    }

    private void Adapt(Transformer transformer, IReadOnlyList<AppliedAdapter> adapters)
    {
        try
        {
            foreach (AppliedAdapter adapter in adapters)
            {
                transformer.Products = new AdaptedProducts(transformer.Products, _binding.Bind(adapter));
            }
        }
        catch
        {
            transformer.Dispose();
            throw;
        }
    }

    private static (Tokenizer? Tokenizer, ChatTemplate? Template) LoadText(ModelSource source, string path) => source switch
    {
        GgufModel gguf => (Tokenizer.FromGguf(gguf.File), ChatTemplate.FromGguf(gguf.File)),
        _ => (Tokenizer.Load(path), ChatTemplate.Load(path)),
    };

    private void Report(IProgress<ModelProgress>? progress, int layer) => progress?.Report(
        new ModelProgress
        {
            TensorName = $"model.layers.{layer}",
            TensorIndex = layer + 1,
            TensorCount = Config.LayerCount,
            BytesDone = _weights.ByteCount,
            TotalBytes = _weights.ByteCount,
        });

    private static void CheckCache(CacheOptions options, ModelConfig config)
    {
        foreach (int layer in options.Layers.Keys)
        {
            if (layer < 0 || layer >= config.LayerCount)
            {
                Throw.NoSuchLayer(nameof(options), layer, config.LayerCount);
            }
        }

        for (int layer = 0; layer < config.LayerCount; layer++)
        {
            (CacheFormat keys, CacheFormat values) = options.GetLayer(layer);
            keys.CheckHeads(config.HeadSize, nameof(options));
            values.CheckHeads(config.HeadSize, nameof(options));
        }
    }
}
