using Microsoft.Extensions.AI;

namespace KQuant.Models;

/// <summary>
/// Embeddings from a <see cref="LanguageModel"/>: the mean of the hidden states after the last norm over all tokens of a text, at length 1.
/// </summary>
/// <param name="model">The model, with a tokenizer.</param>
/// <param name="ownsModel">Whether disposing this object disposes the model.</param>
internal sealed class KQuantEmbeddingGenerator(LanguageModel model, bool ownsModel = false) : IEmbeddingGenerator<string, Embedding<float>>
{
    private readonly LanguageModel _model = model ?? throw new ArgumentNullException(nameof(model));
    private readonly EmbeddingGeneratorMetadata _metadata = new(
        "kquant",
        defaultModelId: model.Name,
        defaultModelDimensions: model.Config.HiddenSize);

    /// <inheritdoc/>
    public Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(
        IEnumerable<string> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(values);
        int width = _model.Config.HiddenSize, dimensions = options?.Dimensions ?? width;
        if (dimensions < 1 || dimensions > width)
        {
            throw new NotSupportedException($"Embeddings of {dimensions} dimensions are asked for; the model has 1 to {width}.");
        }

        if (options?.ModelId is { } id && id != _metadata.DefaultModelId)
        {
            throw new NotSupportedException($"The model '{id}' is asked for; this is '{_metadata.DefaultModelId}'.");
        }

        return Task.Run(() => Generate([.. values], dimensions, cancellationToken), cancellationToken);
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType == typeof(EmbeddingGeneratorMetadata) ? _metadata
            : serviceType == typeof(LanguageModel) ? _model
            : serviceType.IsInstanceOfType(this) ? this
            : null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (ownsModel)
        {
            _model.Dispose();
        }
    }

    private GeneratedEmbeddings<Embedding<float>> Generate(string[] texts, int dimensions, CancellationToken cancellation)
    {
        var embeddings = new GeneratedEmbeddings<Embedding<float>>();
        long tokens = 0;
        using KeyValueCache cache = _model.CreateCache();
        foreach (string text in texts)
        {
            int[] ids = _model.Tokenizer.Encode(text, addSpecialTokens: true, parseSpecialTokens: false);
            float[] vector = TextEmbedder.Embed(_model, ids, dimensions, cache, cancellation);
            embeddings.Add(new Embedding<float>(vector) { ModelId = _metadata.DefaultModelId, CreatedAt = DateTimeOffset.UtcNow });
            tokens += ids.Length;
        }

        embeddings.Usage = new UsageDetails { InputTokenCount = tokens, TotalTokenCount = tokens };
        return embeddings;
    }
}
