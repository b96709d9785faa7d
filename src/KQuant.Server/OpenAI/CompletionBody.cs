using System.Text.Json;
using KQuant.Models.Generation;
using KQuant.Models.Grammars;
using KQuant.Server.Hosting;
using KQuant.Server.Protocol;

namespace KQuant.Server.OpenAI;

/// <summary>What <c>/v1/completions</c> is asked for.</summary>
internal sealed class CompletionBody
{
    /// <summary>Texts of a request at most.</summary>
    private const int MostTexts = 128;

    /// <summary>OpenAI's own limit is 5.</summary>
    private const int MostTop = 20;

    private const int StandardMaxTokens = 16;

    /// <summary>The tokens of each prompt.</summary>
    public required IReadOnlyList<int[]> Prompts { get; init; }

    /// <summary>Texts for each prompt.</summary>
    public int Choices { get; init; }

    /// <summary>What to generate.</summary>
    public required GenerationOptions Generation { get; init; }

    /// <summary>Whether the prompt stands before the text.</summary>
    public bool IsEchoed { get; init; }

    /// <summary>Whether tokens come with their probabilities.</summary>
    public bool HasProbabilities { get; init; }

    /// <summary>Whether the texts come in pieces.</summary>
    public bool IsStream { get; init; }

    /// <summary>Whether a last piece has the numbers of tokens.</summary>
    public bool IncludesUsage { get; init; }

    /// <summary>Reads it.</summary>
    /// <exception cref="ApiException">A field is wrong.</exception>
    public static CompletionBody Read(JsonFields body, ServedModel served)
    {
        if (body.Text("suffix") is { Length: > 0 })
        {
            throw ApiException.Wrong("suffix", "'suffix' is given; texts are only written to their end here.");
        }

        int? top = body.TryGet("logprobs", out JsonElement logprobs) && logprobs.ValueKind is JsonValueKind.False ? null : body.Integer("logprobs", 0, MostTop);
        IReadOnlyList<int[]> prompts = TextFields.Read(body, "prompt", served, MostTexts);
        int choices = body.Integer("n", 1, MostTexts) ?? 1;
        if (prompts.Count * choices > MostTexts)
        {
            throw ApiException.Wrong("prompt", $"{prompts.Count} prompts times {choices} texts are asked for; at most {MostTexts} are written at once.");
        }

        if (body.Integer("best_of", 1) is int best && best > choices)
        {
            throw ApiException.Wrong("best_of", $"'best_of' is {best}; texts are not compared here.");
        }

        return new CompletionBody
        {
            Prompts = prompts,
            Choices = choices,
            IsEchoed = body.Flag("echo") ?? false,
            HasProbabilities = top is not null,
            IsStream = body.Flag("stream") ?? false,
            IncludesUsage = body.Object("stream_options")?.Flag("include_usage") ?? false,
            Generation = new GenerationOptions
            {
                Sampling = SamplingFields.Read(body, served),
                MaxTokens = body.Integer("max_tokens", 1) ?? StandardMaxTokens,
                StopSequences = SamplingFields.ReadStops(body, "stop"),
                TopLogProbabilities = top ?? 0,
                Processors = ReadGrammar(body) is { } grammar ? [grammar.CreateProcessor(served.Model.Tokenizer)] : [],
            },
        };
    }

    private static Grammar? ReadGrammar(JsonFields body) =>
        body.Text("grammar") is { } text ? Grammar.Parse(text)
        : body.Node("json_schema") is { } schema ? Grammar.FromJsonSchema(schema)
        : null;
}
