using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Models.Answers;
using KQuant.Models.Generation;
using KQuant.TestKit;
using Microsoft.Extensions.AI;

namespace KQuant.Models.Tests.ExtensionsAI;

/// <summary>The model behind the chat interface: tools, schemas, options, and what is refused.</summary>
public class ChatClientTests
{
    private const string Hermes = "{% if tools %}{{ tools | tojson }}<tool_call>{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
        + "{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n";

    private static readonly AIFunction Weather = AIFunctionFactory.Create((string city, long days) => $"{city} {days}", "weather", "Tells the weather.");

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
        _model.Dispose();
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
        var options = new ChatOptions { Tools = [Weather, Time], ToolMode = ChatToolMode.RequireSpecific("weather"), AllowMultipleToolCalls = false, MaxOutputTokens = 400 };
        if (form == "Harmony")
        {
            // By itself the model would think, and this one without an end.
            options.RawRepresentationFactory = _ => Scripted("<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{\"city\": \"Bath\"");
        }

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
    public async Task AnAnswerIsAValue()
    {
        ChatResponse<Opinion> answer = await _client.GetResponseAsync<Opinion>("What do you think of Mr. Collins?", new ChatOptions { Temperature = 1, Seed = 1, MaxOutputTokens = 200 });
        Assert.That(answer.FinishReason, Is.EqualTo(ChatFinishReason.Stop));
        Assert.That(Enum.IsDefined(answer.Result.Mood), Is.True);
        Assert.That(answer.Text, Does.Contain($"{answer.Result.Age}"));
    }

    [TestCase(Hermes, "", "")]
    [TestCase("{{ tools | tojson }}<|channel|>{% for m in messages %}{{ m.role }}:{{ m.content }}{{ m.tool_calls | tojson if m.tool_calls else '' }};{% endfor %}",
        "<|channel|>analysis<|message|>Loud?<|end|><|start|>assistant<|channel|>commentary to=functions.count <|constrain|>json<|message|>{\"isLoud\":true}", "Loud?")]
    public async Task ACallIsMadeAndItsResultIsRead(string template, string script, string thought)
    {
        Load(template);
        using IChatClient client = new ChatClientBuilder(_client).UseFunctionInvocation().Build();
        int calls = 0;
        AIFunction count = AIFunctionFactory.Create((bool isLoud) => $"{++calls}, loud: {isLoud}", "count");
        var options = new ChatOptions { Tools = [count], ToolMode = ChatToolMode.RequireSpecific("count"), AllowMultipleToolCalls = false, MaxOutputTokens = 120 };
        GenerationOptions scripted = Scripted(script);
        options.RawRepresentationFactory = _ => scripted;
        ChatResponse answer = await client.GetResponseAsync("Count!", options);
        Assert.That(calls, Is.EqualTo(1), $"{answer.FinishReason} {System.Text.Json.JsonSerializer.Serialize(answer.Messages, AIJsonUtilities.DefaultOptions)}");
        Assert.That(answer.Messages.Select(message => message.Role).Take(3), Is.EqualTo([ChatRole.Assistant, ChatRole.Tool, ChatRole.Assistant]));
        Assert.That(string.Concat(answer.Messages[0].Contents.OfType<TextReasoningContent>().Select(part => part.Text)), Is.EqualTo(thought));
        FunctionCallContent call = answer.Messages[0].Contents.OfType<FunctionCallContent>().Single();
        FunctionResultContent result = answer.Messages[1].Contents.OfType<FunctionResultContent>().Single();
        Assert.That((call.Name, result.CallId), Is.EqualTo(("count", call.CallId)));
        Assert.That($"{result.Result}", Is.EqualTo($"1, loud: {call.Arguments!["isLoud"]}"));

        // What came back is read: the second request has it in its prompt.
        List<ChatMessage> history = [new(ChatRole.User, "Count!"), .. answer.Messages.Take(2)];
        ChatResponse again = await _client.GetResponseAsync(history, new ChatOptions { Tools = [count], MaxOutputTokens = 1 });
        ChatResponse without = await _client.GetResponseAsync(history[..1], new ChatOptions { Tools = [count], MaxOutputTokens = 1 });
        Assert.That(again.Usage!.InputTokenCount - without.Usage!.InputTokenCount, Is.GreaterThan(_model.Tokenizer.CountTokens($"1, loud: {call.Arguments["isLoud"]}")));
    }

    [Test]
    public async Task WhatWasReadBeforeChangesNoBit()
    {
        var options = new ChatOptions { Temperature = 0, MaxOutputTokens = 12 };
        List<ChatMessage> history = [new(ChatRole.System, "Be kind."), new(ChatRole.User, "Who is Elizabeth?")];
        for (int turn = 0; turn < 3; turn++)
        {
            (List<(int, uint)> tokens, List<ChatResponseUpdate> updates) = await Stream(_client, history, options);
            using IChatClient fresh = _model.AsIChatClient(cachedConversations: 0);
            Assert.That(tokens, Is.EqualTo((await Stream(fresh, history, options)).Tokens), $"turn {turn}");
            Assert.That(updates.ToChatResponse().Usage!.CachedInputTokenCount, turn == 0 ? Is.Zero : Is.GreaterThan(10));
            history.AddMessages(updates);
            history.Add(new ChatMessage(ChatRole.User, $"And then? {turn}"));
        }
    }

