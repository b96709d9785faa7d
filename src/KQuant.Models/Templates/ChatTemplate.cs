using System.Text;
using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;

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

    private readonly Statement _body;
    private readonly ChatTemplate? _forTools;
    private readonly JsonObject _modelVariables;

    private ChatTemplate(string source, Statement body, ChatTemplate? forTools, JsonObject modelVariables) =>
        (Source, _body, _forTools, _modelVariables) = (source, body, forTools, modelVariables);

    /// <summary>The text of the template.</summary>
    public string Source { get; }

    /// <summary>The clock of <c>strftime_now</c>.</summary>
    internal TimeProvider Clock { get; private init; } = TimeProvider.System;

    /// <summary>Compiles a template.</summary>
    /// <param name="source">Its text.</param>
    /// <returns>The template.</returns>
    /// <exception cref="TemplateException">The text is no template; the message names the line.</exception>
    public static ChatTemplate Parse(string source)
    {
        ArgumentNullException.ThrowIfNull(source);
        return Create(source, null, []);
    }

    /// <summary>Compiles a template with another clock.</summary>
    internal static ChatTemplate Parse(string source, TimeProvider clock)
    {
        ChatTemplate template = Parse(source);
        return new ChatTemplate(source, template._body, null, []) { Clock = clock };
    }

    /// <summary>
    /// The template of a model: <c>chat_template.jinja</c>, or <c>chat_template</c> in <c>tokenizer_config.json</c>, or
    /// <c>tokenizer.chat_template</c> in a GGUF file, with the names of the special tokens that it can use. A template named
    /// <c>tool_use</c> stands in for it when there are tools.
    /// </summary>
    /// <param name="path">A model folder or a GGUF file.</param>
    /// <returns>The template, or null if the model has none.</returns>
    /// <exception cref="TemplateException">The template is not well-formed.</exception>
    /// <exception cref="ModelFormatException">A file of the model is not well-formed.</exception>
    public static ChatTemplate? Load(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        (string? source, string? forTools, JsonObject variables) = Directory.Exists(path) ? TemplateFiles.OfFolder(path)
            : File.Exists(path) ? TemplateFiles.OfGguf(path)
            : throw new ModelFormatException(path, "there is no such file or folder");
        return CreateBoth(source, forTools, variables);
    }

    /// <summary>The template of an open GGUF file.</summary>
    /// <param name="file">The file; not needed any more afterwards.</param>
    /// <returns>The template, or null if the model has none.</returns>
    /// <exception cref="TemplateException">The template is not well-formed.</exception>
    /// <exception cref="ModelFormatException">The metadata of the file is not well-formed.</exception>
    public static ChatTemplate? FromGguf(GgufFile file)
    {
        ArgumentNullException.ThrowIfNull(file);
        (string? source, string? forTools, JsonObject variables) = TemplateFiles.OfGguf(file.Metadata);
        return CreateBoth(source, forTools, variables);
    }

    /// <summary>Renders a conversation. Encode the result without adding special tokens: the template has written them.</summary>
    /// <param name="messages">The messages.</param>
    /// <param name="tools">JSON schemas of the functions that the model may call; null for none.</param>
    /// <param name="addGenerationPrompt">Whether to end with the beginning of the assistant's answer.</param>
    /// <param name="variables">More variables, such as <c>enable_thinking</c>; they win over those that come with the model.</param>
    /// <param name="cancellationToken">Stops rendering.</param>
    /// <returns>The text.</returns>
    /// <exception cref="TemplateException">The template refuses the conversation or fails on it.</exception>
    public string Render(
        IReadOnlyList<ChatMessage> messages,
        JsonArray? tools = null,
        bool addGenerationPrompt = true,
        JsonObject? variables = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        var list = new List<object?>(messages.Count);
        foreach (ChatMessage message in messages)
        {
            list.Add(message.ToValue());
        }

        var scope = new Scope(JinjaGlobals.Create());
        Add(scope, _modelVariables);
        scope["messages"] = new JinjaList(list, isInput: true);
        scope["tools"] = JinjaInput.Convert(tools, isInput: true);
        scope["documents"] = null;
        scope["add_generation_prompt"] = addGenerationPrompt;
        Add(scope, variables ?? []);
        return (tools is not null && _forTools is not null ? _forTools : this).Run(scope, cancellationToken);
    }

    /// <summary>Renders with these variables and no others: for tests against other implementations.</summary>
    internal string RenderPlain(JsonObject variables, CancellationToken cancellationToken = default)
    {
        var scope = new Scope(JinjaGlobals.Create());
        Add(scope, variables);
        return Run(scope, cancellationToken);
    }

    private static ChatTemplate Create(string source, ChatTemplate? forTools, JsonObject variables)
    {
        if (source.Length > MaxSourceLength)
        {
            throw new TemplateException($"the chat template has {source.Length} characters; at most {MaxSourceLength} are taken");
        }

        try
        {
            return new ChatTemplate(source, JinjaParser.Parse(source), forTools, variables);
        }
        catch (InsufficientExecutionStackException)
        {
            throw new TemplateException("the chat template nests too deep");
        }
    }

    private static ChatTemplate? CreateBoth(string? source, string? forTools, JsonObject variables)
    {
        ChatTemplate? other = forTools is null ? null : Create(forTools, null, variables);
        return source is null ? other : Create(source, other, variables);
    }

    private static void Add(Scope scope, JsonObject variables)
    {
        foreach ((string name, JsonNode? value) in variables)
        {
            scope[name] = JinjaInput.Convert(value, isInput: true);
        }
    }

    private string Run(Scope variables, CancellationToken cancellationToken)
    {
        var output = new StringBuilder();
        try
        {
            // What a template sets at its top is a variable of its own, not one of the caller's.
            _body.Execute(new RenderContext(variables, Clock, cancellationToken), new Scope(variables), output);
        }
        catch (Exception exception) when (exception is InsufficientExecutionStackException or OutOfMemoryException)
        {
            throw new TemplateException("the chat template nests too deep or needs too much memory");
        }

        return output.ToString();
    }
}
