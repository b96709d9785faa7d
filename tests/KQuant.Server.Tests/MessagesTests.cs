using System.Net;
using System.Text.Json;
using KQuant.Models;
using KQuant.Models.Generation;
using KQuant.Models.Templates;
using KQuant.TestKit;

namespace KQuant.Server.Tests;

/// <summary>Anthropic's <c>/v1/messages</c> over a real connection.</summary>
public class MessagesTests
{
    private const string Path = "/v1/messages";

    private const string Tool = """{"name":"weather","description":"Tells it.","input_schema":{"type":"object","properties":{"city":{"type":"string","maxLength":8}},"required":["city"],"additionalProperties":false}}""";

    private TemporaryFolder _folder = null!;
    private LanguageModel _model = null!;
    private ServerHost _server = null!;

    [OneTimeSetUp]
    public async Task SetUp()
    {
        _folder = new TemporaryFolder();
        TestModel.Write(_folder);
        _model = TestModel.Load(_folder);
        _server = await ServerHost.StartAsync(_model, options => options.ModelName = "org/tiny");
    }

    [OneTimeTearDown]
    public async Task TearDown()
    {
        await _server.DisposeAsync();
        _model.Dispose();
        _folder.Dispose();
    }

    [Test]
    public async Task AnAnswerIsTheModelsOwn()
    {
        JsonElement answer = await _server.PostAsync(Path, Ask("\"temperature\":0,\"max_tokens\":24"));
        int prompt = _model.EncodeChat([new TemplateMessage("user", "Who is Elizabeth?")]).Length;
        Assert.That(
            answer.GetProperty("content").ToString(),
            Is.EqualTo($$"""[{"type":"text","text":{{Quote(Text(Generate(new SamplingOptions(), 24)))}}}]"""));
        Assert.That(answer.GetProperty("id").GetString(), Does.StartWith("msg_"));
        Assert.That(
            (answer.GetProperty("type").GetString(), answer.GetProperty("role").GetString(), answer.GetProperty("model").GetString()),
            Is.EqualTo(("message", "assistant", "org/tiny")));
        Assert.That(answer.GetProperty("stop_reason").GetString(), Is.EqualTo("max_tokens"));
        Assert.That(answer.GetProperty("stop_sequence").ValueKind, Is.EqualTo(JsonValueKind.Null));
        JsonElement again = await _server.PostAsync(Path, Ask("\"temperature\":0,\"max_tokens\":24"));
        Assert.That(again.GetProperty("content").ToString(), Is.EqualTo(answer.GetProperty("content").ToString()));
        Assert.That(
            again.GetProperty("usage").ToString(),
            Is.EqualTo($$"""{"input_tokens":1,"cache_creation_input_tokens":0,"cache_read_input_tokens":{{prompt - 1}},"output_tokens":24}"""), "the last token is always read");
    }

    [Test]
    public async Task EventsMakeTheWholeAnswer()
    {
        const string fields = "\"temperature\":1,\"seed\":3,\"top_k\":20,\"max_tokens\":30";
        JsonElement whole = await _server.PostAsync(Path, Ask(fields));
        List<JsonElement> events = await StreamAsync(_server, Ask(fields + ",\"stream\":true"));
        string[] deltas = [.. Enumerable.Repeat("content_block_delta", events.Count - 5)];
        Assert.That(
            events.Select(TypeOf), Is.EqualTo((string[])["message_start", "content_block_start", .. deltas, "content_block_stop", "message_delta", "message_stop"]));
        Assert.That(deltas, Is.Not.Empty);
        JsonElement start = events[0].GetProperty("message");
        Assert.That(start.GetProperty("content").GetArrayLength(), Is.Zero);
        Assert.That(start.GetProperty("stop_reason").ValueKind, Is.EqualTo(JsonValueKind.Null));
        Assert.That(start.GetProperty("usage").GetProperty("output_tokens").GetInt32(), Is.Zero);
        Assert.That(events[1].ToString(), Is.EqualTo("""{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"""));
        Assert.That(events[2].GetProperty("delta").GetProperty("type").GetString(), Is.EqualTo("text_delta"));
        string text = string.Concat(events.Where(each => TypeOf(each) == "content_block_delta").Select(each => each.GetProperty("delta").GetProperty("text").GetString()));
        Assert.That(text, Is.EqualTo(whole.GetProperty("content")[0].GetProperty("text").GetString()));
        Assert.That(text, Is.EqualTo(Text(Generate(_model.DefaultSampling with { Temperature = 1, Seed = 3, TopK = 20 }, 30))));
        Assert.That(events[^2].GetProperty("delta").ToString(), Is.EqualTo("""{"stop_reason":"max_tokens","stop_sequence":null}"""));
        Assert.That(events[^2].GetProperty("usage").GetProperty("output_tokens").GetInt32(), Is.EqualTo(30));
    }

