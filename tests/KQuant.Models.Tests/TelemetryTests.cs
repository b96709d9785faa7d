using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using KQuant.Models.Diagnostics;
using KQuant.Models.Generation;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>Hosts see what a model does, by the names that docs/embed.md has, and nothing is measured for nobody.</summary>
[NonParallelizable]
public class TelemetryTests
{
    private static readonly GenerationOptions Short = new() { Sampling = SamplingOptions.Greedy, MaxTokens = 5, StopTokens = [] };

    private readonly ConcurrentQueue<(string Name, double Value, string? Kind)> _measured = [];
    private readonly ConcurrentQueue<Activity> _activities = [];
    private LanguageModel _model = null!;

    [OneTimeSetUp]
    public void SetUp() => _model = LanguageModel.Load(RepositoryFiles.Fixture("models", "tiny-dense"));

    [OneTimeTearDown]
    public void TearDown() => _model.Dispose();

    [SetUp]
    public void Clear()
    {
        _measured.Clear();
        _activities.Clear();
    }

    [Test]
    public void NobodyListens() => Assert.That(TextTrace.Begin("x", 1, 0), Is.Null);

    [Test]
    public async Task ATextIsMeasured()
    {
        int[] prompt = _model.Tokenizer.Encode("Who is Elizabeth?");
        using (MeterListener meter = Listen())
        using (ActivityListener activities = ListenToActivities())
        using (KeyValueCache cache = _model.CreateCache())
        using (var caller = new Activity("caller"))
        {
            caller.Start();
            await foreach (GeneratedToken token in _model.GenerateAsync(prompt, Short with { Cache = cache }))
            {
                Assert.That(Activity.Current, Is.SameAs(caller));
            }

            foreach (GeneratedToken token in _model.Generate([5, 6], Short with { Cache = cache, MaxTokens = 100 }))
            {
                Assert.That(Activity.Current, Is.SameAs(caller));
                break;
            }

            Assert.That(Activity.Current, Is.SameAs(caller));
            Assert.That(_activities.Select(activity => activity.ParentId), Is.EqualTo([caller.Id, caller.Id]));
            meter.RecordObservableInstruments();
            Assert.That(_measured.Single(entry => entry.Name == "kquant.cache.size").Value, Is.GreaterThanOrEqualTo(cache.ByteCount));
            _model.Forward([1, 2, 3], cache, default);
        }

        Assert.That(Sum("prompt"), Is.EqualTo(prompt.Length + 2));
        Assert.That(Sum("cached"), Is.EqualTo(prompt.Length + 4), "the last token of a text is not in the cache");
        Assert.That(Sum("generated"), Is.EqualTo(6));
        Assert.That(Sum("other"), Is.EqualTo(3));
        Assert.That(_measured.Count(entry => entry.Name == "kquant.prompt.duration" && entry.Value > 0), Is.EqualTo(2));
        Assert.That(_measured.Count(entry => entry.Name == "kquant.decode.duration" && entry.Value > 0), Is.EqualTo(1));
        Assert.That(_measured.Count(entry => entry.Name == "kquant.queue.duration"), Is.GreaterThanOrEqualTo(7));

        Activity first = _activities.First();
        Assert.That(first.OperationName, Is.EqualTo("kquant.generate"));
        Assert.That(first.GetTagItem("kquant.model"), Is.EqualTo("tiny-dense"));
        Assert.That(first.GetTagItem("kquant.tokens.prompt"), Is.EqualTo(prompt.Length));
        Assert.That(first.GetTagItem("kquant.tokens.generated"), Is.EqualTo(5));
        Assert.That(first.GetTagItem("kquant.finish_reason"), Is.EqualTo("Length"));
        Assert.That(first.GetTagItem("kquant.cache.size"), Is.GreaterThan(0L));
        Assert.That(_activities.Last().GetTagItem("kquant.finish_reason"), Is.EqualTo("None"), "it was left");
    }

    [Test]
    public void MemoryThatIsGivenBackIsCounted()
    {
        long before = CacheMeter.Bytes;
        KeyValueCache cache = _model.CreateCache();
        cache.Reserve(100);
        long bytes = cache.ByteCount;
        KeyValueCache fork = cache.Fork();
        Assert.That(CacheMeter.Bytes - before, Is.EqualTo(bytes + fork.ByteCount));
        cache.Reserve(500);
        Assert.That(CacheMeter.Bytes - before, Is.EqualTo(cache.ByteCount + fork.ByteCount).And.GreaterThan(2 * bytes));
        cache.Dispose();
        fork.Dispose();
        Assert.That(CacheMeter.Bytes, Is.EqualTo(before));
    }

    private double Sum(string kind) => _measured.Where(entry => entry.Name == "kquant.tokens" && entry.Kind == kind).Sum(entry => entry.Value);

    private MeterListener Listen()
    {
        var listener = new MeterListener
        {
            InstrumentPublished = (instrument, self) =>
            {
                if (instrument.Meter.Name == "KQuant")
                {
                    self.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument, value, tags));
        listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Add(instrument, value, tags));
        listener.Start();
        return listener;
    }

    private void Add(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        string? kind = null;
        foreach ((string key, object? tag) in tags)
        {
            kind = key == "kquant.token.kind" ? (string?)tag : kind;
        }

        _measured.Enqueue((instrument.Name, value, kind));
    }

    private ActivityListener ListenToActivities()
    {
        var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == "KQuant",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = _activities.Enqueue,
        };
        ActivitySource.AddActivityListener(listener);
        return listener;
    }
}
