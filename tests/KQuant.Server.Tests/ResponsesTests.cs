using System.Net;
using System.Text.Json;
using System.Text.RegularExpressions;
using KQuant.Models;
using KQuant.Models.Tests;
using KQuant.TestKit;

namespace KQuant.Server.Tests;

/// <summary><c>/v1/responses</c> over a real connection. What is generated is what chats generate.</summary>
public class ResponsesTests
{
    private const string Path = "/v1/responses";

    private const string Question = "\"input\":\"Who is Elizabeth?\"";

    private const string Schema = """{"type":"object","properties":{"city":{"enum":["Bath","London"]}},"required":["city"],"additionalProperties":false}""";

    private const string Tool = $$"""{"type":"function","name":"weather","strict":true,"parameters":{{Schema}}}""";

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
    public async Task AnAnswerIsThatOfAChat()
    {
        const string fields = "\"temperature\":1,\"seed\":4";
        JsonElement chat = await _server.PostAsync("/v1/chat/completions", $$"""{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Who is Elizabeth?"}],"max_tokens":24,{{fields}}}""");
        JsonElement answer = await _server.PostAsync(Path, $$$"""{"instructions":"Be brief.",{{{Question}}},"max_output_tokens":24,"metadata":{"a":"b"},"model":"any",{{{fields}}}}""");
        JsonElement item = answer.GetProperty("output")[0], part = item.GetProperty("content")[0];
        Assert.That(part.GetProperty("text").GetString(), Is.EqualTo(chat.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString()));
        Assert.That((part.GetProperty("type").GetString(), part.GetProperty("annotations").GetArrayLength()), Is.EqualTo(("output_text", 0)));
        Assert.That(Names(item, "type", "role", "status"), Is.EqualTo((string[])["message", "assistant", "incomplete"]));
        Assert.That(Names(answer, "object", "status", "model", "instructions"), Is.EqualTo((string[])["response", "incomplete", "org/tiny", "Be brief."]));
        Assert.That(answer.GetProperty("incomplete_details").ToString(), Is.EqualTo("""{"reason":"max_output_tokens"}"""));
        Assert.That(answer.GetProperty("metadata").ToString(), Is.EqualTo("""{"a":"b"}"""));
        Assert.That(answer.GetProperty("store").GetBoolean(), Is.False);
        JsonElement usage = answer.GetProperty("usage"), chatUsage = chat.GetProperty("usage");
        Assert.That(usage.GetProperty("input_tokens").GetInt32(), Is.EqualTo(chatUsage.GetProperty("prompt_tokens").GetInt32()));
        Assert.That(usage.GetProperty("output_tokens").GetInt32(), Is.EqualTo(24));
        Assert.That(usage.GetProperty("total_tokens").GetInt32(), Is.EqualTo(chatUsage.GetProperty("total_tokens").GetInt32()));
        Assert.That(usage.GetProperty("input_tokens_details").GetProperty("cached_tokens").GetInt32(), Is.EqualTo(usage.GetProperty("input_tokens").GetInt32() - 1), "the chat has read the same");
        Assert.That(answer.GetProperty("timings").GetProperty("predicted_n").GetInt32(), Is.EqualTo(24));
    }

    [Test]
    public async Task ItemsAreTheMessagesOfAChat()
    {
        JsonElement count = await _server.PostAsync(Path + "/input_tokens", $$"""
            {"tools":[{{Tool}}],"instructions":"Be brief.","input":[
            {"role":"developer","content":[{"type":"input_text","text":"And "},{"type":"input_text","text":"kind."}]},
            {"type":"message","role":"user","content":"?"},
            {"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"Hm."}]},
            {"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"I look.","annotations":[]}]},
            {"type":"function_call","id":"fc_1","call_id":"a","name":"weather","arguments":"{\"city\":\"Bath\"}"},
            {"type":"function_call","call_id":"b","name":"weather","arguments":"{\"city\":\"London\"}"},
            {"type":"function_call_output","call_id":"a","output":"rain"},
            {"type":"function_call_output","call_id":"b","output":[{"type":"input_text","text":"sun"}]},
            {"role":"user","content":"So?"}]}
            """);
        JsonElement expected = await _server.PostAsync("/v1/chat/completions/input_tokens", $$$"""
            {"tools":[{"type":"function","function":{"name":"weather","parameters":{{{Schema}}}}}],"messages":[
            {"role":"system","content":"Be brief.\n\nAnd kind."},{"role":"user","content":"?"},
            {"role":"assistant","content":"I look.","reasoning_content":"Hm.","tool_calls":[
            {"id":"a","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Bath\"}"}},
            {"id":"b","type":"function","function":{"name":"weather","arguments":"{\"city\":\"London\"}"}}]},
            {"role":"tool","tool_call_id":"a","content":"rain"},{"role":"tool","tool_call_id":"b","content":"sun"},{"role":"user","content":"So?"}]}
            """);
        Assert.That(count.ToString(), Is.EqualTo(expected.ToString()));
        Assert.That(count.GetProperty("input_tokens").GetInt32(), Is.GreaterThan(100));
    }