    [Test]
    public async Task AStopSequenceIsNamed()
    {
        GeneratedToken[] expected = Generate(new SamplingOptions(), 24);
        string text = Text(expected), stop = text.Substring(expected[0].Text.Length + expected[1].Text.Length - 1, 4);
        string fields = $"\"temperature\":0,\"max_tokens\":24,\"stop_sequences\":[\"never\",{JsonSerializer.Serialize(stop)}]";
        JsonElement answer = await _server.PostAsync(Path, Ask(fields));
        Assert.That(answer.GetProperty("content")[0].GetProperty("text").GetString(), Is.EqualTo(text[..text.IndexOf(stop, StringComparison.Ordinal)]));
        Assert.That((answer.GetProperty("stop_reason").GetString(), answer.GetProperty("stop_sequence").GetString()), Is.EqualTo(("stop_sequence", stop)));
        JsonElement delta = (await StreamAsync(_server, Ask(fields + ",\"stream\":true")))[^2].GetProperty("delta");
        Assert.That((delta.GetProperty("stop_reason").GetString(), delta.GetProperty("stop_sequence").GetString()), Is.EqualTo(("stop_sequence", stop)));
    }

    [TestCase("{\"type\":\"any\",\"disable_parallel_tool_use\":true}")]
    [TestCase("{\"type\":\"tool\",\"name\":\"weather\",\"disable_parallel_tool_use\":true}")]
    public async Task ARequiredCallIsMade(string choice)
    {
        for (int seed = 0; seed < 5; seed++)
        {
            string fields = $"\"tools\":[{Tool}],\"tool_choice\":{choice},\"seed\":{seed},\"temperature\":1,\"max_tokens\":300";
            JsonElement answer = await _server.PostAsync(Path, Ask(fields));
            if (answer.GetProperty("stop_reason").GetString() == "max_tokens")
            {
                continue;
            }

            Assert.That(answer.GetProperty("stop_reason").GetString(), Is.EqualTo("tool_use"));
            Assert.That(answer.GetProperty("content").GetArrayLength(), Is.EqualTo(1));
            JsonElement call = answer.GetProperty("content")[0];
            Assert.That((call.GetProperty("type").GetString(), call.GetProperty("name").GetString()), Is.EqualTo(("tool_use", "weather")));
            Assert.That(call.GetProperty("input").GetProperty("city").GetString(), Has.Length.LessThanOrEqualTo(8));

            List<JsonElement> events = await StreamAsync(_server, Ask(fields + ",\"stream\":true"));
            JsonElement start = events.Single(each => TypeOf(each) == "content_block_start").GetProperty("content_block");
            Assert.That(start.GetProperty("name").GetString(), Is.EqualTo("weather"));
            Assert.That(start.GetProperty("input").ToString(), Is.EqualTo("{}"));
            string json = string.Concat(events.Where(each => TypeOf(each) == "content_block_delta").Select(each => each.GetProperty("delta").GetProperty("partial_json").GetString()));
            Assert.That(JsonDocument.Parse(json).RootElement.ToString(), Is.EqualTo(call.GetProperty("input").ToString()));
            Assert.That(events[^2].GetProperty("delta").GetProperty("stop_reason").GetString(), Is.EqualTo("tool_use"));
            return;
        }

        Assert.Fail("no answer came to its end");
    }

