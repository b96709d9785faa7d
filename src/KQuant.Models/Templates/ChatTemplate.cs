using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Templates;

/// <summary>
/// A chat template: a Jinja program that turns messages into the text a model was trained on. It comes with the model and is not trusted:
/// it has no access to anything but its variables, and its steps, nesting, memory and output are bounded. Immutable and thread-safe.
/// </summary>
/// <remarks>
/// The language is that of Python's jinja2 in the environment that transformers sets up: an immutable sandbox with <c>trim_blocks</c>,
/// <c>lstrip_blocks</c>, <c>break</c> and <c>continue</c>, the <c>generation</c> tag, <c>tojson</c>, <c>raise_exception</c> and
/// <c>strftime_now</c>. Beyond it, <c>from_json</c> exists, and lists and dictionaries that a template made itself may be changed.
/// </remarks>
public sealed class ChatTemplate
{
    private const int MaxSourceLength = 1 << 20;

    private readonly IReadOnlyDictionary<string, string> _sources;
    private readonly Dictionary<string, ParsedTemplate> _parsed = new(StringComparer.Ordinal);
    private readonly JsonObject _modelVariables;

    private ChatTemplate(IReadOnlyDictionary<string, string> sources, JsonObject modelVariables)
    {
        (_sources, _modelVariables) = (sources, modelVariables);
        foreach ((string name, string source) in sources)
        {
            if (name is TemplateFiles.Default or TemplateFiles.ForTools || sources.Count == 1)
            {
                _parsed[name] = ParseSource(source);
            }
        }
    }

    /// <summary>The text of the template; of several, of the one that counts when none is asked for, or of the first.</summary>
    public string Source => _sources.GetValueOrDefault(TemplateFiles.Default) ?? _sources.First().Value;

    /// <summary>The names of all templates of the model; one that has no name is <c>default</c>.</summary>
    public IReadOnlyList<string> Names => [.. _sources.Keys];

    /// <summary>Whether tools reach the text: whether the template that is taken with tools reads them.</summary>
    public bool TakesTools => _parsed.GetValueOrDefault(TemplateFiles.ForTools, _parsed.GetValueOrDefault(TemplateFiles.Default)!)?.Names.Contains("tools")
        == true;

    /// <summary>The clock of <c>strftime_now</c>.</summary>
    internal TimeProvider Clock { get; private init; } = TimeProvider.System;

    /// <summary>Compiles a template.</summary>
    /// <param name="source">Its text.</param>
    /// <returns>The template.</returns>
    /// <exception cref="TemplateException">The text is no template; the message names the line.</exception>
    public static ChatTemplate Parse(string source) => Parse(source, TimeProvider.System);

    /// <summary>Compiles a template with another clock.</summary>
    internal static ChatTemplate Parse(string source, TimeProvider clock)
    {
        ArgumentNullException.ThrowIfNull(source);
        return new ChatTemplate(new Dictionary<string, string> { [TemplateFiles.Default] = source }, []) { Clock = clock };
    }

    /// <summary>
    /// The templates of a model: <c>chat_template.jinja</c> and <c>additional_chat_templates</c>, or <c>chat_template</c> in
    /// <c>tokenizer_config.json</c>, or <c>chat_template.json</c>, or those in a GGUF file, with the names of the special tokens that they
    /// can use. The one named <c>tool_use</c> is taken when there are tools, else the one named <c>default</c>.
    /// </summary>
    /// <param name="path">A model folder or a GGUF file.</param>
    /// <returns>The template, or null if the model has none.</returns>
    /// <exception cref="TemplateException">The template is not well-formed.</exception>
    /// <exception cref="ModelFormatException">A file of the model is not well-formed.</exception>
    public static ChatTemplate? Load(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return Create(Directory.Exists(path) ? TemplateFiles.OfFolder(path)
            : File.Exists(path) ? TemplateFiles.OfGguf(path)
            : throw new ModelFormatException(path, "there is no such file or folder"));
    }

    /// <summary>The template of an open GGUF file.</summary>
    /// <param name="file">The file; not needed any more afterwards.</param>
    /// <returns>The template, or null if the model has none.</returns>
    /// <exception cref="TemplateException">The template is not well-formed.</exception>
    /// <exception cref="ModelFormatException">The metadata of the file is not well-formed.</exception>
    public static ChatTemplate? FromGguf(GgufFile file)
    {
        ArgumentNullException.ThrowIfNull(file);
        return Create(TemplateFiles.OfGguf(file.Metadata));
    }

    /// <summary>One of several templates, for all conversations.</summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <returns>The template.</returns>
    /// <exception cref="ArgumentException">There is none of that name.</exception>
    /// <exception cref="TemplateException">It is not well-formed.</exception>
    public ChatTemplate Select(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return _sources.TryGetValue(name, out string? source)
            ? new ChatTemplate(new Dictionary<string, string> { [TemplateFiles.Default] = source }, _modelVariables) { Clock = Clock }
            : throw new ArgumentException($"There is no chat template '{Printable.Shorten(name)}'; the model has {string.Join(", ", Names)}.", nameof(name));
    }

