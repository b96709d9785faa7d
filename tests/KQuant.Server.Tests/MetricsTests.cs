using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text.RegularExpressions;
using KQuant.Models;
using KQuant.Models.Diagnostics;
using KQuant.TestKit;

namespace KQuant.Server.Tests;

/// <summary><c>/metrics</c> over a real connection.</summary>
public partial class MetricsTests
{
    private const string Chat = "/v1/chat/completions";

    private TemporaryFolder _folder = null!;
    private LanguageModel _model = null!;

    [OneTimeSetUp]
    public void SetUp()
    {
        _folder = new TemporaryFolder();
        TestModel.Write(_folder);
        _model = TestModel.Load(_folder);
    }

    [OneTimeTearDown]
    public void TearDown()
    {
        _model.Dispose();
        _folder.Dispose();
    }

    [Test]
    public async Task ThePageHasTheNumbersOfTheAnswers()
    {
        await using ServerHost server = await ServerHost.StartAsync(_model);
        Dictionary<string, double> before = await ReadAsync(server);
        Assert.That(before.Where(each => each.Key != "kquant_cache_bytes").Select(each => each.Value), Is.All.Zero, "a server starts from nothing");
        int prompt = 0, cached = 0;
        for (int i = 0; i < 2; i++)
        {
            System.Text.Json.JsonElement usage = (await server.PostAsync(
                Chat, """{"messages":[{"role":"user","content":"Who is Elizabeth?"}],"max_tokens":7,"n":2,"temperature":1,"logit_bias":{"2047":-100,"2045":-100}}""")).GetProperty("usage");
            prompt += 2 * usage.GetProperty("prompt_tokens").GetInt32();
            cached += usage.GetProperty("prompt_tokens_details").GetProperty("cached_tokens").GetInt32();
            Assert.That(usage.GetProperty("completion_tokens").GetInt32(), Is.EqualTo(14));
        }

        int other = (await server.PostAsync("/v1/embeddings", """{"input":"Mr. Darcy"}""")).GetProperty("usage").GetProperty("total_tokens").GetInt32();
        Dictionary<string, double> after = await ReadAsync(server);
        Assert.That(after["kquant_texts_total"], Is.EqualTo(4));
        Assert.That(after["llamacpp:tokens_predicted_total"], Is.EqualTo(28));
        Assert.That(after["llamacpp:prompt_tokens_total"] + after["kquant_cached_tokens_total"], Is.EqualTo(prompt));
        Assert.That(after["kquant_cached_tokens_total"], Is.GreaterThanOrEqualTo(cached).And.GreaterThan(0));
        Assert.That(after["kquant_other_tokens_total"], Is.EqualTo(other));
        Assert.That(after["llamacpp:n_decode_total"], Is.GreaterThanOrEqualTo(14).And.LessThan(28), "two texts share steps");
        Assert.That(after["llamacpp:n_busy_slots_per_decode"], Is.GreaterThan(1).And.LessThanOrEqualTo(2));
        Assert.That(after["llamacpp:prompt_seconds_total"], Is.Positive);
        Assert.That(after["llamacpp:tokens_predicted_seconds_total"], Is.Positive);
        Assert.That(after["llamacpp:prompt_tokens_seconds"], Is.EqualTo(after["llamacpp:prompt_tokens_total"] / after["llamacpp:prompt_seconds_total"]).Within(1e-9).Percent);
        Assert.That((after["llamacpp:requests_processing"], after["llamacpp:requests_deferred"]), Is.EqualTo((0, 0)));
    }

    [Test]
    public async Task TextsThatAreWrittenAndThatWaitAreSeen()
    {
        using LanguageModel model = TestModel.Load(_folder);
        using var gate = new KQuant.Models.Tests.GatedProducts.Gate();
        model.Runner.Decorate(products => new KQuant.Models.Tests.GatedProducts(products, gate));
        await using ServerHost server = await ServerHost.StartAsync(model, options => options.Parallel = 1);
        gate.Close();
        using HttpResponseMessage first = await server.OpenAsync(Chat, """{"messages":[{"role":"user","content":"?"}],"max_tokens":2,"stream":true}""");
        gate.WaitUntilReached();
        using HttpResponseMessage second = await server.OpenAsync(Chat, """{"messages":[{"role":"user","content":"?"}],"max_tokens":2,"stream":true}""");
        Dictionary<string, double> values = await ReadAsync(server);
        Assert.That((values["llamacpp:requests_processing"], values["llamacpp:requests_deferred"]), Is.EqualTo((1, 1)));
        gate.Open();
        await first.Content.ReadAsStringAsync();
        await second.Content.ReadAsStringAsync();
    }

    [Test]
    public async Task OtherListenersOfTheMeterSeeTheSameNumbers()
    {
        await using ServerHost server = await ServerHost.StartAsync(_model);
        var seen = new Dictionary<string, long>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, own) =>
            {
                if (instrument.Meter.Name == Telemetry.Name && instrument.Name.StartsWith("kquant.server.", StringComparison.Ordinal))
                {
                    own.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, _, _) => seen[instrument.Name] = value);
        listener.Start();
        await server.PostAsync(Chat, """{"messages":[{"role":"user","content":"?"}],"max_tokens":3}""");
        listener.RecordObservableInstruments();
        Dictionary<string, double> values = await ReadAsync(server);
        Assert.That(seen["kquant.server.texts"], Is.EqualTo(values["kquant_texts_total"]).And.EqualTo(1));
        Assert.That(seen["kquant.server.steps"], Is.EqualTo(values["llamacpp:n_decode_total"]).And.Positive);
    }

    /// <summary>The numbers of the page, every line of which has to be of the format.</summary>
    private static async Task<Dictionary<string, double>> ReadAsync(ServerHost server)
    {
        // A step counts before its tokens are sent, a text has left soon after: both are over when nothing is active.
        using HttpResponseMessage response = await server.Client.GetAsync("/metrics");
        Assert.That(response.Content.Headers.ContentType!.ToString(), Is.EqualTo("text/plain; version=0.0.4; charset=utf-8"));
        string text = await response.Content.ReadAsStringAsync();
        Assert.That(text, Does.EndWith("\n"));
        string[] lines = text.Split('\n')[..^1];
        var values = new Dictionary<string, double>();
        for (int i = 0; i < lines.Length; i += 3)
        {
            Match sample = Sample().Match(lines[i + 2]);
            Assert.That(sample.Success, lines[i + 2]);
            string name = sample.Groups[1].Value;
            Assert.That(lines[i], Does.StartWith($"# HELP {name} "));
            Assert.That(lines[i + 1], Is.EqualTo($"# TYPE {name} {(name.EndsWith("_total", StringComparison.Ordinal) ? "counter" : "gauge")}"));
            values.Add(name, double.Parse(sample.Groups[2].Value, CultureInfo.InvariantCulture));
        }

        return values;
    }

    [GeneratedRegex("^([a-zA-Z_:][a-zA-Z0-9_:]*) ([0-9.E+-]+)$")]
    private static partial Regex Sample();
}
