using KQuant.Models.Templates;
using KQuant.Server.Hosting;
using KQuant.Server.Protocol;

namespace KQuant.Server.Chat;

/// <summary>A conversation as the model reads it. What the assistant has begun to say goes on behind what templates put before an answer.</summary>
internal static class ChatText
{
    /// <summary>The tokens of a conversation.</summary>
    /// <exception cref="ApiException">The model has no chat template.</exception>
    /// <exception cref="TemplateException">The template refuses the conversation.</exception>
    public static int[] Encode(ServedModel served, ChatPrompt prompt, CancellationToken cancellationToken)
    {
        FindTemplate(served);
        int[] tokens = served.Model.EncodeChat(Asked(prompt), prompt.Variables, prompt.Tools, cancellationToken: cancellationToken);
        return prompt.IsContinued
            ? [.. tokens, .. served.Model.Tokenizer.Encode(prompt.Messages[^1].Content!, addSpecialTokens: false, parseSpecialTokens: false)]
            : tokens;
    }

    /// <summary>The text of a conversation, in which control tokens and texts that look like them are the same.</summary>
    /// <exception cref="ApiException">The model has no chat template.</exception>
    /// <exception cref="TemplateException">The template refuses the conversation.</exception>
    public static string Render(ServedModel served, ChatPrompt prompt, CancellationToken cancellationToken)
    {
        string text = FindTemplate(served).Render(Asked(prompt), prompt.Tools, variables: prompt.Variables, cancellationToken: cancellationToken);
        return prompt.IsContinued ? text + prompt.Messages[^1].Content : text;
    }

    private static ChatTemplate FindTemplate(ServedModel served) => served.Model.ChatTemplate
        ?? throw new ApiException(StatusCodes.Status400BadRequest, $"The model '{served.Name}' has no chat template; ask for /v1/completions.");

    private static IReadOnlyList<TemplateMessage> Asked(ChatPrompt prompt) => prompt.IsContinued ? [.. prompt.Messages.SkipLast(1)] : prompt.Messages;
}
