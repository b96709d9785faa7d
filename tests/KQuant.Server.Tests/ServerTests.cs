using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using KQuant.Models;
using KQuant.Models.Generation;
using KQuant.TestKit;

namespace KQuant.Server.Tests;

/// <summary>Who may ask, what there is, and plain completions.</summary>
public class ServerTests
{
    private TemporaryFolder _folder = null!;
    private LanguageModel _model = null!;
    private ServerHost _server = null!;

    [OneTimeSetUp]
    public async Task SetUp()
    {
        _folder = new TemporaryFolder();
        TestModel.Write(_folder);
        _model = TestModel.Load(_folder);
        _server = await ServerHost.StartAsync(_model, options =>
        {
            options.ModelName = "org/tiny";
            options.ApiKeys.Add("secret");
            options.AllowedOrigins.Add("https://example.com");
        });
        _server.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "secret");
    }

    [OneTimeTearDown]
    public async Task TearDown()
    {
        await _server.DisposeAsync();
        _model.Dispose();
        _folder.Dispose();
    }

    [Test]
    public async Task OnlyWhoHasAKeyIsAnswered()
    {
        using var stranger = new HttpClient { BaseAddress = _server.Address };
        foreach (string? key in (string?[])[null, "guess"])
        {
            stranger.DefaultRequestHeaders.Authorization = key is null ? null : new AuthenticationHeaderValue("Bearer", key);
            using HttpResponseMessage refused = await stranger.GetAsync("/v1/models");
            Assert.That(refused.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
            JsonElement error = (await refused.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("error");
            Assert.That((error.GetProperty("type").GetString(), error.GetProperty("code").GetString()), Is.EqualTo(("authentication_error", "invalid_api_key")));
        }

        stranger.DefaultRequestHeaders.Authorization = null;
        using HttpResponseMessage health = await stranger.GetAsync("/health");
        Assert.That(await health.Content.ReadAsStringAsync(), Is.EqualTo("""{"status":"ok","model":"org/tiny","slots":8,"active":0,"waiting":0}"""));
        stranger.DefaultRequestHeaders.Add("x-api-key", "secret");
        using HttpResponseMessage models = await stranger.GetAsync("/v1/models");
        Assert.That(models.StatusCode, Is.EqualTo(HttpStatusCode.OK));
    }

    [Test]
    public async Task TheModelIsListedAndFoundByItsName([Values("org/tiny", "org%2Ftiny")] string path)
    {
        JsonElement list = await _server.Client.GetFromJsonAsync<JsonElement>("/v1/models");
        JsonElement model = await _server.Client.GetFromJsonAsync<JsonElement>("/v1/models/" + path);
        Assert.That(list.GetProperty("data")[0].ToString(), Is.EqualTo(model.ToString()));
        Assert.That(model.GetProperty("meta").GetProperty("n_ctx").GetInt32(), Is.EqualTo(512));
        using HttpResponseMessage other = await _server.Client.GetAsync("/v1/models/other");
        Assert.That(other.StatusCode, Is.EqualTo(HttpStatusCode.NotFound));
    }

    [TestCase("https://example.com", true)]
    [TestCase("https://example.org", false)]
    public async Task PagesOfKnownOriginsMayAsk(string origin, bool isKnown)
    {
        using var request = new HttpRequestMessage(HttpMethod.Options, "/v1/chat/completions");
        request.Headers.Add("Origin", origin);
        request.Headers.Add("Access-Control-Request-Method", "POST");
        request.Headers.Add("Access-Control-Request-Headers", "authorization, content-type");
        using HttpResponseMessage response = await _server.Client.SendAsync(request);
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.NoContent));
        Assert.That(response.Headers.TryGetValues("Access-Control-Allow-Origin", out _), Is.EqualTo(isKnown));
        if (isKnown)
        {
            Assert.That(response.Headers.GetValues("Access-Control-Allow-Headers").Single(), Is.EqualTo("authorization, content-type"));
        }
    }

    [Test]
    public async Task CompletionsGoOnFromTheirPrompts()
    {
        const string prompt = "It is a truth";
        int[] tokens = _model.Tokenizer.Encode(prompt);
        GeneratedToken[] expected = [.. _model.Generate(tokens, new GenerationOptions { Sampling = SamplingOptions.Greedy, MaxTokens = 10, TopLogProbabilities = 2 })];
        string text = string.Concat(expected.Select(token => token.Text));
        string fields = "\"temperature\":0,\"max_tokens\":10";
        JsonElement one = await _server.PostAsync("/v1/completions", $$"""{"prompt":"{{prompt}}",{{fields}},"echo":true,"logprobs":2}""");
        JsonElement choice = one.GetProperty("choices")[0];
        Assert.That(choice.GetProperty("text").GetString(), Is.EqualTo(prompt + text));
        Assert.That(choice.GetProperty("logprobs").GetProperty("token_logprobs").EnumerateArray().Select(value => value.GetSingle()), Is.EqualTo(expected.Select(token => token.LogProbability)));
        Assert.That(choice.GetProperty("logprobs").GetProperty("text_offset")[0].GetInt32(), Is.EqualTo(prompt.Length));
        JsonElement two = await _server.PostAsync("/v1/completions", $$"""{"prompt":[[{{string.Join(',', tokens)}}],"{{prompt}}"],"n":2,{{fields}}}""");
        Assert.That(two.GetProperty("choices").EnumerateArray().Select(each => each.GetProperty("text").GetString()), Is.EqualTo(Enumerable.Repeat(text, 4)));
        List<JsonElement> pieces = await _server.StreamAsync("/v1/completions", $$"""{"prompt":[{{string.Join(',', tokens)}}],{{fields}},"stream":true,"stream_options":{"include_usage":true} }""");
        Assert.That(string.Concat(pieces[..^1].Select(piece => piece.GetProperty("choices")[0].GetProperty("text").GetString())), Is.EqualTo(text));
        Assert.That(pieces[^2].GetProperty("choices")[0].GetProperty("finish_reason").GetString(), Is.EqualTo("length"));
        Assert.That(pieces[^1].GetProperty("usage").GetProperty("completion_tokens").GetInt32(), Is.EqualTo(10));
    }

    [TestCase("""{"prompt":""}""", "prompt")]
    [TestCase("""{"prompt":[]}""", "prompt")]
    [TestCase("""{"prompt":[1,-1]}""", "prompt[1]")]
    [TestCase("""{"prompt":[[1],[2,99999]]}""", "prompt[1][1]")]
    [TestCase("""{"prompt":"a","suffix":"b"}""", "suffix")]
    [TestCase("""{"prompt":["a","b"],"n":100}""", "prompt")]
    public async Task CompletionsThatCannotBe(string body, string parameter) =>
        Assert.That((await _server.FailAsync("/v1/completions", body, HttpStatusCode.BadRequest)).GetProperty("param").GetString(), Is.EqualTo(parameter));
}
