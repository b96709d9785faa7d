using System.Text.Json.Nodes;
using KQuant.Models.Templates;

namespace KQuant.Models;

public sealed partial class LanguageModel
{
    /// <summary>The token ids of a conversation, ready for an answer.</summary>
    /// <remarks>
    /// Control tokens that the chat template writes are those tokens; their names in the texts of messages, tools and variables are text,
    /// so that nobody can speak with the voice of another by writing <c>&lt;|im_start|&gt;</c>. That holds through whatever a template does
    /// with a text (<c>trim</c>, slices, concatenation, <c>replace</c>, <c>tojson</c>, parts put together); a template that looks for the
    /// name of a control token in a content does not find it. The conversation of a GGUF file whose tokenizer adds a first token begins with
    /// it once, whether or not the template writes it, as in llama.cpp.
    /// </remarks>
    /// <param name="messages">The messages.</param>
    /// <param name="variables">More variables, such as <c>enable_thinking</c>; they win over those that come with the model.</param>
    /// <param name="tools">JSON schemas of the functions that the model may call; null for none.</param>
    /// <param name="parseSpecialTokens">Whether the names of control tokens in the texts of messages mean those tokens. Only for texts that
    /// are trusted.</param>
    /// <param name="cancellationToken">Ends rendering.</param>
    /// <returns>The ids.</returns>
    /// <exception cref="InvalidOperationException">The model has no chat template.</exception>
    /// <exception cref="TemplateException">The template refuses the conversation.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    /// <example>
    /// <code>
    /// int[] prompt = model.EncodeChat([new TemplateMessage("system", "Be brief."), new TemplateMessage("user", "Who is Elizabeth?")]);
    /// string answer = string.Concat(model.Generate(prompt).Select(token =&gt; token.Text));
    /// </code>
    /// </example>
    public int[] EncodeChat(
        IReadOnlyList<TemplateMessage> messages,
        JsonObject? variables = null,
        JsonArray? tools = null,
        bool parseSpecialTokens = false,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        if (_template is null)
        {
            Throw.NoTemplate(Path);
        }

        return ChatEncoder.Encode(Tokenizer, _template, messages, variables, tools, parseSpecialTokens, cancellationToken);
    }
}
