using System.Net;
using System.Runtime.InteropServices;
using System.Text.Json;
using KQuant.Models;
using KQuant.Models.Diagnostics;
using KQuant.Server.Batching;
using KQuant.TestKit;

namespace KQuant.Server.Tests;

/// <summary><c>/v1/embeddings</c> over a real connection.</summary>
public class EmbeddingTests
{
    private const string Path = "/v1/embeddings";

    private TemporaryFolder _folder = null!;
    private LanguageModel _model = null!;
    private ServerHost _server = null!;

    [OneTimeSetUp]
    public async Task SetUp()
    {
        _folder = new TemporaryFolder();
        TestModel.Write(_folder);
        _model = TestModel.Load(_folder, chunkSize: 8);
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
    public async Task AnEmbeddingIsTheMeanOfTheHiddenStatesAtLengthOne()
    {
        const string text = "It is a truth universally acknowledged, that a single man must be in want of a wife.";
        int[] tokens = _model.Tokenizer.Encode(text, parseSpecialTokens: false);
        Assert.That(tokens, Has.Length.GreaterThan(16), "several chunks");
        double[] expected = Embed(tokens, _model.Config.HiddenSize);
        JsonElement answer = await _server.PostAsync(Path, $$"""{"model":"any","input":"{{text}}"}""");
        JsonElement item = answer.GetProperty("data")[0];
        Assert.That(Floats(item), Is.EqualTo(expected).Within(1e-5));
        Assert.That(answer.GetProperty("usage").ToString(), Is.EqualTo($$"""{"prompt_tokens":{{tokens.Length}},"total_tokens":{{tokens.Length}}}"""));
        Assert.That(
            (answer.GetProperty("object").GetString(), item.GetProperty("object").GetString(), answer.GetProperty("model").GetString()),
            Is.EqualTo(("list", "embedding", "org/tiny")));
        JsonElement few = await _server.PostAsync(Path, $$"""{"input":"{{text}}","dimensions":6,"encoding_format":"float"}""");
        Assert.That(Floats(few.GetProperty("data")[0]), Is.EqualTo(Embed(tokens, 6)).Within(1e-5));
    }

    [Test]
    public async Task TextsAndTheirTokensHaveTheSameEmbeddings()
    {
        string[] texts = ["Mr. Darcy", "It was a dark evening."];
        int[][] tokens = [.. texts.Select(text => _model.Tokenizer.Encode(text, parseSpecialTokens: false))];
        float[][] byText = await ListAsync(JsonSerializer.Serialize(texts));
        Assert.That(await ListAsync(JsonSerializer.Serialize(tokens)), Is.EqualTo(byText));
        Assert.That(await ListAsync($"[{JsonSerializer.Serialize(texts[0])},{JsonSerializer.Serialize(tokens[1])}]"), Is.EqualTo(byText));
        Assert.That((await ListAsync(JsonSerializer.Serialize(tokens[1])))[0], Is.EqualTo(byText[1]));
        Assert.That(byText[0], Is.Not.EqualTo(byText[1]));
    }

    [Test]
    public async Task Base64IsTheSameNumbers()
    {
        float[] expected = (await ListAsync("\"Mr. Darcy\""))[0];
        JsonElement answer = await _server.PostAsync(Path, """{"input":"Mr. Darcy","encoding_format":"base64"}""");
        byte[] bytes = answer.GetProperty("data")[0].GetProperty("embedding").GetBytesFromBase64();
        Assert.That(MemoryMarshal.Cast<byte, float>(bytes).ToArray(), Is.EqualTo(expected));
    }

    [Test]
    public async Task ManyAtOnceHaveTheBitsThatTheyHaveAlone()
    {
        string[] texts = [.. Enumerable.Range(0, 6).Select(i => $"{i} of them are at Netherfield")];
        var alone = new List<float[]>();
        foreach (string text in texts)
        {
            alone.AddRange(await ListAsync(JsonSerializer.Serialize(text)));
        }

        Task<JsonElement> chat = _server.PostAsync("/v1/chat/completions", """{"messages":[{"role":"user","content":"?"}],"max_tokens":30}""");
        float[][][] together = await Task.WhenAll(texts.Select(text => ListAsync(JsonSerializer.Serialize(text))));
        Assert.That(together.Select(list => list[0]), Is.EqualTo(alone));
        await chat;
    }

    [Test]
    public async Task TheMemoryOfACacheIsGivenBack()
    {
        long before = CacheMeter.Bytes;
        await ListAsync("[\"Mr. Darcy\",\"a dark evening\"]");
        Assert.That(CacheMeter.Bytes, Is.EqualTo(before));
    }

    [Test]
    public async Task OneTextIsEmbeddedAtATimeAndWhoeverHasLeftIsNot()
    {
        using LanguageModel model = TestModel.Load(_folder);
        using var gate = new KQuant.Models.Tests.GatedProducts.Gate();
        model.Runner.Decorate(products => new KQuant.Models.Tests.GatedProducts(products, gate));
        using var queue = new EmbeddingQueue(model, mostWaiting: 1);
        using var leaves = new CancellationTokenSource();
        gate.Close();
        Task<float[][]> first = queue.EmbedAsync([[1, 2, 3], [4]], 4, leaves.Token);
        gate.WaitUntilReached();
        Task<float[][]> second = queue.EmbedAsync([[4, 5]], 4, default);
        Assert.That(async () => await queue.EmbedAsync([[6]], 4, default), Throws.InstanceOf<BatchQueueFullException>());
        await leaves.CancelAsync();
        gate.Open();
        Assert.That(async () => await first, Throws.InstanceOf<OperationCanceledException>());
        Assert.That(await second, Has.Length.EqualTo(1));
        Assert.That(gate.Steps, Is.EqualTo((int[])[3, 2]));
        Assert.That(await queue.EmbedAsync([[6]], 4, default), Has.Length.EqualTo(1), "there is room again");
    }

    [Test]
    public async Task NothingIsEmbeddedAfterTheEnd()
    {
        using LanguageModel model = TestModel.Load(_folder);
        using var gate = new KQuant.Models.Tests.GatedProducts.Gate();
        model.Runner.Decorate(products => new KQuant.Models.Tests.GatedProducts(products, gate));
        var queue = new EmbeddingQueue(model, mostWaiting: 1);
        gate.Close();
        Task<float[][]> running = queue.EmbedAsync([[1, 2, 3], [4]], 4, default);
        gate.WaitUntilReached();
        Task<float[][]> waiting = queue.EmbedAsync([[4, 5]], 4, default);
        var end = Task.Run(queue.Dispose);
        Assert.That(async () => await waiting, Throws.InstanceOf<BatchStoppedException>());
        gate.Open();
        Assert.That(async () => await running, Throws.InstanceOf<BatchStoppedException>());
        await end;
        Assert.That(async () => await queue.EmbedAsync([[6]], 4, default), Throws.InstanceOf<BatchStoppedException>());

        await using ServerHost server = await ServerHost.StartAsync(_model);
        server.Served.Engine.Drain(TimeSpan.Zero);
        Assert.That((await server.FailAsync(Path, "{\"input\":\"a\"}", HttpStatusCode.ServiceUnavailable)).GetProperty("code").GetString(), Is.EqualTo("shutting_down"));
    }

    [TestCase("{}", "input", "'input' is missing.")]
    [TestCase("""{"input":""}""", "input", "'input' is empty; a text has a token at least.")]
    [TestCase("""{"input":[]}""", "input", "'input' has 0 texts; it has 1 to 2048.")]
    [TestCase("""{"input":["a",""]}""", "input[1]", "'input[1]' is empty")]
    [TestCase("""{"input":[[1,2],[3,2048]]}""", "input[1][1]", "'input[1][1]' is no token; tokens are numbers from 0 to 2047.")]
    [TestCase("""{"input":{"text":"a"}}""", "input", "'input' is an object; it should be a list.")]
    [TestCase("""{"input":"a","dimensions":0}""", "dimensions", "'dimensions' is 0; it should be a whole number from 1 to")]
    [TestCase("""{"input":"a","dimensions":100000}""", "dimensions", "'dimensions' is 100000")]
    [TestCase("""{"input":"a","encoding_format":"int8"}""", "encoding_format", "'encoding_format' is 'int8'; it is one of 'float', 'base64'.")]
    public async Task WhatIsWrongIsSaid(string body, string parameter, string message)
    {
        JsonElement error = await _server.FailAsync(Path, body, HttpStatusCode.BadRequest);
        Assert.That(error.GetProperty("param").GetString(), Is.EqualTo(parameter));
        Assert.That(error.GetProperty("message").GetString(), Does.StartWith(message));
    }

    [Test]
    public async Task ATextLongerThanTheContextIsRefused()
    {
        JsonElement error = await _server.FailAsync(Path, $$"""{"input":["a",[{{string.Join(',', Enumerable.Repeat(5, 513))}}]]}""", HttpStatusCode.BadRequest);
        Assert.That(error.GetProperty("code").GetString(), Is.EqualTo("context_length_exceeded"));
        Assert.That(error.GetProperty("message").GetString(), Is.EqualTo("Text 1 of 'input' has 513 tokens; the context has 512."));
    }

    private static float[] Floats(JsonElement item) => [.. item.GetProperty("embedding").EnumerateArray().Select(value => value.GetSingle())];

    private async Task<float[][]> ListAsync(string input)
    {
        JsonElement answer = await _server.PostAsync(Path, $$"""{"input":{{input}}}""");
        JsonElement[] items = [.. answer.GetProperty("data").EnumerateArray()];
        Assert.That(items.Select(item => item.GetProperty("index").GetInt32()), Is.EqualTo(Enumerable.Range(0, items.Length)));
        return [.. items.Select(Floats)];
    }

    /// <summary>From the hidden states of one token after another, in doubles.</summary>
    private double[] Embed(int[] tokens, int dimensions)
    {
        using KeyValueCache cache = _model.CreateCache();
        var sum = new double[dimensions];
        float[] hidden = new float[_model.Config.HiddenSize];
        foreach (int token in tokens)
        {
            _model.ForwardHidden([token], cache, hidden);
            for (int i = 0; i < dimensions; i++)
            {
                sum[i] += hidden[i];
            }
        }

        double length = Math.Sqrt(sum.Sum(value => value * value));
        return [.. sum.Select(value => value / length)];
    }
}