    /// <summary>Renders a conversation. Encode the result without adding special tokens: the template has written them.</summary>
    /// <param name="messages">The messages.</param>
    /// <param name="tools">JSON schemas of the functions that the model may call; null for none.</param>
    /// <param name="addGenerationPrompt">Whether to end with the beginning of the assistant's answer.</param>
    /// <param name="variables">More variables, such as <c>enable_thinking</c>; they win over those that come with the model.</param>
    /// <param name="cancellationToken">Stops rendering.</param>
    /// <returns>The text.</returns>
    /// <exception cref="TemplateException">The template refuses the conversation, fails on it or goes beyond its bounds, or the model has
    /// several templates and none of them is the one to take.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    /// <example>
    /// <code>
    /// ChatTemplate? template = ChatTemplate.Load("Qwen3-0.6B");
    /// string? text = template?.Render([new TemplateMessage("user", "Who is Elizabeth?")]);
    /// </code>
    /// </example>
    public string Render(
        IReadOnlyList<TemplateMessage> messages,
        JsonArray? tools = null,
        bool addGenerationPrompt = true,
        JsonObject? variables = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        return new Rendering(Choose(tools), _modelVariables, Clock, messages, tools, addGenerationPrompt, variables).Run(null, cancellationToken);
    }

    /// <summary>Renders a conversation so that the texts of its messages can be told from what the template wrote.</summary>
    /// <param name="messages">The messages.</param>
    /// <param name="tools">Functions that the model may call; null for none.</param>
    /// <param name="variables">More variables.</param>
    /// <param name="controls">Texts of control tokens.</param>
    /// <param name="others">Texts of ordinary added tokens.</param>
    /// <param name="marks">What stands for the characters of contents that could begin a control token; null if there are none.</param>
    /// <param name="cancellationToken">Stops rendering.</param>
    /// <returns>The text, with those characters replaced.</returns>
    internal string RenderMarked(
        IReadOnlyList<TemplateMessage> messages,
        JsonArray? tools,
        JsonObject? variables,
        IReadOnlyCollection<string> controls,
        IReadOnlyCollection<string> others,
        out ContentMarks? marks,
        CancellationToken cancellationToken)
    {
        ParsedTemplate template = Choose(tools);
        var rendering = new Rendering(template, _modelVariables, new FixedClock(Clock), messages, tools, true, variables);
        marks = null;
        string plain = rendering.Run(null, cancellationToken);
        Func<char, bool> isUsed = rendering.PrivateUseCharacters(plain, Source).Contains;
        foreach (bool marksSigns in (bool[])[true, false])
        {
            // A template that compares contents with signs may come to another text when they are replaced: then only whole control tokens are.
            var tried = new ContentMarks(controls, others.Concat(template.Texts), isUsed, marksSigns);
            if (tried.Lacks)
            {
                throw new TemplateException("the conversation uses all private-use characters; none is left to mark its texts with");
            }

            string marked;
            try
            {
                marked = rendering.Run(tried, cancellationToken);
            }
            catch (TemplateException) when (marksSigns)
            {
                continue;
            }

            if (!tried.Any)
            {
                return plain;
            }

            if (!marksSigns || tried.Restore(marked) == plain)
            {
                marks = tried;
                return marked;
            }
        }

        return plain;
    }

    /// <summary>Renders with these variables and no others: for tests against other implementations.</summary>
    internal string RenderPlain(JsonObject variables, CancellationToken cancellationToken = default) =>
        RenderPlain(variables, out _, cancellationToken);

    /// <summary>Renders with these variables and no others, and tells what it cost.</summary>
    internal string RenderPlain(JsonObject variables, out RenderBudget budget, CancellationToken cancellationToken = default)
    {
        var scope = new Scope(JinjaGlobals.Create());
        Rendering.Add(scope, variables, null);
        budget = new RenderBudget(0, cancellationToken);
        return Rendering.Run(Choose(null).Body, new RenderContext(scope, Clock, budget, null), scope);
    }

    private static ParsedTemplate ParseSource(string source)
    {
        if (source.Length > MaxSourceLength)
        {
            throw new TemplateException($"the chat template has {source.Length} characters; at most {MaxSourceLength} are taken");
        }

        try
        {
            return JinjaParser.Parse(source);
        }
        catch (InsufficientExecutionStackException)
        {
            throw new TemplateException("the chat template nests too deep");
        }
    }

    private static ChatTemplate? Create(TemplateSet set) => set.Templates.Count == 0 ? null : new ChatTemplate(set.Templates, set.Variables);

    private ParsedTemplate Choose(JsonArray? tools) =>
        tools is not null && _parsed.TryGetValue(TemplateFiles.ForTools, out ParsedTemplate? forTools) ? forTools
        : _parsed.TryGetValue(TemplateFiles.Default, out ParsedTemplate? standard) ? standard
        : throw new TemplateException(
            $"the model has several chat templates and none named '{TemplateFiles.Default}': choose one of {string.Join(", ", Names.Select(name => Printable.Shorten(name)))}");

    /// <summary>A clock that stands, so that rendering twice gives the same text.</summary>
    private sealed class FixedClock(TimeProvider clock) : TimeProvider
    {
        private readonly DateTimeOffset _now = clock.GetUtcNow();

        public override TimeZoneInfo LocalTimeZone => clock.LocalTimeZone;

        public override DateTimeOffset GetUtcNow() => _now;
    }
}
