using System.Runtime.CompilerServices;
using KQuant.Models;
using KQuant.Models.Answers;
using KQuant.Models.Generation;
using KQuant.Models.Grammars;
using KQuant.Models.Templates;
using KQuant.Server.Batching;
using KQuant.Server.Hosting;
using KQuant.Server.Protocol;
using Microsoft.Extensions.AI;

namespace KQuant.Server.Chat;

/// <summary>The answers to a conversation while they are generated.</summary>
internal sealed class ChatRun : IDisposable
{
    private readonly ServedModel _served;
    private readonly ChatPrompt _prompt;
    private readonly GenerationOptions _options;
    private readonly BatchRequest _request;
    private readonly bool _isThinking;

    private ChatRun(ServedModel served, ChatPrompt prompt, GenerationOptions options, int[] tokens, bool isThinking)
    {
        (_served, _prompt, _options, _isThinking) = (served, prompt, options, isThinking);
        PromptTokens = tokens.Length;
        _request = served.Engine.Submit(Seeds.Spread(options, served.Sampling, prompt.Choices).Select(each => new BatchPrompt(tokens, each)).ToArray());
    }

    /// <summary>Tokens of the conversation.</summary>
    public int PromptTokens { get; }

    /// <summary>Tokens of all answers that were thoughts.</summary>
    public int ReasoningTokens { get; private set; }

    /// <summary>The texts behind the answers.</summary>
    public IReadOnlyList<BatchText> Texts => _request.Texts;

    /// <summary>Begins to answer.</summary>
    /// <exception cref="ApiException">The model cannot be asked for that.</exception>
    /// <exception cref="TemplateException">The template refuses the conversation.</exception>
    /// <exception cref="GrammarException">No answer fits what is asked for.</exception>
    /// <exception cref="ContextLengthException">The conversation is longer than the context.</exception>
    /// <exception cref="BatchQueueFullException">Too many texts wait.</exception>
    public static ChatRun Start(ServedModel served, ChatPrompt prompt, CancellationToken cancellationToken)
    {
        int[] tokens = ChatText.Encode(served, prompt, cancellationToken);
        bool isThinking = AnswerPlan.BeginsWithThought(served.Model.Tokenizer, tokens);
        try
        {
            Grammar? grammar = prompt.Plan.CreateGrammar(served.Model.Tokenizer, isThinking);
            GenerationOptions options = grammar is null ? prompt.Generation : prompt.Generation with
            {
                Processors = [.. prompt.Generation.Processors, grammar.CreateProcessor(served.Model.Tokenizer)],
            };
            return new ChatRun(served, prompt, options, tokens, isThinking);
        }
        catch (NotSupportedException exception)
        {
            throw new ApiException(StatusCodes.Status400BadRequest, exception.Message, prompt.Plan.Reply is null ? "tools" : "response_format", inner: exception);
        }
    }

    /// <summary>The answers, as they come.</summary>
    /// <param name="stream">Told while there is nothing; null for nobody.</param>
    /// <param name="cancellationToken">Ends waiting.</param>
    public async IAsyncEnumerable<ChatPiece> ReadAsync(EventStream? stream, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        AnswerReader[] readers = [.. Texts.Select(_ => new AnswerReader(_prompt.Plan.Form, _prompt.Plan.ToolNames, _isThinking, _prompt.IsContinued))];
        bool[] hasEnded = new bool[readers.Length];
        IAsyncEnumerable<BatchToken> tokens = _request.ReadAsync(_served.Options.PingInterval, stream is null ? null : stream.PingAsync, cancellationToken);
        await foreach (BatchToken next in tokens.ConfigureAwait(false))
        {
            if (hasEnded[next.Text])
            {
                continue;
            }

            AnswerReader reader = readers[next.Text];
            GeneratedToken token = next.Token;
            List<AIContent> contents = reader.Append(AnswerForms.TextOf(token, _served.Model.Tokenizer, _options));
            bool isLast = token.FinishReason != FinishReason.None;
            if (!_prompt.Plan.AllowsManyCalls && reader.Calls > 0 && !isLast)
            {
                _request.End(next.Text);
                isLast = true;
            }

            if (isLast)
            {
                contents.AddRange(reader.Finish(token.FinishReason == FinishReason.Length));
                hasEnded[next.Text] = true;
            }

            ReasoningTokens += contents.Exists(content => content is TextReasoningContent) ? 1 : 0;
            yield return new ChatPiece(next.Text, token, contents, isLast ? EndOf(token.FinishReason, reader.Calls) : ChatEnd.None);
        }
    }

    public void Dispose() => _request.Dispose();

    private static ChatEnd EndOf(FinishReason reason, int calls) =>
        calls > 0 ? ChatEnd.Calls
        : reason == FinishReason.Length ? ChatEnd.Length
        : reason == FinishReason.StopSequence ? ChatEnd.StopSequence
        : ChatEnd.Stop;
}