    [Test]
    public async Task CallsAndResultsReachTheTemplateAsThoseOfTheOtherInterface()
    {
        JsonElement count = await _server.PostAsync(Path + "/count_tokens", $$$"""
            {"model":"any","system":[{"type":"text","text":"Be "},{"type":"text","text":"brief.","cache_control":{"type":"ephemeral"}}],"tools":[{{{Tool}}}],
            "messages":[{"role":"user","content":"?"},
            {"role":"assistant","content":[{"type":"redacted_thinking","data":"x"},{"type":"tool_use","id":"a","name":"weather","input":{"city":"Bath"}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"rain"}]},{"type":"text","text":"And "},{"type":"text","text":"now?"}]}]}
            """);
        JsonElement same = await _server.PostAsync("/apply-template", """
            {"tools":[{"type":"function","function":{"name":"weather","description":"Tells it.","parameters":{"type":"object","properties":{"city":{"type":"string","maxLength":8}},"required":["city"],"additionalProperties":false}}}],
            "messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"?"},
            {"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Bath\"}"}}]},
            {"role":"tool","tool_call_id":"a","content":"rain"},{"role":"user","content":"And now?"}]}
            """);
        string prompt = same.GetProperty("prompt").GetString()!;
        Assert.That(prompt, Does.Contain("<|im_start|>tool\nrain<|im_end|>\n<|im_start|>user\nAnd now?<|im_end|>"));
        Assert.That(count.ToString(), Is.EqualTo($$"""{"input_tokens":{{_model.Tokenizer.Encode(prompt, addSpecialTokens: false).Length}}}"""));
    }

    [Test]
    public async Task WhatTheAssistantHasBegunToSayGoesOn()
    {
        int[] prompt = [.. _model.EncodeChat([new TemplateMessage("user", "Who is Elizabeth?")]), .. _model.Tokenizer.Encode("She is", addSpecialTokens: false)];
        string expected = Text([.. _model.Generate(prompt, new GenerationOptions { Sampling = SamplingOptions.Greedy, MaxTokens = 12 })]);
        JsonElement answer = await _server.PostAsync(Path, """
            {"messages":[{"role":"user","content":"Who is Elizabeth?"},{"role":"assistant","content":[{"type":"text","text":"She is"}]}],"temperature":0,"max_tokens":12}
            """);
        Assert.That(answer.GetProperty("content")[0].GetProperty("text").GetString(), Is.EqualTo(expected));
    }

    [Test]
    public async Task AnAnswerFitsItsSchema([Values("\"output_config\":{{\"format\":{0}}}", "\"output_format\":{0}")] string field)
    {
        const string format = """{"type":"json_schema","schema":{"type":"object","properties":{"yes":{"type":"boolean"}},"required":["yes"],"additionalProperties":false}}""";
        JsonElement answer = await _server.PostAsync(Path, Ask(string.Format(System.Globalization.CultureInfo.InvariantCulture, field, format) + ",\"temperature\":2,\"seed\":1,\"max_tokens\":200"));
        JsonElement value = JsonDocument.Parse(answer.GetProperty("content")[0].GetProperty("text").GetString()!).RootElement;
        Assert.That(value.GetProperty("yes").ValueKind, Is.AnyOf(JsonValueKind.True, JsonValueKind.False));
        Assert.That(answer.GetProperty("stop_reason").GetString(), Is.EqualTo("end_turn"));
    }

    [Test]
    public async Task ThoughtsAreBlocksOfTheirOwn()
    {
        using var folder = new TemporaryFolder();
        TestModel.Write(folder, "{% for m in messages %}{{ m.content }}\n{% endfor %}{% if enable_thinking %}<think>\n{% endif %}");
        using LanguageModel model = TestModel.Load(folder);
        await using ServerHost server = await ServerHost.StartAsync(model);
        const string fields = "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024},\"temperature\":0,\"max_tokens\":12";
        JsonElement block = (await server.PostAsync(Path, Ask(fields))).GetProperty("content")[0];
        Assert.That(block.GetProperty("type").GetString(), Is.EqualTo("thinking"));
        Assert.That(block.GetProperty("signature").GetString(), Is.Empty);
        List<JsonElement> events = await StreamAsync(server, Ask(fields + ",\"stream\":true"));
        Assert.That(events[1].GetProperty("content_block").ToString(), Is.EqualTo("""{"type":"thinking","thinking":"","signature":""}"""));
        JsonElement[] deltas = [.. events.Where(each => TypeOf(each) == "content_block_delta").Select(each => each.GetProperty("delta"))];
        Assert.That(string.Concat(deltas[..^1].Select(delta => delta.GetProperty("thinking").GetString())), Is.EqualTo(block.GetProperty("thinking").GetString()));
        Assert.That(deltas[^1].ToString(), Is.EqualTo("""{"type":"signature_delta","signature":""}"""));
        JsonElement plain = (await server.PostAsync(Path, Ask("\"thinking\":{\"type\":\"disabled\"},\"temperature\":0,\"max_tokens\":12"))).GetProperty("content")[0];
        Assert.That(plain.GetProperty("type").GetString(), Is.EqualTo("text"));
    }

