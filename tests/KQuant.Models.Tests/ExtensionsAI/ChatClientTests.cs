using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Models.Generation;
using KQuant.TestKit;
using Microsoft.Extensions.AI;

namespace KQuant.Models.Tests.ExtensionsAI;

/// <summary>The model behind the chat interface: tools, schemas, options, and what is refused.</summary>
public class ChatClientTests
{
    private const string Hermes = "{% if tools %}{{ tools | tojson }}<tool_call>{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
        + "{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n";

    private static readonly AIFunction Weather = AIFunctionFactory.Create((string city, int days) => $"{city} {days}", "weather", "Tells the weather.");

    private static readonly AIFunction Time = AIFunctionFactory.Create(() => "noon", "time");

    private TemporaryFolder _folder = null!;
    private LanguageModel _model = null!;
    private IChatClient _client = null!;

    [SetUp]
    public void SetUp()
    {
        _folder = new TemporaryFolder();
        Load(Hermes);
    }

    [TearDown]
    public void TearDown()
    {
        _client.Dispose();
        _folder.Dispose();
    }

    [TestCase("Hermes", Hermes)]
    [TestCase("Llama3", "{{ tools | tojson }}<|python_tag|>{% for m in messages %}{{ m.content }}{% endfor %}")]
    [TestCase("Mistral", "{{ tools | tojson }}[TOOL_CALLS]{% for m in messages %}{{ m.content }}{% endfor %}")]
    [TestCase("Harmony", "{{ tools | tojson }}<|channel|>{% for m in messages %}{{ m.content }}{% endfor %}")]
    public async Task ARequiredCallIsMade(string form, string template)
    {
        Load(template);
        Assert.That(AnswerForms.Find(_model.ChatTemplate!).ToString(), Is.EqualTo(form));
        var options = new ChatOptions { Tools = [Weather, Time], ToolMode = ChatToolMode.RequireSpecific("weather"), AllowMultipleToolCalls = false, MaxOutputTokens = 400, Seed = 3 };
        for (int seed = 0; seed < 5; seed++)
        {
            options.Seed = seed;
            ChatResponse answer = await _client.GetResponseAsync("What is the weather in Bath?", options);
            FunctionCallContent? call = answer.Messages[0].Contents.OfType<FunctionCallContent>().SingleOrDefault();
            if (answer.FinishReason == ChatFinishReason.Length)
            {
                continue;
            }

            Assert.That(answer.FinishReason, Is.EqualTo(ChatFinishReason.ToolCalls), answer.Text);
            Assert.That((call!.Name, call.CallId.Length), Is.EqualTo(("weather", 9)));
            Assert.That(((JsonElement)call.Arguments!["city"]!).ValueKind, Is.EqualTo(JsonValueKind.String));
            Assert.That(await Weather.InvokeAsync(new AIFunctionArguments(call.Arguments)), Is.Not.Null);
            return;
        }

        Assert.Fail("no answer came to its end");
    }

    [Test]
    public async Task AnAnswerFitsItsSchema()
    {
        var options = new ChatOptions
        {
            ResponseFormat = ChatResponseFormat.ForJsonSchema(JsonDocument.Parse(
                """{"type":"object","properties":{"yes":{"type":"boolean"},"n":{"type":"integer","minimum":0,"maximum":9}},"required":["yes","n"],"additionalProperties":false}""").RootElement),
            Temperature = 2,
            MaxOutputTokens = 300,
        };
        JsonElement value = JsonDocument.Parse((await _client.GetResponseAsync("Hm?", options)).Text).RootElement;
        Assert.That(value.GetProperty("n").GetInt32(), Is.InRange(0, 9));
        Assert.That(value.GetProperty("yes").ValueKind, Is.EqualTo(JsonValueKind.True).Or.EqualTo(JsonValueKind.False));
    }

    [Test]
    public async Task ATurnReadsOnlyWhatIsNew()
    {
        var options = new ChatOptions { Temperature = 0, MaxOutputTokens = 8 };
        List<ChatMessage> history = [new(ChatRole.User, "Who is Elizabeth?")];
        ChatResponse first = await _client.GetResponseAsync(history, options);
        Assert.That(first.Usage!.CachedInputTokenCount, Is.Zero);
        Assert.That(first.CreatedAt, Is.Not.Null);
        history.AddMessages(first);
        history.Add(new ChatMessage(ChatRole.User, "And Mr. Darcy?"));
        ChatResponse second = await _client.GetResponseAsync(history, options);
        Assert.That(second.Usage!.CachedInputTokenCount, Is.GreaterThanOrEqualTo(first.Usage.InputTokenCount!.Value));
        using IChatClient other = _model.AsIChatClient(cachedConversations: 0);
        Assert.That(second.Text, Is.EqualTo((await other.GetResponseAsync(history, options)).Text));
    }

