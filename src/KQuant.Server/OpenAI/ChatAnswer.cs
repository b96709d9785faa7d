using System.Text;
using KQuant.Models.Generation;
using KQuant.Server.Chat;
using Microsoft.Extensions.AI;

namespace KQuant.Server.OpenAI;

/// <summary>One of the answers, collected from its pieces.</summary>
internal sealed class ChatAnswer
{
    public StringBuilder Text { get; } = new();

    public StringBuilder Thought { get; } = new();

    public List<FunctionCallContent> Calls { get; } = [];

    /// <summary>Its tokens.</summary>
    public List<GeneratedToken> Tokens { get; } = [];

    public ChatEnd End { get; private set; }

    /// <summary>Adds a piece.</summary>
    public void Add(ChatPiece piece)
    {
        Tokens.Add(piece.Token);
        End = piece.End;
        foreach (AIContent content in piece.Contents)
        {
            switch (content)
            {
                case TextReasoningContent thought: Thought.Append(thought.Text); break;
                case TextContent text: Text.Append(text.Text); break;
                case FunctionCallContent call: Calls.Add(call); break;
            }
        }
    }
}