    [TestCase("{}", "'messages' is missing.")]
    [TestCase("""{"messages":[]}""", "'messages' is empty.")]
    [TestCase("""{"system":"a","messages":[]}""", "'messages' is empty.")]
    [TestCase("""{"system":7,"messages":[]}""", "'system' is 7; it should be a text or a list of parts.")]
    [TestCase("""{"messages":[{"role":"tool","content":"a"}]}""", "'messages[0].role' is 'tool'; it is one of 'user', 'assistant'.")]
    [TestCase("""{"messages":[{"role":"user"}]}""", "'messages[0].content' is missing.")]
    [TestCase("""{"messages":[{"role":"user","content":{}}]}""", "'messages[0].content' is an object; it should be a text or a list of blocks.")]
    [TestCase("""{"messages":[{"role":"user","content":[]}]}""", "'messages[0].content' is empty.")]
    [TestCase("""{"messages":[{"role":"user","content":[{"text":"a"}]}]}""", "'messages[0].content[0].type' is missing.")]
    [TestCase("""{"messages":[{"role":"user","content":[{"type":"image","source":{}}]}]}""", "'messages[0].content[0]' is of the type 'image'; this model reads text alone.")]
    [TestCase("""{"messages":[{"role":"user","content":[{"type":"tool_result","content":"a"}]}]}""", "'messages[0].content[0].tool_use_id' is missing.")]
    [TestCase("""{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"b","input":"c"}]}]}""", "'messages[0].content[0].input' is \"c\"; it should be an object.")]
    [TestCase("""{"messages":[{"role":"user","content":"?"}],"max_tokens":0}""", "'max_tokens' is 0; it should be a whole number from 1 on.")]
    [TestCase("""{"messages":[{"role":"user","content":"?"}],"stop_sequences":[""]}""", "'stop_sequences' has a text of 0 characters; it has 1 to 1000.")]
    [TestCase("""{"messages":[{"role":"user","content":"?"}],"tools":[{"type":"web_search_20250305","name":"a"}]}""", "'tools[0].type' is 'web_search_20250305'; it is one of 'custom'.")]
    [TestCase("""{"messages":[{"role":"user","content":"?"}],"tool_choice":{"type":"any"}}""", "A call is required, and there are no tools.")]
    [TestCase("""{"messages":[{"role":"user","content":"?"}],"tool_choice":"any"}""", "'tool_choice' is \"any\"; it should be an object.")]
    [TestCase("""{"messages":[{"role":"user","content":"?"}],"thinking":{"type":"on"}}""", "'thinking.type' is 'on'; it is one of 'enabled', 'adaptive', 'disabled'.")]
    [TestCase("""{"messages":[{"role":"user","content":"?"}],"output_config":{"format":{"type":"json_schema"}}}""", "'output_config.format.schema' is missing.")]
    public async Task WhatIsWrongIsSaidAsItsClientsReadIt(string body, string message)
    {
        (HttpStatusCode status, JsonElement error) = await _server.PostAsync(Path, System.Text.Encoding.UTF8.GetBytes(body));
        Assert.That(status, Is.EqualTo(HttpStatusCode.BadRequest));
        Assert.That(error.ToString(), Is.EqualTo($$$"""{"type":"error","error":{"message":{{{Quote(message)}}},"type":"invalid_request_error"}}"""));
    }

