using KQuant.Models;
using KQuant.Models.Generation;
using KQuant.Models.Tests;
using KQuant.Server.Batching;
using KQuant.TestKit;

namespace KQuant.Server.Tests;

/// <summary>Texts that share steps and beginnings, and those that nobody wants any more.</summary>
public class BatchEngineTests
{
    private static readonly BatchLimits Limits = new(Texts: 4, Waiting: 8, CacheBytes: 1 << 24);

    private TemporaryFolder _folder = null!;
    private LanguageModel _model = null!;

    [OneTimeSetUp]
    public void SetUp()
    {
        _folder = new TemporaryFolder();
        TestModel.Write(_folder);
        _model = TestModel.Load(_folder, chunkSize: 24);
    }

    [OneTimeTearDown]
    public void TearDown()
    {
        _model.Dispose();
        _folder.Dispose();
    }

    [Test]
    public async Task ATextHasTheSameBitsWhateverSharesItsBatch()
    {
        var random = new Random(1);
        int[] common = Tokens(random, 60);
        BatchPrompt[] prompts =
        [
            .. Enumerable.Range(0, 16).Select(i => new BatchPrompt(
                [.. common[..random.Next(0, 60)], .. Tokens(random, random.Next(1, 40))],
                new GenerationOptions
                {
                    Sampling = new SamplingOptions { Temperature = i % 4 == 0 ? 0 : 0.9f, Seed = i, RepetitionPenalty = i % 3 == 0 ? 1.1f : 1 },
                    MaxTokens = random.Next(1, 40),
                    TopLogProbabilities = 3,
                })),
        ];
        string[] alone = [.. prompts.Select(prompt => Describe(_model.Generate(prompt.Tokens, prompt.Options)))];

        // Requests begin when those before them have come to some token, which is another step in every run.
        using var engine = new BatchEngine(_model, Limits with { Waiting = 100 });
        var together = new Task<string>[prompts.Length];
        var cached = new System.Collections.Concurrent.ConcurrentBag<int>();
        for (int i = 0; i < prompts.Length; i++)
        {
            var begun = new TaskCompletionSource();
            together[i] = ReadAsync(engine, prompts[i], random.Next(1, 8), begun, cached);
            if (i % 3 == 2)
            {
                await begun.Task;
            }
        }

        Assert.That(await Task.WhenAll(together), Is.EqualTo(alone));
        Assert.That(cached.Sum(), Is.Positive, "beginnings were shared");
        Assert.That(engine.Counters.Steps, Is.LessThan(engine.Counters.StepTexts), "steps were shared");
        Assert.That(engine.Counters.Active, Is.Zero);
    }

    [Test]
    public async Task TextsThatBeginAlikeReadTheirBeginningOnce()
    {
        int[] prompt = Tokens(new Random(2), 100);
        var options = new GenerationOptions { Sampling = SamplingOptions.Greedy, MaxTokens = 5, StopTokens = [] };
        using var engine = new BatchEngine(_model, Limits);
        using BatchRequest request = engine.Submit(Enumerable.Repeat(new BatchPrompt(prompt, options), 4).ToArray());
        int[][] texts = await CollectAsync(request);
        Assert.That(texts.Distinct(new SequenceComparer()).Count(), Is.EqualTo(1));
        Assert.That(request.Texts.Select(text => text.CachedTokens), Is.EqualTo((int[])[0, 99, 99, 99]));
    }

    [Test]
    public async Task ATextThatGoesOnFromOneThatEndedReadsOnlyWhatIsNew()
    {
        int[] prompt = Tokens(new Random(3), 50);
        var options = new GenerationOptions { Sampling = SamplingOptions.Greedy, MaxTokens = 8, StopTokens = [] };
        using var engine = new BatchEngine(_model, Limits);
        using BatchRequest first = engine.Submit(new BatchPrompt(prompt, options));
        int[] answer = (await CollectAsync(first))[0];
        using BatchRequest second = engine.Submit(new BatchPrompt([.. prompt, .. answer, 7, 8, 9], options));
        await CollectAsync(second);
        Assert.That(second.Texts[0].CachedTokens, Is.EqualTo(50 + 7), "the last token was chosen and never read");
    }

    [Test]
    public async Task IdleCachesStayWithinTheirBytes()
    {
        var options = new GenerationOptions { Sampling = SamplingOptions.Greedy, MaxTokens = 2, StopTokens = [] };
        using var engine = new BatchEngine(_model, Limits with { CacheBytes = 0 });
        int[] prompt = Tokens(new Random(4), 50);
        for (int i = 0; i < 2; i++)
        {
            using BatchRequest request = engine.Submit(new BatchPrompt(prompt, options));
            await CollectAsync(request);
            Assert.That(request.Texts[0].CachedTokens, Is.Zero);
        }
    }

    [Test]
    public async Task ATextThatNobodyWantsLeavesBeforeTheNextStep()
    {
        using LanguageModel model = TestModel.Load(_folder);
        using var gate = new GatedProducts.Gate();
        model.Runner.Decorate(products => new GatedProducts(products, gate));
        using var engine = new BatchEngine(model, Limits with { Texts = 1 });
        var options = new GenerationOptions { Sampling = SamplingOptions.Greedy, MaxTokens = 400, StopTokens = [] };
        gate.Close();
        BatchRequest unwanted = engine.Submit(new BatchPrompt([1, 2, 3], options));
        gate.WaitUntilReached();
        using BatchRequest next = engine.Submit(new BatchPrompt([4, 5, 6, 7], options with { MaxTokens = 1 }));
        Assert.That((engine.Counters.Active, engine.Counters.Waiting), Is.EqualTo((1, 1)));
        unwanted.Dispose();
        gate.Open();
        await CollectAsync(next);
        Assert.That(gate.Steps, Is.EqualTo((int[])[3, 4]), "the step that was running, and the next text in its place");
    }

