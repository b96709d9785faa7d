using KQuant.Models.Generation;
using KQuant.Models.Transformers;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>Steps of any mix of texts, in fair turns.</summary>
public class StepTests
{
    private static readonly int[] Prompt = RandomCheckpoint.Prompt(200);

    private readonly RandomModels _models = new();

    [OneTimeTearDown]
    public void TearDown() => _models.Dispose();

    [Test]
    public void ChunksOfSeveralTextsGoTogether([Values("gemma2", "qwen3-moe", "phi3-long")] string name)
    {
        using LanguageModel model = _models.Load(name);
        int vocabulary = model.Config.VocabularySize;
        (int Before, int Count)[] texts = [(0, 5), (150, 1), (30, 20), (3, 1)];
        var step = new ModelStep();
        var expected = new List<float>();
        var caches = new List<KeyValueCache>();
        foreach ((int before, int count) in texts)
        {
            using KeyValueCache alone = model.CreateCache();
            KeyValueCache cache = model.CreateCache();
            caches.Add(cache);
            model.Forward(Prompt.AsSpan(0, before), cache, default);
            model.Forward(Prompt.AsSpan(0, before), alone, default);
            expected.AddRange(RandomModels.Logits(model, alone, Prompt.AsSpan(before, count)));
            step.Add(cache, Prompt.AsSpan(before, count), StepOutputs.Last);
        }

        var actual = new float[texts.Length * vocabulary];
        model.Runner.Run(step, actual, default);
        for (int i = 0; i < texts.Length; i++)
        {
            // Text 1 is longer than what phi3-long was made for; the frequencies of the others must not change with it.
            Assert.That(
                actual[(i * vocabulary)..((i + 1) * vocabulary)], Is.EqualTo(expected[(i * vocabulary)..((i + 1) * vocabulary)]).Within(2e-4), $"text {i}");
            Assert.That(caches[i].Tokens.ToArray(), Is.EqualTo(Prompt.Take(texts[i].Before + texts[i].Count)));
            caches[i].Dispose();
        }
    }

    [Test]
    public void ALongPromptIsReadBesideWritingAndShortOnes()
    {
        using LanguageModel model = _models.Load("llama", new ModelOptions { ChunkSize = 16 });
        using var gate = new GatedProducts.Gate();
        model.Runner.Decorate(products => new GatedProducts(products, gate));
        var scheduler = new StepScheduler(model.Runner);
        using TextGenerator writer = Text(model, 1), reader = Text(model, 100), late = Text(model, 10);
        var results = new List<StepResult>();
        scheduler.Admit(writer);
        scheduler.Admit(reader);
        scheduler.Advance(results, default);
        scheduler.Admit(late);
        int step = 1;
        while (late.Cache.Length < 10)
        {
            step++;
            scheduler.Advance(results, default);
        }

        Assert.That(step, Is.EqualTo(3), "ten tokens, of which eight fit beside the long prompt and the writer");
        Assert.That(gate.Steps, Is.All.LessThanOrEqualTo(16));
        Assert.That(results.Count(result => result.Text == writer), Is.EqualTo(3), "who writes has a token in every step");
        Assert.That(results.Count(result => result.Text == late), Is.EqualTo(1));
        Assert.That(reader.Cache.Length, Is.EqualTo(15 + 7 + 13));
        Assert.That(scheduler.Remove(reader), Is.True);
        Assert.That(scheduler.Remove(reader), Is.False);
        scheduler.Advance(results, default);
        Assert.That(gate.Steps[^1], Is.EqualTo(2));
        Assert.That(reader.Cache.Tokens.ToArray(), Is.EqualTo(Prompt.Take(35)), "what was read stays");
    }

    [Test]
    public void MoreTextsThanRowsTakeTurns()
    {
        using LanguageModel model = _models.Load("llama", new ModelOptions { ChunkSize = 2 });
        var scheduler = new StepScheduler(model.Runner);
        TextGenerator[] texts = [.. Enumerable.Range(0, 5).Select(_ => Text(model, 1))];
        Array.ForEach(texts, scheduler.Admit);
        var results = new List<StepResult>();
        for (int step = 0; step < 5; step++)
        {
            scheduler.Advance(results, default);
        }

        Assert.That(texts.Select(text => results.Count(result => result.Text == text)), Is.All.EqualTo(2));
        Array.ForEach(texts, text => text.Dispose());
    }

