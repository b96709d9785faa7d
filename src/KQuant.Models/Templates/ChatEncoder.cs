using System.Text.Json.Nodes;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Templates;

/// <summary>From a conversation to token ids.</summary>
internal static class ChatEncoder
{
    /// <inheritdoc cref="LanguageModel.EncodeChat"/>
    public static int[] Encode(
        Tokenizer tokenizer,
        ChatTemplate template,
        IReadOnlyList<TemplateMessage> messages,
        JsonObject? variables = null,
        JsonArray? tools = null,
        bool parseSpecialTokens = false,
        CancellationToken cancellationToken = default)
    {
        ContentMarks? marks = null;
        string text = parseSpecialTokens
            ? template.Render(messages, tools, variables: variables, cancellationToken: cancellationToken)
            : template.RenderMarked(
                messages, tools, variables, tokenizer.AddedTexts(special: true), tokenizer.AddedTexts(special: false), out marks, cancellationToken);
        int[] ids = tokenizer.EncodeChat(text, marks);
        return tokenizer is { BeginsChats: true, BosId: int bos } && (ids.Length == 0 || ids[0] != bos) ? [bos, .. ids] : ids;
    }
}