    [TestCase("GET", "/v1/messages", HttpStatusCode.MethodNotAllowed, "invalid_request_error")]
    [TestCase("POST", "/v1/messages/batches", HttpStatusCode.NotFound, "not_found_error")]
    public async Task APathOrAMethodThatIsNotThere(string method, string path, HttpStatusCode status, string type)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        using HttpResponseMessage response = await _server.Client.SendAsync(request);
        Assert.That(response.StatusCode, Is.EqualTo(status));
        Assert.That(await response.Content.ReadAsStringAsync(), Does.StartWith("{\"type\":\"error\",").And.Contains($"\"type\":\"{type}\""));
    }

    [Test]
    public async Task KeysAreThoseOfTheHeaderOfAnthropic()
    {
        await using ServerHost server = await ServerHost.StartAsync(_model, options => options.ApiKeys.Add("secret"));
        JsonElement error = await server.FailAsync(Path, Ask("\"max_tokens\":1"), HttpStatusCode.Unauthorized);
        Assert.That(error.GetProperty("type").GetString(), Is.EqualTo("authentication_error"));
        server.Client.DefaultRequestHeaders.Add("x-api-key", "secret");
        Assert.That((await server.PostAsync(Path, Ask("\"max_tokens\":1"))).GetProperty("type").GetString(), Is.EqualTo("message"));
    }

    [Test]
    public async Task AStreamPingsWhileThereIsNothingAndItsFailureIsItsLastEvent()
    {
        using LanguageModel model = TestModel.Load(_folder);
        using var gate = new KQuant.Models.Tests.GatedProducts.Gate();
        model.Runner.Decorate(products => new KQuant.Models.Tests.GatedProducts(products, gate));
        await using ServerHost server = await ServerHost.StartAsync(model, options => options.PingInterval = TimeSpan.FromMilliseconds(1));
        gate.Close();
        using HttpResponseMessage response = await server.OpenAsync(Path, Ask("\"max_tokens\":400,\"stream\":true"));
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        string? line = "";
        while (line != "event: ping")
        {
            line = await reader.ReadLineAsync();
            Assert.That(line, Is.Not.Null);
        }

        Assert.That(await reader.ReadLineAsync(), Is.EqualTo("""data: {"type":"ping"}"""));
        gate.WaitUntilReached();
        server.Served.Engine.Drain(TimeSpan.Zero);
        gate.Open();
        string[] events = (await reader.ReadToEndAsync()).Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.That(events[^1].TrimStart(), Is.EqualTo("""
            event: error
            data: {"type":"error","error":{"message":"The server is shutting down.","type":"overloaded_error"}}
            """.ReplaceLineEndings("\n")));
    }

    private static string Ask(string fields) => $$"""{"model":"any","messages":[{"role":"user","content":"Who is Elizabeth?"}],{{fields}}}""";

    private static string TypeOf(JsonElement item) => item.GetProperty("type").GetString()!;

    private static string Quote(string text) => JsonSerializer.Serialize(text, Relaxed);

    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static string Text(GeneratedToken[] tokens) => string.Concat(tokens.Select(token => token.Text));

    /// <summary>The data of all events but pings; each has to have the name that its data have.</summary>
    private static async Task<List<JsonElement>> StreamAsync(ServerHost server, string json)
    {
        using HttpResponseMessage response = await server.OpenAsync(Path, json);
        var events = new List<JsonElement>();
        foreach (string text in (await response.Content.ReadAsStringAsync()).Split("\n\n", StringSplitOptions.RemoveEmptyEntries))
        {
            string[] lines = text.Split('\n');
            Assert.That(lines, Has.Length.EqualTo(2));
            using var document = JsonDocument.Parse(lines[1]["data: ".Length..]);
            Assert.That(lines[0], Is.EqualTo("event: " + TypeOf(document.RootElement)));
            if (lines[0] != "event: ping")
            {
                events.Add(document.RootElement.Clone());
            }
        }

        return events;
    }

    private GeneratedToken[] Generate(SamplingOptions sampling, int count) =>
        [.. _model.Generate(_model.EncodeChat([new TemplateMessage("user", "Who is Elizabeth?")]), new GenerationOptions { Sampling = sampling, MaxTokens = count })];
}
