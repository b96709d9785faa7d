using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Templates;

/// <summary>
/// A chat template: a Jinja program that turns messages into the text a model was trained on. It comes with the model and is not trusted:
/// it has no access to anything but its variables, and its steps, nesting, memory and output are bounded. Immutable and thread-safe.
/// </summary>
public sealed class ChatTemplate
{
    private ChatTemplate(string source) => Source = source;

    /// <summary>The text of the template.</summary>
    public string Source { get; }

    /// <summary>Compiles a template.</summary>
    /// <param name="source">Its text.</param>
    /// <returns>The template.</returns>
    /// <exception cref="TemplateException">The text is no template; the message names the line.</exception>
    public static ChatTemplate Parse(string source) => new(source);

    /// <summary>
    /// The template of a model: <c>chat_template.jinja</c>, or <c>chat_template</c> in <c>tokenizer_config.json</c>, or
    /// <c>tokenizer.chat_template</c> in a GGUF file, with the names of the special tokens that it can use.
    /// </summary>
    /// <param name="path">A model folder or a GGUF file.</param>
    /// <returns>The template, or null if the model has none.</returns>
    /// <exception cref="TemplateException">The template is not well-formed.</exception>
    /// <exception cref="ModelFormatException">A file of the model is not well-formed.</exception>
    public static ChatTemplate? Load(string path) => throw new NotSupportedException(path);

    /// <summary>The template of an open GGUF file.</summary>
    /// <param name="file">The file; not needed any more afterwards.</param>
    /// <returns>The template, or null if the model has none.</returns>
    /// <exception cref="TemplateException">The template is not well-formed.</exception>
    public static ChatTemplate? FromGguf(GgufFile file) => throw new NotSupportedException(file?.Path);

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
        CancellationToken cancellationToken = default) => throw new NotSupportedException();
}
