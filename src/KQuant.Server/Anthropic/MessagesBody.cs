using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Models.Answers;
using KQuant.Models.Generation;
using KQuant.Models.Templates;
using KQuant.Server.Chat;
using KQuant.Server.Hosting;
using KQuant.Server.OpenAI;
using KQuant.Server.Protocol;

namespace KQuant.Server.Anthropic;

/// <summary>What <c>/v1/messages</c> is asked for.</summary>
internal sealed class MessagesBody
{
    /// <summary>Anthropic's own interface has none; this is llama-server's.</summary>
    private const int StandardMaxTokens = 4096;

    /// <summary>The conversation, and what to generate.</summary>
    public required ChatPrompt Prompt { get; init; }

    /// <summary>Whether the answer comes in pieces.</summary>
    public bool IsStream { get; init; }

    /// <summary>Reads it.</summary>
    /// <exception cref="ApiException">A field is wrong.</exception>
    public static MessagesBody Read(JsonFields body, ServedModel served)
    {
        List<TemplateMessage> messages = ConversationFields.Read(body, served);
        AnswerPlan plan = ReadPlan(body, served, out JsonArray? tools);
        return new MessagesBody
        {
            IsStream = body.Flag("stream") ?? false,
            Prompt = new ChatPrompt
            {
                Messages = messages,
                Tools = tools,
                Plan = plan,
                Variables = ReadVariables(body),
                Generation = new GenerationOptions
                {
                    Sampling = SamplingFields.Read(body, served),
                    MaxTokens = body.Integer("max_tokens", 1) ?? StandardMaxTokens,
                    StopSequences = SamplingFields.ReadStops(body, "stop_sequences"),
                    IncludeSpecialTokens = AnswerForms.HasControls(served.Form),
                },
            },
        };
    }

    private static AnswerPlan ReadPlan(JsonFields body, ServedModel served, out JsonArray? tools)
    {
        tools = [];
        var schemas = new List<(string Name, JsonNode Schema)>();
        foreach ((JsonElement item, string path) in body.List("tools") ?? [])
        {
            var tool = new JsonFields(item, path);
            tool.Choice("type", "custom");
            ToolFields.Add(tools, schemas, tool.Text("name") ?? throw tool.Missing("name"), tool.Text("description"), tool.NodeObject("input_schema"));
        }

        string choice = "auto";
        string? only = null;
        bool allowsManyCalls = true;
        if (body.Object("tool_choice") is { } given)
        {
            string type = given.Choice("type", "auto", "any", "tool", "none") ?? throw given.Missing("type");
            choice = type is "any" or "tool" ? "required" : type;
            only = type == "tool" ? given.Text("name") ?? throw given.Missing("name") : null;
            allowsManyCalls = given.Flag("disable_parallel_tool_use") != true;
        }

        return ToolFields.Create(served, ref tools, schemas, choice, only) with
        {
            AllowsManyCalls = allowsManyCalls,
            Reply = (body.Object("output_config")?.Object("format") ?? body.Object("output_format")) is { } format ? ReadSchema(format) : null,
        };
    }

    private static JsonNode ReadSchema(JsonFields format)
    {
        _ = format.Choice("type", "json_schema") ?? throw format.Missing("type");
        return format.Node("schema") ?? throw format.Missing("schema");
    }

    private static JsonObject ReadVariables(JsonFields body) => body.Object("thinking") is { } thinking
        ? new JsonObject { ["enable_thinking"] = (thinking.Choice("type", "enabled", "adaptive", "disabled") ?? throw thinking.Missing("type")) != "disabled" }
        : [];
}