    [Test]
    public async Task EventsMakeTheWholeAnswer()
    {
        const string fields = Question + ",\"temperature\":1,\"seed\":4,\"max_output_tokens\":24";
        JsonElement whole = await _server.PostAsync(Path, $$"""{{{fields}}}""");
        List<JsonElement> events = await StreamAsync($$"""{{{fields}},"stream":true}""");
        string[] types = [.. events.Select(TypeOf)];
        Assert.That(types[..4], Is.EqualTo((string[])["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"]));
        Assert.That(types[4..^4], Is.Not.Empty.And.All.EqualTo("response.output_text.delta"));
        Assert.That(types[^4..], Is.EqualTo((string[])["response.output_text.done", "response.content_part.done", "response.output_item.done", "response.incomplete"]));
        string text = Text(whole);
        Assert.That(string.Concat(events[4..^4].Select(piece => piece.GetProperty("delta").GetString())), Is.EqualTo(text));
        Assert.That(events[^4].GetProperty("text").GetString(), Is.EqualTo(text));
        Assert.That(events[^3].GetProperty("part").ToString(), Is.EqualTo(whole.GetProperty("output")[0].GetProperty("content")[0].ToString()));
        Assert.That(Text(events[^1].GetProperty("response")), Is.EqualTo(text));
        Assert.That(events[^1].GetProperty("response").GetProperty("usage").ToString(), Is.EqualTo((await _server.PostAsync(Path, $$"""{{{fields}}}""")).GetProperty("usage").ToString()));
        Assert.That(events[0].GetProperty("response").GetProperty("status").GetString(), Is.EqualTo("in_progress"));
        Assert.That(events[0].GetProperty("response").GetProperty("output").GetArrayLength(), Is.Zero);
        Assert.That(events[2].GetProperty("item").GetProperty("content").GetArrayLength(), Is.Zero);
        string item = events[2].GetProperty("item").GetProperty("id").GetString()!;
        Assert.That(events[3..^2].Select(each => each.GetProperty("item_id").GetString()), Is.All.EqualTo(item));
        Assert.That(new[] { events[0], events[1], events[^1] }.Select(each => each.GetProperty("response").GetProperty("id").GetString()).Distinct().Count(), Is.EqualTo(1));
    }

    [Test]
    public async Task ARequiredCallIsMade([Values("\"required\"", """{"type":"function","name":"weather"}""")] string choice)
    {
        string fields = $"{Question},\"tools\":[{Tool}],\"tool_choice\":{choice},\"parallel_tool_calls\":false,\"temperature\":0";
        JsonElement answer = await _server.PostAsync(Path, $$"""{{{fields}}}""");
        Assert.That(answer.GetProperty("status").GetString(), Is.EqualTo("completed"));
        JsonElement call = answer.GetProperty("output")[0];
        Assert.That(Names(call, "type", "status", "name"), Is.EqualTo((string[])["function_call", "completed", "weather"]));
        string arguments = call.GetProperty("arguments").GetString()!;
        Assert.That(JsonDocument.Parse(arguments).RootElement.GetProperty("city").GetString(), Is.AnyOf("Bath", "London"));
        Assert.That(call.GetProperty("call_id").GetString(), Is.Not.Empty);
        Assert.That(answer.GetProperty("tools")[0].ToString(), Is.EqualTo(JsonDocument.Parse(Tool).RootElement.ToString()));

        List<JsonElement> events = await StreamAsync($$"""{{{fields}},"stream":true}""");
        Assert.That(events.Select(TypeOf), Is.EqualTo((string[])
        [
            "response.created", "response.in_progress", "response.output_item.added", "response.function_call_arguments.delta", "response.function_call_arguments.done",
            "response.output_item.done", "response.completed",
        ]));
        Assert.That(events[2].GetProperty("item").GetProperty("arguments").GetString(), Is.Empty);
        Assert.That(events[3].GetProperty("delta").GetString(), Is.EqualTo(arguments));
        Assert.That(Names(events[4], "name", "arguments"), Is.EqualTo((string[])["weather", arguments]));
        Assert.That(events[5].GetProperty("item").GetProperty("arguments").GetString(), Is.EqualTo(arguments));
    }

