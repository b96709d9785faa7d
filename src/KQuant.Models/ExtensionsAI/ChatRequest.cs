using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Models.Answers;
using KQuant.Models.Generation;
using KQuant.Models.Templates;
using Microsoft.Extensions.AI;

namespace KQuant.Models;

/// <summary>What a caller of the chat client asks for, in the terms of the model. What cannot be done is refused.</summary>
internal sealed class ChatRequest
{
    private readonly IChatClient _client;
    private readonly LanguageModel _model;
    private readonly ChatOptions _options;
    private readonly List<TemplateMessage> _messages = [];
    private readonly Dictionary<string, string> _names = new(StringComparer.Ordinal);
    private readonly JsonObject _variables = [];
    private readonly List<AIFunctionDeclaration> _tools = [];

    public ChatRequest(IChatClient client, LanguageModel model, AnswerForm form, IEnumerable<ChatMessage> messages, ChatOptions? options)
    {
        (_client, _model, _options, Form) = (client, model, options ?? new ChatOptions(), form);
        RefuseWhatCannotBeDone();
        AddTools();
        Generation = ReadGeneration();
        if (!string.IsNullOrEmpty(_options.Instructions))
        {
            _messages.Add(new TemplateMessage("system", _options.Instructions));
        }

        foreach (ChatMessage message in messages)
        {
            Add(message);
        }

        JoinInstructions();
    }

    public AnswerForm Form { get; }

    /// <summary>What to generate; without the grammar.</summary>
    public GenerationOptions Generation { get; }

    /// <summary>What the answer may be.</summary>
    public AnswerPlan CreatePlan() => new()
    {
        Form = Form,
        Tools = [.. _tools.Select(tool => (tool.Name, Node(tool.JsonSchema)))],
        IsCallRequired = _options.ToolMode is RequiredChatToolMode,
        RequiredTool = (_options.ToolMode as RequiredChatToolMode)?.RequiredFunctionName,
        AllowsManyCalls = _options.AllowMultipleToolCalls != false,
        Reply = _options.ResponseFormat is ChatResponseFormatJson json
            ? json.Schema is { } schema ? Node(schema) : new JsonObject { ["type"] = "object" }
            : null,
    };

    /// <summary>The tokens of the prompt.</summary>
    public int[] Encode(CancellationToken cancellation)
    {
        JsonArray? tools = _tools.Count == 0 ? null : [.. _tools.Select(tool => new JsonObject
        {
            ["type"] = "function",
            ["function"] = new JsonObject
            {
                ["name"] = tool.Name,
                ["description"] = tool.Description,
                ["parameters"] = Node(tool.JsonSchema),
            },
        })];
        return _model.EncodeChat(_messages, _variables, tools, cancellationToken: cancellation);
    }

    private static JsonNode Node(JsonElement element) => JsonNode.Parse(element.GetRawText())!;

    private void RefuseWhatCannotBeDone()
    {
        if (_options.ModelId is { } id && id != _model.Name)
        {
            throw new NotSupportedException($"The model '{id}' is asked for; this is '{_model.Name}'.");
        }

        if (_options.ConversationId is not null)
        {
            throw new NotSupportedException("A conversation is asked for by its id; this client keeps none, give all messages.");
        }

        if (_model.ChatTemplate is null)
        {
            throw new NotSupportedException($"{_model.Path} has no chat template.");
        }
    }

    private void AddTools()
    {
        if (_options.ToolMode is RequiredChatToolMode { RequiredFunctionName: var only }
            && _options.Tools?.Any(tool => only is null || tool.Name == only) != true)
        {
            throw new NotSupportedException(only is null ? "A call is required, and there are no tools." : $"A call of '{only}' is required, and there is no such tool.");
        }

        if (_options.Tools is not { Count: > 0 } || _options.ToolMode is NoneChatToolMode)
        {
            return;
        }

        if (Form == AnswerForm.Plain || _model.ChatTemplate?.TakesTools != true)
        {
            throw new NotSupportedException("The chat template of the model takes no tools, or has a form of calls that is not known.");
        }

        foreach (AITool tool in _options.Tools)
        {
            _tools.Add(tool as AIFunctionDeclaration ?? throw new NotSupportedException($"The tool '{tool.Name}' is no function."));
        }
    }

