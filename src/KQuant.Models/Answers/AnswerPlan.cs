using System.Text.Json.Nodes;
using KQuant.Models.Grammars;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Answers;

/// <summary>What an answer may be: which functions it may call, whether it must, and what it has to look like otherwise.</summary>
internal sealed record AnswerPlan
{
    /// <summary>How the model writes thoughts and calls.</summary>
    public required AnswerForm Form { get; init; }

    /// <summary>The functions that may be called, and the schemas of their arguments.</summary>
    public IReadOnlyList<(string Name, JsonNode Schema)> Tools { get; init; } = [];

    /// <summary>Whether the answer is a call.</summary>
    public bool IsCallRequired { get; init; }

    /// <summary>The function that a required call is of; null for any.</summary>
    public string? RequiredTool { get; init; }

    /// <summary>Whether several calls may come; otherwise the answer ends with the first.</summary>
    public bool AllowsManyCalls { get; init; } = true;

    /// <summary>The schema of an answer that is no call; null for any text.</summary>
    public JsonNode? Reply { get; init; }

    /// <summary>The names of the functions that may be called.</summary>
    public IReadOnlySet<string> ToolNames => Tools.Select(tool => tool.Name).ToHashSet(StringComparer.Ordinal);

    /// <summary>Whether a prompt ends with the beginning of a thought.</summary>
    public static bool BeginsWithThought(Tokenizer tokenizer, ReadOnlySpan<int> prompt) =>
        tokenizer.Decode(prompt[Math.Max(0, prompt.Length - 8)..]).TrimEnd().EndsWith("<think>", StringComparison.Ordinal);

    /// <summary>The grammar that the answer has to fit; null for none.</summary>
    /// <param name="tokenizer">Knows which marks are tokens.</param>
    /// <param name="isThinking">Whether the prompt ends with the beginning of a thought.</param>
    /// <exception cref="GrammarException">A schema is not well-formed, too large, or nothing fits it.</exception>
    /// <exception cref="NotSupportedException">A schema has a keyword that is not understood and would restrict texts.</exception>
    public Grammar? CreateGrammar(Tokenizer tokenizer, bool isThinking)
    {
        if (!IsCallRequired && Reply is null)
        {
            return null;
        }

        (string, JsonNode)[] tools = [.. Tools.Where(tool => RequiredTool is null || tool.Name == RequiredTool)];
        return AnswerForms.Create(Form, tokenizer, tools, AllowsManyCalls && Form != AnswerForm.Llama3, IsCallRequired ? null : Reply, isThinking);
    }
}