    [Test]
    public async Task ResultsOfToolsAndVariablesReachTheTemplate()
    {
        Load("{% for m in messages %}{{ m.role }}:{{ m.content }}{{ m.tool_calls | tojson if m.tool_calls else '' }}{{ m.name }};{% endfor %}{{ enable_thinking }}{{ tools }}<tool_call>");
        ChatMessage[] messages =
        [
            new(ChatRole.User, "w?"),
            new(ChatRole.Assistant, [new FunctionCallContent("123456789", "weather", new Dictionary<string, object?> { ["city"] = "Bath" })]),
            new(ChatRole.Tool, [new FunctionResultContent("123456789", "sunny")]),
        ];
        string expected = """user:w?;assistant:[{"id": "123456789", "type": "function", "function": {"name": "weather", "arguments": {"city": "Bath"}}}];tool:sunnyweather;FalseNone<tool_call>""";
        var options = new ChatOptions { MaxOutputTokens = 1, AdditionalProperties = new() { ["enable_thinking"] = false, ["min_p"] = 0.1 } };
        ChatResponse answer = await _client.GetResponseAsync(messages, options);
        Assert.That(answer.Usage!.InputTokenCount, Is.EqualTo(_model.Tokenizer.Encode(expected, addSpecialTokens: false, parseSpecialTokens: false).Length));
    }

    [Test]
    public async Task TheFactoryGivesWhatToStartFrom()
    {
        var own = new GenerationOptions { MaxTokens = 3, Sampling = SamplingOptions.Greedy, StopTokens = [] };
        ChatResponse answer = await _client.GetResponseAsync("x", new ChatOptions { RawRepresentationFactory = _ => own });
        Assert.That(answer.Usage!.OutputTokenCount, Is.EqualTo(3));
        answer = await _client.GetResponseAsync("x", new ChatOptions { RawRepresentationFactory = _ => own, MaxOutputTokens = 2 });
        Assert.That(answer.Usage!.OutputTokenCount, Is.EqualTo(2), "what the options say wins");
    }

    [Test]
    public void WhatCannotBeDoneIsRefused()
    {
        Refuses([new ChatMessage(ChatRole.User, [new DataContent(new byte[] { 1 }, "image/png")])], new ChatOptions(), "image");
        Refuses([new ChatMessage(ChatRole.User, "x")], new ChatOptions { ConversationId = "c" }, "by its id");
        Refuses([new ChatMessage(ChatRole.User, "x")], new ChatOptions { ModelId = "gpt" }, "'gpt'");
        Refuses([new ChatMessage(ChatRole.User, "x")], new ChatOptions { RawRepresentationFactory = _ => "text" }, "String");
        Refuses([new ChatMessage(ChatRole.User, "x")], new ChatOptions { AdditionalProperties = new() { ["min_p"] = "much" } }, "'min_p'");
        Refuses([new ChatMessage(ChatRole.User, "x")], new ChatOptions { Tools = [new HostedWebSearchTool()] }, "is no function");
        Load("{% for m in messages %}{{ m.content }}{% endfor %}");
        Refuses([new ChatMessage(ChatRole.User, "x")], new ChatOptions { Tools = [Time] }, "takes no tools");
    }

    private void Refuses(ChatMessage[] messages, ChatOptions options, string words) => Assert.That(
        () => _client.GetStreamingResponseAsync(messages, options), Throws.InstanceOf<NotSupportedException>().With.Message.Contains(words));

    private void Load(string template)
    {
        _client?.Dispose();
        foreach (string file in Directory.GetFiles(RepositoryFiles.Fixture("models", "tiny-dense")))
        {
            File.Copy(file, _folder[Path.GetFileName(file)], overwrite: true);
        }

        string path = _folder["tokenizer_config.json"];
        JsonNode config = JsonNode.Parse(File.ReadAllText(path))!;
        config["chat_template"] = template;
        File.WriteAllText(path, config.ToJsonString());
        _model = LanguageModel.Load(_folder.Path);
        _client = _model.AsIChatClient(ownsModel: true);
    }
}
