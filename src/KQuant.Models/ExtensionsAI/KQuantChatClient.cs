using System.Runtime.CompilerServices;
using KQuant.Models.Generation;
using KQuant.Models.Templates;
using Microsoft.Extensions.AI;

namespace KQuant.Models;

/// <summary>A <see cref="LanguageModel"/> behind the interface that .NET programs use for chat models.</summary>
/// <remarks>
/// Messages go through the model's chat template. Of the options, those of sampling, the number of tokens, stop sequences, the seed and
/// instructions count; tools are not called. What is not given of sampling is the model's own.
/// </remarks>
/// <param name="model">The model, with a tokenizer and a chat template.</param>
/// <param name="ownsModel">Whether disposing this object disposes the model.</param>
internal sealed class KQuantChatClient(LanguageModel model, bool ownsModel = false) : IChatClient
{
    private readonly LanguageModel _model = model ?? throw new ArgumentNullException(nameof(model));
    private readonly ChatClientMetadata _metadata = new("kquant", defaultModelId: Path.GetFileName(Path.TrimEndingDirectorySeparator(model.Path)));

    /// <inheritdoc/>
    public async Task<ChatResponse> GetResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        var updates = new List<ChatResponseUpdate>();
        await foreach (ChatResponseUpdate update in GetStreamingResponseAsync(messages, options, cancellationToken).ConfigureAwait(false))
        {
            updates.Add(update);
        }

        return updates.ToChatResponse();
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        var conversation = new List<TemplateMessage>();
        if (!string.IsNullOrEmpty(options?.Instructions))
        {
            conversation.Add(new TemplateMessage("system", options.Instructions));
        }

        conversation.AddRange(messages.Select(message => new TemplateMessage(message.Role.Value, message.Text)));
        int[] prompt = _model.EncodeChat(conversation, cancellationToken: cancellationToken);
        string id = Guid.NewGuid().ToString("N");
        int count = 0;
        await foreach (GeneratedToken token in _model.GenerateAsync(prompt, ToOptions(options), cancellationToken).ConfigureAwait(false))
        {
            count++;
            var update = new ChatResponseUpdate(ChatRole.Assistant, token.Text)
            {
                ResponseId = id,
                MessageId = id,
                ModelId = _metadata.DefaultModelId,
                FinishReason = token.FinishReason switch
                {
                    FinishReason.None => null,
                    FinishReason.Length => ChatFinishReason.Length,
                    _ => ChatFinishReason.Stop,
                },
            };
            if (token.FinishReason != FinishReason.None)
            {
                update.Contents.Add(new UsageContent(new UsageDetails
                {
                    InputTokenCount = prompt.Length,
                    OutputTokenCount = count,
                    TotalTokenCount = prompt.Length + count,
                }));
            }

            yield return update;
        }
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType == typeof(ChatClientMetadata) ? _metadata
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

    private GenerationOptions ToOptions(ChatOptions? options) => new()
    {
        MaxTokens = options?.MaxOutputTokens ?? 1024,
        StopSequences = options?.StopSequences is { } stops ? [.. stops] : [],
        Sampling = _model.DefaultSampling with
        {
            Temperature = options?.Temperature ?? _model.DefaultSampling.Temperature,
            TopP = options?.TopP ?? _model.DefaultSampling.TopP,
            TopK = options?.TopK ?? _model.DefaultSampling.TopK,
            PresencePenalty = options?.PresencePenalty ?? 0,
            FrequencyPenalty = options?.FrequencyPenalty ?? 0,
            Seed = options?.Seed is long seed ? unchecked((int)seed) : null,
        },
    };
}
