using System.Runtime.CompilerServices;
using KQuant.Models.Answers;
using KQuant.Models.Caching;
using KQuant.Models.Generation;
using KQuant.Models.Grammars;
using Microsoft.Extensions.AI;

namespace KQuant.Models;

/// <summary>A <see cref="LanguageModel"/> behind the interface that .NET programs use for chat models.</summary>
/// <param name="model">The model, with a tokenizer and a chat template.</param>
/// <param name="ownsModel">Whether disposing this object disposes the model.</param>
/// <param name="cachedConversations">Conversations whose caches are kept between calls.</param>
internal sealed class KQuantChatClient(LanguageModel model, bool ownsModel, int cachedConversations) : IChatClient
{
    private readonly CachePool _caches = new(model.CreateCache, cachedConversations);
    private readonly AnswerForm _form = model.ChatTemplate is { } template ? AnswerForms.Find(template) : AnswerForm.Plain;
    private readonly ChatClientMetadata _metadata = new("kquant", defaultModelId: model.Name);

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
    public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        return Run(new ChatRequest(this, model, _form, messages, options), cancellationToken);
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType == typeof(ChatClientMetadata) ? _metadata
            : serviceType == typeof(LanguageModel) ? model
            : serviceType.IsInstanceOfType(this) ? this
            : null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _caches.Dispose();
        if (ownsModel)
        {
            model.Dispose();
        }
    }

    private async IAsyncEnumerable<ChatResponseUpdate> Run(ChatRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        int[] prompt = await Task.Run(() => request.Encode(cancellation), cancellation).ConfigureAwait(false);
        AnswerPlan plan = request.CreatePlan();
        bool isThinking = AnswerPlan.BeginsWithThought(model.Tokenizer, prompt);
        Grammar? grammar = plan.CreateGrammar(model.Tokenizer, isThinking);
        var reader = new AnswerReader(_form, plan.ToolNames, isThinking);
        string id = Guid.NewGuid().ToString("N");
        DateTimeOffset created = DateTimeOffset.UtcNow;
        int count = 0;
        KeyValueCache cache = _caches.Take(prompt, request.Generation.MaxCacheSize, out int known);
        try
        {
            GenerationOptions options = request.Generation with
            {
                Cache = cache,
                Processors = grammar is null ? request.Generation.Processors : [.. request.Generation.Processors, grammar.CreateProcessor(model.Tokenizer)],
            };
            await foreach (GeneratedToken token in model.GenerateAsync(prompt[known..], options, cancellation).ConfigureAwait(false))
            {
                count++;
                bool isLast = token.FinishReason != FinishReason.None;
                List<AIContent> contents = reader.Append(AnswerForms.TextOf(token, model.Tokenizer, options));
                isLast |= !plan.AllowsManyCalls && reader.Calls > 0;
                if (isLast)
                {
                    contents.AddRange(reader.Finish(token.FinishReason == FinishReason.Length));
                    contents.Add(new UsageContent(new UsageDetails
                    {
                        InputTokenCount = prompt.Length,
                        CachedInputTokenCount = known,
                        OutputTokenCount = count,
                        TotalTokenCount = prompt.Length + count,
                    }));
                }

                yield return new ChatResponseUpdate(ChatRole.Assistant, contents)
                {
                    ResponseId = id,
                    MessageId = id,
                    ModelId = _metadata.DefaultModelId,
                    CreatedAt = created,
                    RawRepresentation = token,
                    FinishReason = !isLast ? null
                        : reader.Calls > 0 ? ChatFinishReason.ToolCalls
                        : token.FinishReason == FinishReason.Length ? ChatFinishReason.Length
                        : ChatFinishReason.Stop,
                };
                if (isLast)
                {
                    yield break;
                }
            }
        }
        finally
        {
            _caches.Return(cache);
        }
    }
}
