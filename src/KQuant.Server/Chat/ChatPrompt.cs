using System.Text.Json.Nodes;
using KQuant.Models.Answers;
using KQuant.Models.Generation;
using KQuant.Models.Templates;

namespace KQuant.Server.Chat;

/// <summary>A conversation that wants an answer, whatever interface it came through.</summary>
internal sealed record ChatPrompt
{
    /// <summary>The messages. Text of the assistant at their end is the beginning of the answer.</summary>
    public required IReadOnlyList<TemplateMessage> Messages { get; init; }

    /// <summary>Whether the assistant has begun to answer.</summary>
    public bool IsContinued => Messages is [.., { Role: "assistant", Content.Length: > 0, More: null }];

    /// <summary>The functions as templates see them; null for none.</summary>
    public JsonArray? Tools { get; init; }

    /// <summary>More variables of the template.</summary>
    public JsonObject Variables { get; init; } = [];

    /// <summary>What the answer may be.</summary>
    public required AnswerPlan Plan { get; init; }

    /// <summary>What to generate.</summary>
    public required GenerationOptions Generation { get; init; }

    /// <summary>Answers to give, which draw from the seed plus their number.</summary>
    public int Choices { get; init; } = 1;
}
