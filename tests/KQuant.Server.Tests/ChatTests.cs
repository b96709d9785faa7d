using System.Net;
using System.Text;
using System.Text.Json;
using KQuant.Models;
using KQuant.Models.Generation;
using KQuant.Models.Templates;
using KQuant.TestKit;

namespace KQuant.Server.Tests;

/// <summary><c>/v1/chat/completions</c> over a real connection.</summary>
public class ChatTests
{
    private const string Path = "/v1/chat/completions";

    private const string Tool = """{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string","maxLength":8}},"required":["city"],"additionalProperties":false}}}""";

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
        GeneratedToken[] expected = Generate(new SamplingOptions(), 24);
        JsonElement choice = answer.GetProperty("choices")[0];
        Assert.That(choice.GetProperty("message").GetProperty("content").GetString(), Is.EqualTo(Text(expected)));
        Assert.That(choice.GetProperty("finish_reason").GetString(), Is.EqualTo("length"));
        Assert.That(answer.GetProperty("object").GetString(), Is.EqualTo("chat.completion"));
        Assert.That(answer.GetProperty("model").GetString(), Is.EqualTo("org/tiny"));
        JsonElement usage = answer.GetProperty("usage");
        Assert.That(usage.GetProperty("completion_tokens").GetInt32(), Is.EqualTo(24));
        Assert.That(usage.GetProperty("total_tokens").GetInt32(), Is.EqualTo(24 + usage.GetProperty("prompt_tokens").GetInt32()));
        Assert.That(answer.GetProperty("timings").GetProperty("predicted_n").GetInt32(), Is.EqualTo(24));

