using KQuant.Server.Chat;
using KQuant.Server.Protocol;
using Microsoft.Extensions.AI;

namespace KQuant.Server.OpenAI.Responses;

/// <summary><c>POST /v1/responses</c>: chats in OpenAI's newer form. What it generates and how is the same as for <see cref="ChatEndpoint"/>.</summary>
internal static class ResponsesEndpoint
{
    /// <summary>Answers a request.</summary>
    public static async Task AnswerAsync(ApiCall call)
    {
        var body = ResponsesBody.Read(await call.ReadBodyAsync().ConfigureAwait(false), call.Served);
        using var run = ChatRun.Start(call.Served, body.Prompt, call.Aborted);
        var answer = new ResponsesAnswer(body, call.Served, run);
        if (body.IsStream)
        {
            await ResponsesStream.SendAsync(call, answer, run).ConfigureAwait(false);
            return;
        }

        await foreach (ChatPiece piece in run.ReadAsync(null, call.Aborted).ConfigureAwait(false))
        {
            foreach (AIContent content in piece.Contents)
            {
                answer.Open(content, out ResponsesItem item);
                if (item.Call is null)
                {
                    item.Append(content);
                }
            }

            answer.End = piece.End;
        }

        await call.WriteAsync(writer => answer.Write(writer)).ConfigureAwait(false);
    }

    /// <summary>Counts the tokens of a conversation.</summary>
    public static async Task CountAsync(ApiCall call)
    {
        var body = ResponsesBody.Read(await call.ReadBodyAsync().ConfigureAwait(false), call.Served);
        await CountEndpoints.WriteAsync(call, ChatText.Encode(call.Served, body.Prompt, call.Aborted).Length).ConfigureAwait(false);
    }
}