    [Test]
    public void AStepThatFailsLeavesTextsAsTheyWere()
    {
        using LanguageModel model = _models.Load("llama", new ModelOptions { ChunkSize = 16 });
        using TextGenerator text = Text(model, 10);
        var scheduler = new StepScheduler(model.Runner);
        scheduler.Admit(text);
        var results = new List<StepResult>();
        Assert.That(() => scheduler.Advance(results, new CancellationToken(true)), Throws.InstanceOf<OperationCanceledException>());
        Assert.That((text.Cache.Length, results.Count), Is.EqualTo((0, 0)));
        scheduler.Advance(results, default);
        Assert.That(results, Has.Count.EqualTo(1));
    }

    [Test]
    public void AProcessorThatFailsEndsItsTextAlone()
    {
        using LanguageModel model = _models.Load("llama");
        var failure = new InvalidOperationException("not this one");
        var options = new GenerationOptions { StopTokens = [], MaxTokens = 100, Processors = [new FailingProcessor(failure)] };
        using TextGenerator good = Text(model, 10), bad = new(model.CreateCache(), ownsCache: true, Prompt[..5], options, tokenizer: null, []);
        var scheduler = new StepScheduler(model.Runner);
        scheduler.Admit(bad);
        scheduler.Admit(good);
        var results = new List<StepResult>();
        scheduler.Advance(results, default);
        Assert.That(results.Select(result => (result.Text, result.Text.Failure)), Is.EqualTo(((TextGenerator, Exception?)[])[(bad, failure), (good, null)]));
        Assert.That(scheduler.Count, Is.EqualTo(1));
        scheduler.Advance(results, default);
        Assert.That(results[^1].Token, Is.Not.Null);
        Assert.That(() => model.Generate(Prompt[..5], options).Count(), Throws.Exception.SameAs(failure), "a single text throws");
    }

    [Test]
    public async Task PromptsTakeTurnsChunkByChunkAndWaitingCanBeCancelled()
    {
        using LanguageModel model = _models.Load("llama", new ModelOptions { ChunkSize = 16 });
        using var gate = new GatedProducts.Gate();
        model.Runner.Decorate(products => new GatedProducts(products, gate));
        using KeyValueCache longText = model.CreateCache(), shortText = model.CreateCache(), givenUp = model.CreateCache();
        gate.Close();
        Task reading = Task.Run(() => model.Forward(Prompt.AsSpan(0, 64), longText, default));
        gate.WaitUntilReached();
        using var source = new CancellationTokenSource();
        Task cancelled = Task.Run(() => model.Forward([1, 2, 3], givenUp, default, source.Token));
        SpinWait.SpinUntil(() => model.Runner.Waiting == 1);
        Task waiting = Task.Run(() => model.Forward([5], shortText, default));
        SpinWait.SpinUntil(() => model.Runner.Waiting == 2);

        // The other's chunk has not ended: it cannot, before the gate opens.
        await source.CancelAsync().ConfigureAwait(false);
        Assert.That(async () => await cancelled.ConfigureAwait(false), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(reading.IsCompleted, Is.False);
        gate.Open();
        await Task.WhenAll(reading, waiting).ConfigureAwait(false);
        Assert.That(gate.Steps, Is.EqualTo((int[])[16, 1, 16, 16, 16]));
        Assert.That((longText.Length, shortText.Length, givenUp.Length), Is.EqualTo((64, 1, 0)));
    }

    [Test]
    public void ATurnThatComesToSomebodyWhoGaveUpGoesOn()
    {
        var turns = new TurnQueue();
        turns.Take(default);
        using var source = new CancellationTokenSource();
        Task first = Task.Run(() => turns.Take(source.Token));
        SpinWait.SpinUntil(() => turns.Waiting == 1);
        Task second = Task.Run(() => turns.Take(default));
        SpinWait.SpinUntil(() => turns.Waiting == 2);
        source.Cancel();
        Assert.That(() => first.GetAwaiter().GetResult(), Throws.InstanceOf<OperationCanceledException>());
        turns.Pass();
        second.GetAwaiter().GetResult();
        turns.Pass();
        turns.Take(default);
        Assert.That(turns.Waiting, Is.Zero);
    }

    private static TextGenerator Text(LanguageModel model, int tokens) => new(
        model.CreateCache(), ownsCache: true, Prompt[..tokens], new GenerationOptions { StopTokens = [], MaxTokens = 100 }, tokenizer: null, []);

    private sealed class FailingProcessor(Exception failure) : LogitsProcessor
    {
        public override void Process(ReadOnlySpan<int> tokens, Span<float> logits) => throw failure;
    }
}
