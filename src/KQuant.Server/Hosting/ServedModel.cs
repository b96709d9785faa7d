using KQuant.Models;
using KQuant.Models.Answers;
using KQuant.Models.Generation;
using KQuant.Server.Batching;
using Microsoft.Extensions.Options;

namespace KQuant.Server.Hosting;

/// <summary>The model that is served, and the batch that its requests share. It begins and ends with the host.</summary>
internal sealed class ServedModel : IHostedService, IDisposable
{
    private readonly Func<KQuantServerOptions, CancellationToken, Task<LanguageModel>> _load;
    private readonly bool _ownsModel;
    private readonly IHostApplicationLifetime _lifetime;
    private LanguageModel? _model;
    private BatchEngine? _engine;
    private EmbeddingQueue? _embeddings;
    private BatchMeter? _meter;

    /// <param name="load">Gets the model.</param>
    /// <param name="ownsModel">Whether it is disposed with this.</param>
    /// <param name="options">What is offered.</param>
    /// <param name="lifetime">Says when the host stops.</param>
    /// <param name="logger">Where failures go.</param>
    public ServedModel(
        Func<KQuantServerOptions, CancellationToken, Task<LanguageModel>> load,
        bool ownsModel,
        IOptions<KQuantServerOptions> options,
        IHostApplicationLifetime lifetime,
        ILogger<ServedModel> logger)
    {
        (_load, _ownsModel, _lifetime, Options, Logger) = (load, ownsModel, lifetime, options.Value, logger);
        Options.Check();
    }

    public KQuantServerOptions Options { get; }

    public ILogger Logger { get; }

    public LanguageModel Model => _model ?? throw new InvalidOperationException("The host has not started.");

    public BatchEngine Engine => _engine ?? throw new BatchStoppedException();

    /// <summary>What embeds texts.</summary>
    public EmbeddingQueue Embeddings => (Engine.IsClosed ? null : _embeddings) ?? throw new BatchStoppedException();

    /// <summary>What is measured.</summary>
    public BatchMeter Meter => _meter ?? throw new BatchStoppedException();

    /// <summary>What the model is called.</summary>
    public string Name => Options.ModelName ?? Model.Name;

    /// <summary>How it writes thoughts and calls.</summary>
    public AnswerForm Form { get; private set; }

    /// <summary>How tokens are chosen where a request does not say.</summary>
    public SamplingOptions Sampling => Options.Sampling ?? Model.DefaultSampling;

    /// <summary>When it began to be served.</summary>
    public DateTimeOffset Started { get; private set; }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        _model = await _load(Options, cancellationToken).ConfigureAwait(false);
        Form = _model.ChatTemplate is { } template ? AnswerForms.Find(template) : AnswerForm.Plain;
        Started = DateTimeOffset.UtcNow;
        BatchEngine engine = _engine = new BatchEngine(_model, new BatchLimits(Options.Parallel, Options.MaxWaiting, Options.MaxIdleCacheBytes));
        _meter = new BatchMeter(_model.Name, engine.Counters);
        _embeddings = new EmbeddingQueue(_model, Options.MaxWaiting);
        _lifetime.ApplicationStopping.Register(() => engine.Drain(Options.DrainTime));
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        Dispose();
        return Task.CompletedTask;
    }

    public void Dispose()
    {
        Interlocked.Exchange(ref _embeddings, null)?.Dispose();
        Interlocked.Exchange(ref _engine, null)?.Dispose();
        Interlocked.Exchange(ref _meter, null)?.Dispose();
        if (_ownsModel)
        {
            Interlocked.Exchange(ref _model, null)?.Dispose();
        }
    }
}
