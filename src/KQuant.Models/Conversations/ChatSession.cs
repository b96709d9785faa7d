using System.Runtime.CompilerServices;
using System.Text;
using KQuant.Models.Generation;
using KQuant.Models.Templates;

namespace KQuant.Models;

/// <summary>
/// A conversation with a model. It keeps the messages, and a cache of what the model has read, so that a turn reads only what is new.
/// </summary>
/// <remarks>
/// <see cref="Messages"/> may be changed between turns in any way: shortened, rewritten, replaced. A turn renders them anew and goes on from
/// the longest beginning that the cache has in common with them; where a cache cannot be cut back (a sliding window, a size limit) it reads
/// everything again. For one caller at a time; the model may be shared by any number of sessions.
/// </remarks>
/// <example>
/// <code>
/// using var session = new ChatSession(model);
/// session.Messages.Add(new TemplateMessage("system", "Be brief."));
/// await foreach (GeneratedToken token in session.AskAsync("Who is Elizabeth?"))
/// {
///     Console.Write(token.Text);
/// }
///
/// session.Messages[1] = new TemplateMessage("user", "Who is Mr. Darcy?");   // another question in its place
/// session.Messages.RemoveAt(2);
/// string answer = string.Concat(session.Answer().Select(token =&gt; token.Text));
/// </code>
/// </example>
public sealed class ChatSession : IDisposable
{
    private readonly LanguageModel _model;
    private readonly ChatSessionOptions _options;

    /// <summary>Begins a conversation.</summary>
    /// <param name="model">The model. One without a chat template reads the texts of the messages, a line for each.</param>
    /// <param name="options">More; null for the defaults.</param>
    /// <exception cref="ArgumentException">The cache is another model's, or its size limit is out of its range.</exception>
    public ChatSession(LanguageModel model, ChatSessionOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        _model = model;
        _options = options ?? new ChatSessionOptions();
        if (_options.Cache is { } cache && !ReferenceEquals(cache.Owner, model.Runner))
        {
            throw new ArgumentException("The cache belongs to another model.", nameof(options));
        }

        Cache = _options.Cache ?? model.CreateCache(_options.MaxCacheSize);
    }

    /// <summary>The conversation so far, to be read and changed.</summary>
    public IList<TemplateMessage> Messages { get; } = [];

    /// <summary>What the model has read.</summary>
    public KeyValueCache Cache { get; }

    /// <summary>Tokens of the conversation at the beginning of the last turn.</summary>
    public int PromptTokens { get; private set; }

    /// <summary>How many of them the cache held already.</summary>
    public int ReusedTokens { get; private set; }