    [Test]
    public void MoreThanMayWaitAreRefused()
    {
        using LanguageModel model = TestModel.Load(_folder);
        using var gate = new GatedProducts.Gate();
        model.Runner.Decorate(products => new GatedProducts(products, gate));
        using var engine = new BatchEngine(model, new BatchLimits(1, 1, 0));
        var prompt = new BatchPrompt([1, 2, 3], new GenerationOptions());
        gate.Close();
        using BatchRequest first = engine.Submit(prompt);
        gate.WaitUntilReached();
        using BatchRequest second = engine.Submit(prompt);
        Assert.That(() => engine.Submit(prompt), Throws.InstanceOf<BatchQueueFullException>());
        gate.Open();
    }

    [Test]
    public async Task ATextThatFailsFailsAlone()
    {
        using var engine = new BatchEngine(_model, Limits);
        var options = new GenerationOptions { Sampling = SamplingOptions.Greedy, MaxTokens = 20, StopTokens = [] };
        int[] prompt = Tokens(new Random(5), 10);
        using BatchRequest good = engine.Submit(new BatchPrompt(prompt, options));
        using BatchRequest bad = engine.Submit(new BatchPrompt(prompt, options with { Processors = [new FailingProcessor()] }));
        Assert.That(async () => await CollectAsync(bad), Throws.InstanceOf<NotImplementedException>());
        Assert.That((await CollectAsync(good))[0], Has.Length.EqualTo(20));
        Assert.That(engine.Counters.Active, Is.Zero);
    }

    [Test]
    public void WhatIsNotFinishedInTimeIsEndedWhenTheServerStops()
    {
        using LanguageModel model = TestModel.Load(_folder);
        using var gate = new GatedProducts.Gate();
        model.Runner.Decorate(products => new GatedProducts(products, gate));
        using var engine = new BatchEngine(model, Limits with { Texts = 1 });
        gate.Close();
        using BatchRequest running = engine.Submit(new BatchPrompt([1, 2, 3], new GenerationOptions()));
        using BatchRequest waiting = engine.Submit(new BatchPrompt([1, 2, 3], new GenerationOptions()));
        gate.WaitUntilReached();
        engine.Drain(TimeSpan.Zero);
        gate.Open();
        Assert.That(async () => await CollectAsync(running), Throws.InstanceOf<BatchStoppedException>());
        Assert.That(async () => await CollectAsync(waiting), Throws.InstanceOf<BatchStoppedException>());
        Assert.That(() => engine.Submit(new BatchPrompt([1], new GenerationOptions())), Throws.InstanceOf<BatchStoppedException>());
    }

    [Test]
    public async Task RandomAbortsLeaveNothingBehind()
    {
        var random = new Random(6);
        using var engine = new BatchEngine(_model, Limits with { Waiting = 100 });
        int[] common = Tokens(random, 40);
        Task[] clients =
        [
            .. Enumerable.Range(0, 40).Select(i =>
            {
                var prompt = new BatchPrompt([.. common[..random.Next(40)], .. Tokens(random, random.Next(1, 30))], new GenerationOptions { MaxTokens = 30, StopTokens = [] });
                return ReadAsync(engine, prompt, random.Next(0, 40), new TaskCompletionSource(), leaves: true);
            }),
        ];
        await Task.WhenAll(clients);
        using BatchRequest last = engine.Submit(new BatchPrompt(common, new GenerationOptions { MaxTokens = 1 }));
        await CollectAsync(last);
        Assert.That((engine.Counters.Active, engine.Counters.Waiting), Is.EqualTo((0, 0)));
    }

    private static int[] Tokens(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(2000))];

    /// <summary>Tokens and the bits of their probabilities.</summary>
    private static string Describe(IEnumerable<GeneratedToken> tokens) => string.Join(' ', tokens.Select(token =>
        $"{token.Id}:{BitConverter.SingleToInt32Bits(token.LogProbability):x8}:{string.Join(',', token.Top.Select(top => top.Id))}"));

    private static async Task<string> ReadAsync(BatchEngine engine, BatchPrompt prompt, int mark, TaskCompletionSource begun, System.Collections.Concurrent.ConcurrentBag<int>? cached = null, bool leaves = false)
    {
        using BatchRequest request = engine.Submit(prompt);
        var tokens = new List<GeneratedToken>();
        await foreach (BatchToken token in request.ReadAsync(Timeout.InfiniteTimeSpan, null, default))
        {
            if (tokens.Count == mark)
            {
                begun.TrySetResult();
                if (leaves)
                {
                    break;
                }
            }

            tokens.Add(token.Token);
        }

        begun.TrySetResult();
        cached?.Add(request.Texts[0].CachedTokens);
        return Describe(tokens);
    }

    private static async Task<int[][]> CollectAsync(BatchRequest request)
    {
        List<int>[] texts = [.. request.Texts.Select(_ => new List<int>())];
        await foreach (BatchToken token in request.ReadAsync(Timeout.InfiniteTimeSpan, null, default))
        {
            texts[token.Text].Add(token.Token.Id);
        }

        return [.. texts.Select(text => text.ToArray())];
    }

    private sealed class FailingProcessor : LogitsProcessor
    {
        private int _left = 5;

        public override void Process(ReadOnlySpan<int> tokens, Span<float> logits)
        {
            if (--_left == 0)
            {
                throw new NotImplementedException();
            }
        }
    }

    private sealed class SequenceComparer : IEqualityComparer<int[]>
    {
        public bool Equals(int[]? x, int[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode(int[] obj) => obj.Length;
    }
}