    [Test]
    public async Task AnAnswerFitsItsSchema()
    {
        JsonElement answer = await _server.PostAsync(Path, $$$$"""{{{{{Question}}}},"temperature":2,"seed":1,"text":{"format":{"type":"json_schema","name":"a","strict":true,"schema":{{{{Schema}}}}}}}""");
        Assert.That(JsonDocument.Parse(Text(answer)).RootElement.GetProperty("city").GetString(), Is.AnyOf("Bath", "London"));
        Assert.That(answer.GetProperty("status").GetString(), Is.EqualTo("completed"));
        Assert.That(answer.GetProperty("text").GetProperty("format").GetProperty("name").GetString(), Is.EqualTo("a"));
    }

    [Test]
    public async Task ThoughtsAreAnItemOfTheirOwn()
    {
        using var folder = new TemporaryFolder();
        TestModel.Write(folder, "{% for m in messages %}{{ m.content }}\n{% endfor %}{% if enable_thinking %}<think>\n{% endif %}");
        using LanguageModel model = TestModel.Load(folder);
        await using ServerHost server = await ServerHost.StartAsync(model);
        const string fields = Question + ",\"reasoning\":{\"effort\":\"high\"},\"temperature\":0,\"max_output_tokens\":12";
        JsonElement answer = await server.PostAsync(Path, $$"""{{{fields}}}"""), item = answer.GetProperty("output")[0];
        Assert.That(Names(item, "type", "status"), Is.EqualTo((string[])["reasoning", "incomplete"]));
        Assert.That(item.GetProperty("summary").GetArrayLength(), Is.Zero);
        Assert.That(item.GetProperty("content")[0].GetProperty("type").GetString(), Is.EqualTo("reasoning_text"));
        Assert.That(answer.GetProperty("usage").GetProperty("output_tokens_details").GetProperty("reasoning_tokens").GetInt32(), Is.Positive);
        List<JsonElement> events = await StreamAsync($$"""{{{fields}},"stream":true}""", server);
        JsonElement[] deltas = [.. events.Where(each => TypeOf(each) == "response.reasoning_text.delta")];
        Assert.That(string.Concat(deltas.Select(each => each.GetProperty("delta").GetString())), Is.EqualTo(item.GetProperty("content")[0].GetProperty("text").GetString()));
        JsonElement plain = await server.PostAsync(Path, $$$"""{{{{Question}}},"reasoning":{"effort":"none"},"temperature":0,"max_output_tokens":12}""");
        Assert.That(plain.GetProperty("output")[0].GetProperty("type").GetString(), Is.EqualTo("message"));
    }