        JsonElement again = await _server.PostAsync(Path, Ask("\"temperature\":0,\"max_tokens\":24"));
        usage = again.GetProperty("usage");
        Assert.That(usage.GetProperty("prompt_tokens_details").GetProperty("cached_tokens").GetInt32(), Is.EqualTo(usage.GetProperty("prompt_tokens").GetInt32() - 1));
        Assert.That(again.GetProperty("choices")[0].ToString(), Is.EqualTo(choice.ToString()));
    }

    [Test]
    public async Task PiecesMakeTheWholeAnswer()
    {
        const string fields = "\"seed\":3,\"temperature\":1,\"max_completion_tokens\":30,\"max_tokens\":2,\"logprobs\":true,\"top_logprobs\":2";
        JsonElement whole = (await _server.PostAsync(Path, Ask(fields))).GetProperty("choices")[0];
        List<JsonElement> pieces = await _server.StreamAsync(Path, Ask(fields + ",\"stream\":true,\"stream_options\":{\"include_usage\":true}"));
        Assert.That(pieces[0].GetProperty("choices")[0].GetProperty("delta").ToString(), Is.EqualTo("""{"role":"assistant","content":""}"""));
        Assert.That(pieces.Select(piece => piece.GetProperty("id").GetString()).Distinct().Count(), Is.EqualTo(1));
        JsonElement[] choices = [.. pieces[..^1].Select(piece => piece.GetProperty("choices")[0])];
        Assert.That(string.Concat(choices.Select(Content)), Is.EqualTo(whole.GetProperty("message").GetProperty("content").GetString()));
        Assert.That(choices[..^1].Select(choice => choice.GetProperty("finish_reason").ValueKind), Is.All.EqualTo(JsonValueKind.Null));
        Assert.That(choices[^1].GetProperty("finish_reason").GetString(), Is.EqualTo(whole.GetProperty("finish_reason").GetString()));
        Assert.That(pieces[..^1].Select(piece => piece.GetProperty("usage").ValueKind), Is.All.EqualTo(JsonValueKind.Null));
        Assert.That(pieces[^1].GetProperty("choices").GetArrayLength(), Is.Zero);
        Assert.That(pieces[^1].GetProperty("usage").GetProperty("completion_tokens").GetInt32(), Is.EqualTo(30));

        JsonElement[] tokens = [.. whole.GetProperty("logprobs").GetProperty("content").EnumerateArray()];
        JsonElement[] streamed =
        [
            .. choices.Where(choice => choice.GetProperty("logprobs").ValueKind == JsonValueKind.Object)
                .SelectMany(choice => choice.GetProperty("logprobs").GetProperty("content").EnumerateArray()),
        ];
        Assert.That(streamed.Select(token => token.ToString()), Is.EqualTo(tokens.Select(token => token.ToString())));
        GeneratedToken[] expected = Generate(_model.DefaultSampling with { Temperature = 1, Seed = 3 }, 30);
        Assert.That(tokens.Select(token => token.GetProperty("logprob").GetSingle()), Is.EqualTo(expected.Select(token => token.LogProbability)));
        byte[] bytes = [.. tokens.SelectMany(token => token.GetProperty("bytes").EnumerateArray().Select(value => value.GetByte()))];
        Assert.That(Encoding.UTF8.GetString(bytes), Is.EqualTo(Text(expected)));
        Assert.That(tokens.Select(token => token.GetProperty("top_logprobs").GetArrayLength()), Is.All.EqualTo(2));
    }

    [Test]
    public async Task SeveralAnswersDrawFromTheSeedPlusTheirNumber()
    {
        JsonElement answer = await _server.PostAsync(Path, Ask("\"seed\":5,\"temperature\":1,\"max_tokens\":12,\"n\":3"));
        string[] texts = [.. answer.GetProperty("choices").EnumerateArray().Select(choice => choice.GetProperty("message").GetProperty("content").GetString()!)];
        Assert.That(texts, Is.EqualTo(Enumerable.Range(5, 3).Select(seed => Text(Generate(_model.DefaultSampling with { Temperature = 1, Seed = seed }, 12)))));
        List<JsonElement> pieces = await _server.StreamAsync(Path, Ask("\"seed\":5,\"temperature\":1,\"max_tokens\":12,\"n\":3,\"stream\":true"));
        ILookup<int, JsonElement> byChoice = pieces.Select(piece => piece.GetProperty("choices")[0]).ToLookup(choice => choice.GetProperty("index").GetInt32());
        Assert.That(Enumerable.Range(0, 3).Select(i => string.Concat(byChoice[i].Select(Content))), Is.EqualTo(texts));
    }

    [Test]
    public async Task AStopThatSpansTokensEndsAnAnswerAndIsNoPartOfIt()
    {
        GeneratedToken[] expected = Generate(new SamplingOptions(), 24);
        string text = Text(expected), stop = text.Substring(expected[0].Text.Length + expected[1].Text.Length - 1, 4);
        JsonElement choice = (await _server.PostAsync(Path, Ask($"\"temperature\":0,\"max_tokens\":24,\"stop\":[{JsonSerializer.Serialize(stop)},\"never\"]"))).GetProperty("choices")[0];
        Assert.That(choice.GetProperty("message").GetProperty("content").GetString(), Is.EqualTo(text[..text.IndexOf(stop, StringComparison.Ordinal)]));
        Assert.That(choice.GetProperty("finish_reason").GetString(), Is.EqualTo("stop"));
    }

    [Test]
    public async Task WhatTheAssistantHasBegunToSayGoesOn()
    {
        string text = Text(Generate(new SamplingOptions(), 24));
        int[] prompt = [.. _model.EncodeChat([new TemplateMessage("user", "Who is Elizabeth?")]), .. _model.Tokenizer.Encode("She is", addSpecialTokens: false)];
        string expected = Text([.. _model.Generate(prompt, new GenerationOptions { Sampling = SamplingOptions.Greedy, MaxTokens = 12 })]);
        JsonElement answer = await _server.PostAsync(Path, """
            {"messages":[{"role":"user","content":[{"type":"text","text":"Who is "},{"type":"text","text":"Elizabeth?"}]},{"role":"assistant","content":"She is"}],"temperature":0,"max_tokens":12}
            """);
        Assert.That(Content(answer), Is.EqualTo(expected));
        Assert.That(expected, Is.Not.EqualTo(text[..Math.Min(text.Length, expected.Length)]));

        static string? Content(JsonElement answer) => answer.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString();
    }

    [Test]
    public async Task ARequiredCallIsMade()
    {
        for (int seed = 0; seed < 5; seed++)
        {
            string fields = $"\"tools\":[{Tool}],\"tool_choice\":\"required\",\"parallel_tool_calls\":false,\"seed\":{seed},\"temperature\":1,\"max_tokens\":300";
            JsonElement choice = (await _server.PostAsync(Path, Ask(fields))).GetProperty("choices")[0];
            if (choice.GetProperty("finish_reason").GetString() == "length")
            {
                continue;
            }

            Assert.That(choice.GetProperty("finish_reason").GetString(), Is.EqualTo("tool_calls"));
            Assert.That(choice.GetProperty("message").GetProperty("content").ValueKind, Is.EqualTo(JsonValueKind.Null));
            JsonElement function = choice.GetProperty("message").GetProperty("tool_calls")[0].GetProperty("function");
            Assert.That(function.GetProperty("name").GetString(), Is.EqualTo("weather"));
            Assert.That(JsonDocument.Parse(function.GetProperty("arguments").GetString()!).RootElement.GetProperty("city").GetString(), Has.Length.LessThanOrEqualTo(8));

            JsonElement[] deltas = [.. (await _server.StreamAsync(Path, Ask(fields + ",\"stream\":true"))).Select(piece => piece.GetProperty("choices")[0])];
            JsonElement[] calls = [.. deltas.Where(delta => delta.GetProperty("delta").TryGetProperty("tool_calls", out _)).Select(delta => delta.GetProperty("delta").GetProperty("tool_calls")[0])];
            Assert.That(calls.Select(call => call.GetProperty("index").GetInt32()), Is.All.Zero);
            Assert.That(calls[0].GetProperty("function").GetProperty("name").GetString(), Is.EqualTo("weather"));
            Assert.That(string.Concat(calls.Select(call => call.GetProperty("function").GetProperty("arguments").GetString())), Is.EqualTo(function.GetProperty("arguments").GetString()));
            Assert.That(deltas[^1].GetProperty("finish_reason").GetString(), Is.EqualTo("tool_calls"));
            return;
        }

        Assert.Fail("no answer came to its end");
    }

    [Test]
    public async Task CallsAndResultsReachTheTemplate()
    {
        JsonElement count = await _server.PostAsync(Path + "/input_tokens", $$$"""
            {"tools":[{{{Tool}}}],"messages":[{"role":"developer","content":"Be brief."},{"role":"user","content":"?"},
            {"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Bath\"}"}}]},
            {"role":"tool","tool_call_id":"a","content":"rain"}]}
            """);
        string rendered = "[{\"type\": \"function\", \"function\": {\"name\": \"weather\", \"description\": null, \"parameters\": {\"type\": \"object\", \"properties\": {\"city\": {\"type\": "
            + "\"string\", \"maxLength\": 8}}, \"required\": [\"city\"], \"additionalProperties\": false}}}]<tool_call><|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n?<|im_end|>\n"
            + "<|im_start|>assistant\n[{\"id\": \"a\", \"type\": \"function\", \"function\": {\"name\": \"weather\", \"arguments\": {\"city\": \"Bath\"}}}]<|im_end|>\n<|im_start|>tool\nrain<|im_end|>\n"
            + "<|im_start|>assistant\n";
        Assert.That(count.GetProperty("input_tokens").GetInt32(), Is.EqualTo(_model.Tokenizer.Encode(rendered).Length));
    }

    [TestCase("""{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object","properties":{"yes":{"type":"boolean"},"n":{"type":"integer","minimum":0,"maximum":9}},"required":["yes","n"],"additionalProperties":false}}}""")]
    [TestCase("""{"type":"json_object","schema":{"type":"object","properties":{"yes":{"type":"boolean"},"n":{"enum":[1,2]}},"required":["yes","n"]}}""")]
    public async Task AnAnswerFitsItsSchema(string format)
    {
        JsonElement choice = (await _server.PostAsync(Path, Ask($"\"response_format\":{format},\"temperature\":2,\"seed\":1,\"max_tokens\":200"))).GetProperty("choices")[0];
        JsonElement value = JsonDocument.Parse(choice.GetProperty("message").GetProperty("content").GetString()!).RootElement;
        Assert.That(value.GetProperty("yes").ValueKind, Is.AnyOf(JsonValueKind.True, JsonValueKind.False));
        Assert.That(value.GetProperty("n").GetInt32(), Is.InRange(0, 9));
        Assert.That(choice.GetProperty("finish_reason").GetString(), Is.EqualTo("stop"));
    }

    [Test]
    public async Task AnAnswerFitsAGrammar()
    {
        JsonElement choice = (await _server.PostAsync(Path, Ask("\"grammar\":\"root ::= (\\\"yes\\\" | \\\"no\\\") \\\"!\\\"\",\"temperature\":2"))).GetProperty("choices")[0];
        Assert.That(choice.GetProperty("message").GetProperty("content").GetString(), Is.AnyOf("yes!", "no!"));
    }

    [Test]
    public async Task BiasesAndNullsAreTakenAsTheyAreMeant()
    {
        int token = _model.Tokenizer.Encode("e", addSpecialTokens: false)[0];
        JsonElement answer = await _server.PostAsync(Path, Ask($"\"logit_bias\":{{\"{token}\":100}},\"max_tokens\":3,\"n\":null,\"stop\":null,\"tools\":null,\"stream\":null,\"user\":\"x\",\"what\":{{}},\"top_p\":0"));
        Assert.That(answer.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString(), Is.EqualTo("eee"));
    }

    [Test]
    public async Task AClientThatLeavesFreesItsPlace()
    {
        using var leaves = new CancellationTokenSource();
        using (HttpResponseMessage response = await _server.OpenAsync(Path, Ask("\"max_tokens\":400,\"stream\":true,\"logit_bias\":{\"2047\":-100,\"2045\":-100}"), leaves.Token))
        {
            using Stream stream = await response.Content.ReadAsStreamAsync(leaves.Token);
            Assert.That(await stream.ReadAsync(new byte[10], leaves.Token), Is.Positive);
        }

        // The next request is another's place; that all are free in the end shows that the first one's is.
        await _server.PostAsync(Path, Ask("\"max_tokens\":1"));
        SpinWait.SpinUntil(() => _server.Served.Engine.Counters.Active == 0);
        Assert.That(_server.Served.Engine.Counters.Active, Is.Zero);
    }

    [Test]
    public async Task AStreamSaysThatItIsAliveWhileThereIsNothing()
    {
        using LanguageModel model = TestModel.Load(_folder);
        using var gate = new KQuant.Models.Tests.GatedProducts.Gate();
        model.Runner.Decorate(products => new KQuant.Models.Tests.GatedProducts(products, gate));
        await using ServerHost server = await ServerHost.StartAsync(model, options => options.PingInterval = TimeSpan.FromMilliseconds(1));
        gate.Close();
        using HttpResponseMessage response = await server.OpenAsync(Path, Ask("\"max_tokens\":2,\"stream\":true"));
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        string? line = "";
        while (line != ": ping")
        {
            line = await reader.ReadLineAsync();
            Assert.That(line, Is.Not.Null);
        }

        gate.Open();
        Assert.That(await reader.ReadToEndAsync(), Does.EndWith("data: [DONE]\n\n"));
    }

    [Test]
    public async Task AFailureWithinAStreamIsItsLastEvent()
    {
        using LanguageModel model = TestModel.Load(_folder);
        using var gate = new KQuant.Models.Tests.GatedProducts.Gate();
        model.Runner.Decorate(products => new KQuant.Models.Tests.GatedProducts(products, gate));
        await using ServerHost server = await ServerHost.StartAsync(model);
        gate.Close();
        using HttpResponseMessage response = await server.OpenAsync(Path, Ask("\"max_tokens\":400,\"stream\":true"));
        gate.WaitUntilReached();
        server.Served.Engine.Drain(TimeSpan.Zero);
        gate.Open();
        string[] events = (await response.Content.ReadAsStringAsync()).Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.That(events[^1], Is.EqualTo("""data: {"error":{"message":"The server is shutting down.","type":"unavailable_error","param":null,"code":"shutting_down"}}"""));
        Assert.That(await server.FailAsync(Path, Ask("\"max_tokens\":1"), HttpStatusCode.ServiceUnavailable), Has.Property("ValueKind").EqualTo(JsonValueKind.Object));
        using HttpResponseMessage health = await server.Client.GetAsync("/health");
        Assert.That(health.StatusCode, Is.EqualTo(HttpStatusCode.ServiceUnavailable));
    }

    private static string Ask(string fields) => $$"""{"model":"any","messages":[{"role":"user","content":"Who is Elizabeth?"}],{{fields}}}""";

    private static string Content(JsonElement choice) => choice.GetProperty("delta").TryGetProperty("content", out JsonElement content) ? content.GetString()! : "";

    private static string Text(GeneratedToken[] tokens) => string.Concat(tokens.Select(token => token.Text));

    private GeneratedToken[] Generate(SamplingOptions sampling, int count) =>
        [.. _model.Generate(_model.EncodeChat([new TemplateMessage("user", "Who is Elizabeth?")]), new GenerationOptions { Sampling = sampling, MaxTokens = count })];
}