    /// <summary>Adds a message of the user, and answers.</summary>
    /// <param name="text">The message.</param>
    /// <param name="options">What to generate; null for the defaults. <see cref="GenerationOptions.Cache"/> must be null.</param>
    /// <param name="cancellationToken">Ends the answer.</param>
    /// <returns>
    /// The answer as it comes. What came of it is a message at the end of <see cref="Messages"/>, also when it was cancelled or nobody asked
    /// for the rest; when it could not begin, the user's message is taken back.
    /// </returns>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    /// <exception cref="ContextLengthException">The conversation is longer than the context.</exception>
    /// <exception cref="TemplateException">The template refuses the conversation.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public IAsyncEnumerable<GeneratedToken> AskAsync(string text, GenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(text);
        return RunAsync(text, Check(options), cancellationToken);
    }

    /// <inheritdoc cref="AskAsync"/>
    public IEnumerable<GeneratedToken> Ask(string text, GenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Run(text, Check(options), cancellationToken);
    }

    /// <summary>Answers <see cref="Messages"/> as they are, such as after a change or with the result of a tool.</summary>
    /// <param name="options">What to generate; null for the defaults. <see cref="GenerationOptions.Cache"/> must be null.</param>
    /// <param name="cancellationToken">Ends the answer.</param>
    /// <returns>The answer as it comes; what came of it is a message at the end of <see cref="Messages"/>.</returns>
    /// <inheritdoc cref="AskAsync" path="/exception"/>
    public IAsyncEnumerable<GeneratedToken> AnswerAsync(GenerationOptions? options = null, CancellationToken cancellationToken = default) =>
        RunAsync(null, Check(options), cancellationToken);

    /// <inheritdoc cref="AnswerAsync"/>
    public IEnumerable<GeneratedToken> Answer(GenerationOptions? options = null, CancellationToken cancellationToken = default) =>
        Run(null, Check(options), cancellationToken);

    /// <summary>How many tokens the conversation has, with the beginning of the next answer.</summary>
    /// <returns>The number.</returns>
    /// <exception cref="TemplateException">The template refuses the conversation.</exception>
    public int CountTokens() => Encode(CancellationToken.None).Length;

    /// <summary>Forgets all messages, and what the model has read.</summary>
    /// <exception cref="InvalidOperationException">An answer is being generated.</exception>
    public void Clear()
    {
        Cache.Clear();
        Messages.Clear();
    }

    /// <summary>Frees the memory of the cache.</summary>
    public void Dispose() => Cache.Dispose();

    private static GenerationOptions Check(GenerationOptions? options)
    {
        options ??= new GenerationOptions();
        if (options.Cache is not null)
        {
            throw new ArgumentException("A session has a cache of its own; give none.", nameof(options));
        }

        options.Check();
        return options;
    }

    private IEnumerable<GeneratedToken> Run(string? question, GenerationOptions options, CancellationToken cancellation)
    {
        var turn = new Turn(this, question, cancellation);
        try
        {
            foreach (GeneratedToken token in _model.Generate(Rewind(cancellation), options with { Cache = Cache }, cancellation))
            {
                turn.Add(token);
                yield return token;
            }
        }
        finally
        {
            turn.End();
        }
    }

    private async IAsyncEnumerable<GeneratedToken> RunAsync(
        string? question, GenerationOptions options, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var turn = new Turn(this, question, cancellation);
        try
        {
            int[] rest = await Task.Run(() => Rewind(cancellation), cancellation).ConfigureAwait(false);
            await foreach (GeneratedToken token in _model.GenerateAsync(rest, options with { Cache = Cache }, cancellation).ConfigureAwait(false))
            {
                turn.Add(token);
                yield return token;
            }
        }
        finally
        {
            turn.End();
        }
    }

    /// <summary>Takes the cache back to what it has in common with the conversation; the tokens that are to be read.</summary>
    private int[] Rewind(CancellationToken cancellation)
    {
        int[] tokens = Encode(cancellation);
        PromptTokens = tokens.Length;
        ReusedTokens = Cache.Rewind(tokens);
        return tokens[ReusedTokens..];
    }

    private int[] Encode(CancellationToken cancellation) => _model.ChatTemplate is null
        ? _model.Tokenizer.Encode(string.Concat(Messages.Select(message => message.Content + "\n")))
        : _model.EncodeChat([.. Messages], _options.Variables, _options.Tools, cancellationToken: cancellation);

    /// <summary>A turn, from the question to the message that the answer becomes.</summary>
    private sealed class Turn
    {
        private readonly ChatSession _session;
        private readonly TemplateMessage? _question;
        private readonly CancellationToken _cancellation;
        private readonly StringBuilder _answer = new();
        private bool _hasBegun;

        public Turn(ChatSession session, string? question, CancellationToken cancellation)
        {
            (_session, _cancellation) = (session, cancellation);
            if (question is not null)
            {
                _question = new TemplateMessage("user", question);
                session.Messages.Add(_question);
            }
        }

        public void Add(GeneratedToken token)
        {
            _hasBegun = true;
            _answer.Append(token.Text);
        }

        public void End()
        {
            if (_hasBegun || _cancellation.IsCancellationRequested)
            {
                _session.Messages.Add(new TemplateMessage("assistant", _answer.ToString()));
            }
            else if (_question is not null && _session.Messages.Count > 0 && ReferenceEquals(_session.Messages[^1], _question))
            {
                _session.Messages.RemoveAt(_session.Messages.Count - 1);
            }
        }
    }
}