    [TestCase("""{"input":"?","previous_response_id":"resp_1"}""", "previous_response_id", "'previous_response_id' is not supported; answers are not stored here: send the whole conversation as 'input'.")]
    [TestCase("""{"input":"?","conversation":"c"}""", "conversation", "'conversation' is not supported; conversations are not stored here: send the whole one as 'input'.")]
    [TestCase("""{"input":"?","background":true}""", "background", "'background' is true; answers are given to whoever waits for them, so leave it out.")]
    [TestCase("""{"input":"?","truncation":"auto"}""", "truncation", "'truncation' is 'auto'; it is one of 'disabled'.")]
    [TestCase("""{"input":"?","include":["message.output_text.logprobs"]}""", "include", "Log-probabilities are not given here; /v1/chat/completions has 'logprobs'.")]
    [TestCase("""{"input":"?","tools":[{"type":"web_search"}]}""", "tools[0].type", "'tools[0].type' is 'web_search'; it is one of 'function'.")]
    [TestCase("""{"input":"?","tool_choice":"required"}""", "tool_choice", "A call is required, and there are no tools.")]
    [TestCase("""{"input":"?","text":{"format":{"type":"json_schema","name":"a"}}}""", "text.format.schema", "'text.format.schema' is missing.")]
    [TestCase("""{"input":[{"type":"item_reference","id":"msg_1"}]}""", "input[0].type", "'input[0].type' is 'item_reference'; nothing is stored here, so give the item itself.")]
    [TestCase("""{"input":[{"type":"computer_call"}]}""", "input[0].type", "'input[0].type' is 'computer_call'; it is one of 'message', 'reasoning', 'function_call', 'function_call_output'.")]
    [TestCase("""{"input":[{"role":"user","content":[{"type":"input_image","image_url":"x"}]}]}""", "input[0].content[0]", "'input[0].content[0]' is of the type 'input_image'; this model reads text alone.")]
    [TestCase("""{"input":[{"type":"function_call","call_id":"a","name":"f","arguments":"["}]}""", "input[0].arguments", "'input[0].arguments' is no JSON")]
    [TestCase("""{"input":[{"type":"function_call_output","output":"x"}]}""", "input[0].call_id", "'input[0].call_id' is missing.")]
    [TestCase("""{"input":[]}""", "input", "'input' is empty.")]
    [TestCase("""{"input":7}""", "input", "'input' is 7; it should be a text or a list of items.")]
    [TestCase("{}", "input", "'input' is missing.")]
    public async Task WhatIsNotThereIsRefusedInASentence(string body, string parameter, string message)
    {
        JsonElement error = await _server.FailAsync(Path, body, HttpStatusCode.BadRequest);
        Assert.That(error.GetProperty("param").GetString(), Is.EqualTo(parameter));
        Assert.That(error.GetProperty("message").GetString(), Does.StartWith(message));
    }

    [Test]
    public async Task NullsAndEmptyFieldsAreNotThere()
    {
        JsonElement answer = await _server.PostAsync(Path, $$"""{{{Question}},"max_output_tokens":1,"previous_response_id":null,"conversation":null,"tools":[],"text":null,"include":[],"store":true,"background":false,"truncation":"disabled"}""");
        Assert.That(answer.GetProperty("usage").GetProperty("output_tokens").GetInt32(), Is.EqualTo(1));
        Assert.That(answer.GetProperty("text").ToString(), Is.EqualTo("""{"format":{"type":"text"}}"""));
    }

    [Test]
    public async Task AFailureWithinAStreamIsAFailedAnswerAndAnError()
    {
        using LanguageModel model = TestModel.Load(_folder);
        using var gate = new GatedProducts.Gate();
        model.Runner.Decorate(products => new GatedProducts(products, gate));
        await using ServerHost server = await ServerHost.StartAsync(model);
        gate.Close();
        using HttpResponseMessage response = await server.OpenAsync(Path, $$"""{{{Question}},"stream":true}""");
        gate.WaitUntilReached();
        server.Served.Engine.Drain(TimeSpan.Zero);
        gate.Open();
        string[] events = (await response.Content.ReadAsStringAsync()).Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.That(events[^2], Does.StartWith("event: response.failed\n").And.Contain("""{"code":"server_error","message":"The server is shutting down."}"""));
        Assert.That(events[^1], Is.EqualTo("""data: {"error":{"message":"The server is shutting down.","type":"unavailable_error","param":null,"code":"shutting_down"}}"""));
    }

    private static string TypeOf(JsonElement piece) => piece.GetProperty("type").GetString()!;

    private static string Text(JsonElement answer) => answer.GetProperty("output")[0].GetProperty("content")[0].GetProperty("text").GetString()!;

    private static string?[] Names(JsonElement element, params string[] names) => [.. names.Select(name => element.GetProperty(name).GetString())];

    /// <summary>The data of all events; each is numbered and says its type twice.</summary>
    private async Task<List<JsonElement>> StreamAsync(string json, ServerHost? server = null)
    {
        using HttpResponseMessage response = await (server ?? _server).OpenAsync(Path, json);
        string[] events = (await response.Content.ReadAsStringAsync()).Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        var pieces = new List<JsonElement>();
        foreach (string text in events)
        {
            Match match = Regex.Match(text, "^event: (?<type>[a-z_.]+)\ndata: (?<data>\\{.*\\})$");
            Assert.That(match.Success, text);
            using var document = JsonDocument.Parse(match.Groups["data"].Value);
            JsonElement piece = document.RootElement.Clone();
            Assert.That(TypeOf(piece), Is.EqualTo(match.Groups["type"].Value));
            Assert.That(piece.GetProperty("sequence_number").GetInt32(), Is.EqualTo(pieces.Count));
            pieces.Add(piece);
        }

        return pieces;
    }
}
