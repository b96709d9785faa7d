using KQuant.Server.Chat;
using KQuant.Server.Protocol;

namespace KQuant.Server.OpenAI;

/// <summary>How many tokens a request would have: the path of what it is for, and <c>/input_tokens</c>.</summary>
internal static class CountEndpoints
{
    /// <summary>Counts the tokens of a conversation.</summary>
    public static async Task CountChatAsync(ApiCall call)
    {
        ChatBody body = ChatBody.Read(await call.ReadBodyAsync().ConfigureAwait(false), call.Served);
        await WriteAsync(call, ChatText.Encode(call.Served, body.Prompt, call.Aborted).Length).ConfigureAwait(false);
    }

    /// <summary>Counts the tokens of all prompts.</summary>
    public static async Task CountTextsAsync(ApiCall call)
    {
        CompletionBody body = CompletionBody.Read(await call.ReadBodyAsync().ConfigureAwait(false), call.Served);
        await WriteAsync(call, body.Prompts.Sum(prompt => prompt.Length)).ConfigureAwait(false);
    }

    /// <summary>Answers with a count.</summary>
    public static Task WriteAsync(ApiCall call, int count) => call.WriteAsync(writer =>
    {
        writer.WriteStartObject();
        writer.WriteString("object", "response.input_tokens");
        writer.WriteNumber("input_tokens", count);
        writer.WriteEndObject();
    });
}
