using System.Text.Json.Nodes;
using KQuant.Models.Answers;
using KQuant.Models.Generation;
using KQuant.Models.Grammars;
using KQuant.Models.Templates;
using KQuant.Server.Chat;
using KQuant.Server.Hosting;
using KQuant.Server.Protocol;

namespace KQuant.Server.OpenAI;

/// <summary>What <c>/v1/chat/completions</c> is asked for.</summary>
internal sealed class ChatBody
{
    private const int MostChoices = 128;

    /// <summary>The conversation, and what to generate.</summary>
    public required ChatPrompt Prompt { get; init; }

    /// <summary>Whether the answer comes in pieces.</summary>
    public bool IsStream { get; init; }

    /// <summary>Whether a last piece has the numbers of tokens.</summary>
    public bool IncludesUsage { get; init; }

    /// <summary>Whether tokens come with their probabilities.</summary>
    public bool HasLogProbabilities { get; init; }

    /// <summary>Reads it.</summary>
    /// <exception cref="ApiException">A field is wrong.</exception>
    public static ChatBody Read(JsonFields body, ServedModel served)
    {
        List<TemplateMessage> messages = MessageFields.Read(body, served);
        AnswerPlan plan = ToolFields.Read(body, served, out JsonArray? tools);
        bool hasLogProbabilities = body.Flag("logprobs") ?? false;
        int? top = body.Integer("top_logprobs", 0, SamplingFields.MostTop);
        if (top > 0 && !hasLogProbabilities)
        {
            throw ApiException.Wrong("top_logprobs", $"'top_logprobs' is {top}, which needs 'logprobs' to be true.");
        }

        return new ChatBody
        {
            IsStream = body.Flag("stream") ?? false,
            IncludesUsage = body.Object("stream_options")?.Flag("include_usage") ?? false,
            HasLogProbabilities = hasLogProbabilities,
            Prompt = new ChatPrompt
            {
                Messages = messages,
                Tools = tools,
                Plan = plan,
                Variables = ReadVariables(body, body.Text("reasoning_effort")),
                Choices = body.Integer("n", 1, MostChoices) ?? 1,
                Generation = new GenerationOptions
                {
                    Sampling = SamplingFields.Read(body, served),
                    MaxTokens = body.Integer("max_completion_tokens", 1) ?? body.Integer("max_tokens", 1) ?? int.MaxValue,
                    StopSequences = SamplingFields.ReadStops(body, "stop"),
                    TopLogProbabilities = top ?? 0,
                    IncludeSpecialTokens = AnswerForms.HasControls(served.Form),
                    Processors = ReadGrammar(body, plan) is { } grammar ? [grammar.CreateProcessor(served.Model.Tokenizer)] : [],
                },
            },
        };
    }

    /// <summary>The grammar that the answer has to fit, in llama.cpp's notation.</summary>
    private static Grammar? ReadGrammar(JsonFields body, AnswerPlan plan) =>
        body.Text("grammar") is not { } text ? null
        : plan.Reply is null && !plan.IsCallRequired ? Grammar.Parse(text)
        : throw ApiException.Wrong("grammar", "An answer has either a 'grammar' or a 'response_format' or a call that is required.");

    /// <summary>Variables of the chat template.</summary>
    /// <param name="body">The body of the request.</param>
    /// <param name="effort">How much the model should think; null for no word of it.</param>
    public static JsonObject ReadVariables(JsonFields body, string? effort)
    {
        JsonObject variables = body.NodeObject("chat_template_kwargs") ?? [];
        if (effort is not null)
        {
            variables["reasoning_effort"] = effort == "none" ? "low" : effort;
            variables["enable_thinking"] = effort != "none";
        }

        return variables;
    }
}
