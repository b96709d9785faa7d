using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Models.Answers;
using KQuant.Models.Generation;
using KQuant.Server.Chat;
using KQuant.Server.Hosting;
using KQuant.Server.Protocol;

namespace KQuant.Server.OpenAI.Responses;

/// <summary>What <c>/v1/responses</c> is asked for.</summary>
internal sealed class ResponsesBody
{
    /// <summary>Fields that an answer repeats, with what they are where a request has none.</summary>
    private static readonly (string Name, string Default)[] Repeated =
    [
        ("instructions", "null"), ("max_output_tokens", "null"), ("metadata", "{}"), ("parallel_tool_calls", "true"), ("reasoning", """{"effort":null,"summary":null}"""),
        ("temperature", "null"), ("text", """{"format":{"type":"text"}}"""), ("tool_choice", "\"auto\""), ("tools", "[]"), ("top_p", "null"), ("user", "null"),
    ];

    /// <summary>What would need something that lasts longer than a request, or that this server does not have.</summary>
    private static readonly (string Name, string Instead)[] Refused =
    [
        ("previous_response_id", "answers are not stored here: send the whole conversation as 'input'"),
        ("conversation", "conversations are not stored here: send the whole one as 'input'"),
        ("prompt", "templates of prompts are not stored here: send 'instructions' and 'input'"),
    ];

    /// <summary>The conversation, and what to generate.</summary>
    public required ChatPrompt Prompt { get; init; }

    /// <summary>Whether the answer comes in pieces.</summary>
    public bool IsStream { get; init; }

    /// <summary>Fields of the request that the answer has, too.</summary>
    public required IReadOnlyList<(string Name, JsonNode? Value)> Echo { get; init; }

    /// <summary>Reads it.</summary>
    /// <exception cref="ApiException">A field is wrong, or asks for what is not there.</exception>
    public static ResponsesBody Read(JsonFields body, ServedModel served)
    {
        foreach ((string name, string instead) in Refused)
        {
            if (body.TryGet(name, out _))
            {
                throw ApiException.Wrong(name, $"'{name}' is not supported; {instead}.");
            }
        }

        if (body.Flag("background") == true)
        {
            throw ApiException.Wrong("background", "'background' is true; answers are given to whoever waits for them, so leave it out.");
        }

        body.Choice("truncation", "disabled");
        if (body.Texts("include", 100).Contains("message.output_text.logprobs") || body.Integer("top_logprobs", 0, SamplingFields.MostTop) > 0)
        {
            throw ApiException.Wrong("include", "Log-probabilities are not given here; /v1/chat/completions has 'logprobs'.");
        }

        AnswerPlan plan = ReadPlan(body, served, out JsonArray? tools);
        return new ResponsesBody
        {
            IsStream = body.Flag("stream") ?? false,
            Echo = [.. Repeated.Select(field => (field.Name, body.Node(field.Name) ?? JsonNode.Parse(field.Default)))],
            Prompt = new ChatPrompt
            {
                Messages = ResponsesInput.Read(body, served),
                Tools = tools,
                Plan = plan,
                Variables = ChatBody.ReadVariables(body, body.Object("reasoning")?.Text("effort")),
                Generation = new GenerationOptions
                {
                    Sampling = SamplingFields.Read(body, served),
                    MaxTokens = body.Integer("max_output_tokens", 1) ?? int.MaxValue,
                    IncludeSpecialTokens = AnswerForms.HasControls(served.Form),
                },
            },
        };
    }

    /// <summary>The same as in chats, a level flatter.</summary>
    private static AnswerPlan ReadPlan(JsonFields body, ServedModel served, out JsonArray? tools)
    {
        tools = [];
        var schemas = new List<(string Name, JsonNode Schema)>();
        foreach ((JsonElement item, string path) in body.List("tools") ?? [])
        {
            var tool = new JsonFields(item, path);
            _ = tool.Choice("type", "function") ?? throw tool.Missing("type");
            ToolFields.Add(tools, schemas, tool.Text("name") ?? throw tool.Missing("name"), tool.Text("description"), tool.NodeObject("parameters"));
        }

        string choice = "auto";
        string? only = null;
        if (body.TryGet("tool_choice", out JsonElement given))
        {
            if (given.ValueKind == JsonValueKind.Object)
            {
                JsonFields named = body.Object("tool_choice")!.Value;
                _ = named.Choice("type", "function") ?? throw named.Missing("type");
                (choice, only) = ("required", named.Text("name") ?? throw named.Missing("name"));
            }
            else
            {
                choice = body.Choice("tool_choice", "none", "auto", "required")!;
            }
        }

        return ToolFields.Create(served, ref tools, schemas, choice, only) with
        {
            AllowsManyCalls = body.Flag("parallel_tool_calls") ?? true,
            Reply = body.Object("text")?.Object("format") is { } format ? ReadFormat(format) : null,
        };
    }

    private static JsonNode? ReadFormat(JsonFields format) => (format.Choice("type", "text", "json_object", "json_schema") ?? throw format.Missing("type")) switch
    {
        "json_schema" => format.Node("schema") ?? throw format.Missing("schema"),
        "json_object" => new JsonObject { ["type"] = "object" },
        _ => null,
    };
}