    private GenerationOptions ReadGeneration()
    {
        GenerationOptions options = _options.RawRepresentationFactory is null ? new GenerationOptions { MaxTokens = 1024 } : FromFactory();
        SamplingOptions sampling = options.Sampling ?? _model.DefaultSampling;
        sampling = sampling with
        {
            Temperature = _options.Temperature ?? sampling.Temperature,
            TopP = _options.TopP ?? sampling.TopP,
            TopK = _options.TopK ?? sampling.TopK,
            PresencePenalty = _options.PresencePenalty ?? sampling.PresencePenalty,
            FrequencyPenalty = _options.FrequencyPenalty ?? sampling.FrequencyPenalty,
            Seed = _options.Seed is long seed ? unchecked((int)seed) : sampling.Seed,
        };
        foreach ((string name, object? value) in _options.AdditionalProperties ?? [])
        {
            switch (name)
            {
                case "min_p": sampling = sampling with { MinP = Number(name, value) }; break;
                case "repetition_penalty": sampling = sampling with { RepetitionPenalty = Number(name, value) }; break;
                case "xtc_probability": sampling = sampling with { XtcProbability = Number(name, value) }; break;
                case "xtc_threshold": sampling = sampling with { XtcThreshold = Number(name, value) }; break;
                default: _variables[name] = Variable(name, value); break;
            }
        }

        if (_options.Reasoning?.Effort is { } effort)
        {
            _variables["enable_thinking"] = effort != ReasoningEffort.None;
            _variables["reasoning_effort"] = effort switch { ReasoningEffort.None or ReasoningEffort.Low => "low", ReasoningEffort.Medium => "medium", _ => "high" };
        }

        return options with
        {
            Sampling = sampling,
            MaxTokens = _options.MaxOutputTokens ?? options.MaxTokens,
            StopSequences = _options.StopSequences is { } stops ? [.. stops] : options.StopSequences,
            IncludeSpecialTokens = options.IncludeSpecialTokens || AnswerForms.HasControls(Form),
        };
    }

    private GenerationOptions FromFactory() => _options.RawRepresentationFactory!(_client) switch
    {
        null => new GenerationOptions { MaxTokens = 1024 },
        GenerationOptions { Cache: null } options => options,
        GenerationOptions => throw new NotSupportedException("The options of the factory have a cache; the client has its own."),
        object other => throw new NotSupportedException($"The factory gives a {other.GetType().Name}; GenerationOptions are known."),
    };

    private static float Number(string name, object? value) => value switch
    {
        IConvertible and not string and not bool => Convert.ToSingle(value, CultureInfo.InvariantCulture),
        JsonElement { ValueKind: JsonValueKind.Number } element => element.GetSingle(),
        _ => throw new NotSupportedException($"The property '{name}' is '{value}' and should be a number."),
    };

    private static JsonNode? Variable(string name, object? value) => value switch
    {
        null => null,
        bool flag => flag,
        string text => text,
        int number => number,
        long number => number,
        float number => number,
        double number => number,
        JsonElement element => Node(element),
        JsonNode node => node.DeepClone(),
        _ => throw new NotSupportedException($"The property '{name}' is a {value.GetType().Name}, which no template takes."),
    };

    private void Add(ChatMessage message)
    {
        string text = "", thought = "";
        var calls = new JsonArray();
        var results = new List<TemplateMessage>();
        foreach (AIContent content in message.Contents)
        {
            switch (content)
            {
                case TextContent part: text += part.Text; break;
                case TextReasoningContent part: thought += part.Text; break;
                case UsageContent: break;
                case FunctionCallContent call: calls.Add((JsonNode)Describe(call)); break;
                case FunctionResultContent result: results.Add(Describe(result)); break;
                case DataContent or UriContent: throw new NotSupportedException("A message has an image or another file; this model reads text alone.");
                default: throw new NotSupportedException($"A message has a {content.GetType().Name}, which this model does not read.");
            }
        }

        _messages.AddRange(results);
        if (results.Count > 0 && text.Length == 0 && calls.Count == 0)
        {
            return;
        }

        var more = new JsonObject();
        if (calls.Count > 0)
        {
            more["tool_calls"] = calls;
        }

        if (thought.Length > 0)
        {
            more[Form == AnswerForm.Harmony ? "thinking" : "reasoning_content"] = thought;
        }

        _messages.Add(new TemplateMessage(message.Role.Value, calls.Count > 0 && text.Length == 0 && Form == AnswerForm.Harmony ? null : text)
        {
            More = more.Count > 0 ? more : null,
        });
    }

    /// <summary>Instructions and a first message of the system are one message: many templates take only one.</summary>
    private void JoinInstructions()
    {
        if (!string.IsNullOrEmpty(_options.Instructions) && _messages is [var first, { Role: "system", More: null } second, ..])
        {
            _messages[0] = first with { Content = first.Content + "\n" + second.Content };
            _messages.RemoveAt(1);
        }
    }

    private JsonObject Describe(FunctionCallContent call)
    {
        _names[call.CallId] = call.Name;
        var arguments = new JsonObject();
        foreach ((string name, object? value) in call.Arguments ?? new Dictionary<string, object?>())
        {
            arguments[name] = value is null ? null : ToNode(value);
        }

        return new JsonObject
        {
            ["id"] = call.CallId,
            ["type"] = "function",
            ["function"] = new JsonObject { ["name"] = call.Name, ["arguments"] = arguments },
        };
    }

    private TemplateMessage Describe(FunctionResultContent result)
    {
        string text = result.Result switch
        {
            null => result.Exception?.Message ?? "null",
            string plain => plain,
            JsonElement { ValueKind: JsonValueKind.String } element => element.GetString()!,
            object other => ToNode(other)?.ToJsonString() ?? "null",
        };
        var more = new JsonObject { ["tool_call_id"] = result.CallId };
        if (_names.TryGetValue(result.CallId, out string? name))
        {
            more["name"] = name;
        }

        return new TemplateMessage("tool", text) { More = more };
    }

    private static JsonNode? ToNode(object value) =>
        JsonSerializer.SerializeToNode(value, AIJsonUtilities.DefaultOptions.GetTypeInfo(value.GetType()));
}