    [Test]
    public async Task ConversationsAtOnceDoNotMeet()
    {
        using IChatClient client = _model.AsIChatClient(cachedConversations: 3);
        var options = new ChatOptions { Instructions = "Be kind, and say what you know of the people in this book.", Temperature = 0, MaxOutputTokens = 6 };
        string[] names = ["Elizabeth", "Mr. Darcy", "Jane", "Mr. Bingley", "Lydia"];
        string[] expected = new string[names.Length], answers = new string[names.Length];
        for (int i = 0; i < names.Length; i++)
        {
            using IChatClient alone = _model.AsIChatClient(cachedConversations: 0);
            expected[i] = await Talk(alone, names[i]);
        }

        await Task.WhenAll(names.Select((name, i) => Task.Run(async () => answers[i] = await Talk(client, name))));
        Assert.That(answers, Is.EqualTo(expected));

        // A conversation that only begins like the others leaves them what they have read.
        List<ChatMessage> first = [new(ChatRole.User, "Who is Charlotte? " + string.Join(' ', Enumerable.Repeat("She is a friend.", 20)))];
        using IChatClient two = _model.AsIChatClient(cachedConversations: 2);
        first.AddMessages(await two.GetResponseAsync(first, options));
        ChatResponse other = await two.GetResponseAsync("Who is Kitty?", options);
        first.Add(new ChatMessage(ChatRole.User, "Why?"));
        ChatResponse second = await two.GetResponseAsync(first, options);
        Assert.That(other.Usage!.CachedInputTokenCount, Is.GreaterThan(5).And.LessThan(other.Usage.InputTokenCount!.Value));
        Assert.That(second.Usage!.CachedInputTokenCount, Is.GreaterThan(80));

        async Task<string> Talk(IChatClient with, string name)
        {
            List<ChatMessage> history = [new(ChatRole.User, $"Who is {name}?")];
            history.AddMessages(await with.GetResponseAsync(history, options));
            history.Add(new ChatMessage(ChatRole.User, "Why?"));
            return history[1].Text + "|" + (await with.GetResponseAsync(history, options)).Text;
        }
    }

    [Test]
    public async Task WhatIsCancelledOrLeftCanGoOn()
    {
        using var source = new CancellationTokenSource();
        var options = new ChatOptions { Temperature = 0, MaxOutputTokens = 40 };
        string before = (await _client.GetResponseAsync("Who is Elizabeth?", options)).Text;
        Assert.That(
            async () =>
            {
                await foreach (ChatResponseUpdate update in _client.GetStreamingResponseAsync("Who is Elizabeth?", options, source.Token))
                {
                    await source.CancelAsync();
                }
            },
            Throws.InstanceOf<OperationCanceledException>());
        await foreach (ChatResponseUpdate update in _client.GetStreamingResponseAsync("Who is Elizabeth?", options))
        {
            break;
        }

        Assert.That((await _client.GetResponseAsync("Who is Elizabeth?", options)).Text, Is.EqualTo(before));
    }

    [Test]
    public async Task InstructionsAndASystemMessageAreOne()
    {
        Load("{% for m in messages %}{% if m.role == 'system' and not loop.first %}{{ raise_exception('only one') }}{% endif %}{{ m.content }};{% endfor %}");
        ChatResponse answer = await _client.GetResponseAsync(
            [new(ChatRole.System, "Be brief."), new(ChatRole.User, "Hm?")], new ChatOptions { Instructions = "Be kind.", MaxOutputTokens = 1 });
        Assert.That(answer.Usage!.InputTokenCount, Is.EqualTo(_model.Tokenizer.Encode("Be kind.\nBe brief.;Hm?;", addSpecialTokens: false).Length));
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
        Refuses([new ChatMessage(ChatRole.User, "x")], new ChatOptions { ToolMode = ChatToolMode.RequireAny }, "there are no tools");
        Refuses([new ChatMessage(ChatRole.User, "x")], new ChatOptions { Tools = [Time], ToolMode = ChatToolMode.RequireSpecific("date") }, "'date'");
        Refuses([new ChatMessage(ChatRole.User, [new UriContent("https://example.org/a.png", "image/png")])], new ChatOptions(), "image");
        Load("{% for m in messages %}{{ m.content }}{% endfor %}");
        Refuses([new ChatMessage(ChatRole.User, "x")], new ChatOptions { Tools = [Time] }, "takes no tools");
    }

    private static async Task<(List<(int Id, uint Bits)> Tokens, List<ChatResponseUpdate> Updates)> Stream(
        IChatClient client, IEnumerable<ChatMessage> messages, ChatOptions options)
    {
        var updates = new List<ChatResponseUpdate>();
        await foreach (ChatResponseUpdate update in client.GetStreamingResponseAsync(messages, options))
        {
            updates.Add(update);
        }

        return ([.. updates.Select(update => (GeneratedToken)update.RawRepresentation!).Select(token => (token.Id, BitConverter.SingleToUInt32Bits(token.LogProbability)))], updates);
    }

    private void Refuses(ChatMessage[] messages, ChatOptions options, string words) => Assert.That(
        () => _client.GetStreamingResponseAsync(messages, options), Throws.InstanceOf<NotSupportedException>().With.Message.Contains(words));

    private GenerationOptions Scripted(string script) => new() { Processors = [new ScriptedText(_model.Tokenizer, script)] };

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

    private enum Mood
    {
        Kind,
        Proud,
    }

    private sealed record Opinion(bool IsKind, Mood Mood, long Age);
}
