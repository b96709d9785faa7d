using KQuant.Models.Generation;
using Microsoft.Extensions.AI;

namespace KQuant.Models.Tests;

/// <summary>Texts of a trained model, as they come.</summary>
public class GenerationTests
{
    private ReferenceModel _reference = null!;
    private LanguageModel _model = null!;

    [OneTimeSetUp]
    public void SetUp()
    {
        _reference = new ReferenceModel("tiny-moe");
        _model = LanguageModel.Load(_reference.Folder);
    }

    [OneTimeTearDown]
    public void TearDown()
    {
        _reference.Dispose();
        _model.Dispose();
    }

    [Test]
    public async Task GreedyTextFromText()
    {
        var text = new System.Text.StringBuilder();
        var ids = new List<int>();
        var options = new GenerationOptions { Sampling = SamplingOptions.Greedy, MaxTokens = 64, StopTokens = [], IncludeSpecialTokens = true, TopLogProbabilities = 3 };
        await foreach (GeneratedToken token in _model.GenerateAsync(_reference.PromptText(0), options))
        {
            text.Append(token.Text);
            ids.Add(token.Id);
            Assert.That(token.Top, Has.Count.EqualTo(3));
            Assert.That(token.Top[0], Is.EqualTo(new TokenProbability { Id = token.Id, LogProbability = token.LogProbability }));
            Assert.That(token.Top, Is.Ordered.Descending.By(nameof(TokenProbability.LogProbability)));
            Assert.That(token.FinishReason, Is.EqualTo(ids.Count == 64 ? FinishReason.Length : FinishReason.None));
        }

        Assert.That(ids, Is.EqualTo(_reference.Greedy(0)));
        Assert.That(text.ToString(), Is.EqualTo(_reference.GreedyText(0)));
    }

    [Test]
    public void AStopSequenceEndsTheTextBeforeIt()
    {
        string expected = _reference.GreedyText(0);
        string stop = expected.Substring(20, 9);
        var options = new GenerationOptions { Sampling = SamplingOptions.Greedy, MaxTokens = 64, StopSequences = ["never this", stop], StopTokens = [] };
        List<GeneratedToken> tokens = [.. _model.Generate(_reference.Prompt(0), options)];
        Assert.That(string.Concat(tokens.Select(token => token.Text)), Is.EqualTo(expected[..expected.IndexOf(stop, StringComparison.Ordinal)]));
        Assert.That(tokens[^1].FinishReason, Is.EqualTo(FinishReason.StopSequence));
        Assert.That(tokens.Select(token => token.StopSequence), Is.EqualTo((string?[])[.. Enumerable.Repeat((string?)null, tokens.Count - 1), stop]));
    }

    [Test]
    public void WhatMayBeginAStopSequenceIsHeldBackAndComesLater()
    {
        var matcher = new StopMatcher(["abcd"]);
        Assert.That(matcher.Append("xxab", out _), Is.EqualTo("xx"));
        Assert.That(matcher.Append("c", out _), Is.Empty);
        Assert.That(matcher.Append("ab", out bool stopped), Is.EqualTo("abc"));
        Assert.That(stopped, Is.False);
        Assert.That(matcher.Flush(), Is.EqualTo("ab"));
    }

    [TestCase(true)]
    [TestCase(false)]
    public void WhatIsHeldBackComesBeforeTheTokenThatEndsTheText(bool showsEnd)
    {
        int end = _reference.Greedy(0).ElementAt(3);
        string expected = _model.Tokenizer.Decode([.. _reference.Greedy(0).Take(3)]), last = _model.Tokenizer.Decode([end]);
        Assert.That(_reference.Greedy(0).Take(3), Has.No.Member(end), "the reference text does not end earlier");
        var options = new GenerationOptions
        {
            Sampling = SamplingOptions.Greedy,
            MaxTokens = 9,
            StopTokens = [end],
            StopSequences = [expected[^1] + "never this"],
            IncludeSpecialTokens = showsEnd,
        };
        List<GeneratedToken> tokens = [.. _model.Generate(_reference.Prompt(0), options)];
        Assert.That(string.Concat(tokens.Select(token => token.Text)), Is.EqualTo(expected + (showsEnd ? last : "")));
        Assert.That(tokens[^1].FinishReason, Is.EqualTo(FinishReason.EndOfText));
    }

    [Test]
    public async Task ABatchGivesWhatItsTextsGiveAlone()
    {
        int[][] prompts = [.. Enumerable.Range(0, _reference.PromptCount).Select(_reference.Prompt)];
        var texts = prompts.Select(_ => new List<int>()).ToArray();
        var options = new GenerationOptions { Sampling = SamplingOptions.Greedy, MaxTokens = 16, StopTokens = [] };
        await foreach (BatchToken token in _model.GenerateBatchAsync(prompts, options))
        {
            texts[token.Text].Add(token.Token.Id);
        }

        for (int i = 0; i < prompts.Length; i++)
        {
            Assert.That(texts[i], Is.EqualTo(_reference.Greedy(i).Take(16)));
        }
    }

    [Test]
    public void PenaltiesSeeWhatTheCacheHolds([Values(1, 7, 20)] int first)
    {
        int[] prompt = [.. _reference.Prompt(0), .. _reference.Greedy(0).Take(24)];
        var options = new GenerationOptions
        {
            MaxTokens = 40,
            StopTokens = [],
            Sampling = new SamplingOptions { Temperature = 0, RepetitionPenalty = 1.8f, PenaltyContext = 64 },
        };
        int[] whole = [.. _model.Generate(prompt, options).Select(token => token.Id)];
        using KeyValueCache cache = _model.CreateCache();
        _model.Forward(prompt.AsSpan(0, first), cache, default);
        int[] rest = [.. _model.Generate(prompt[first..], options with { Cache = cache }).Select(token => token.Id)];
        Assert.That(rest, Is.EqualTo(whole));
        Assert.That(whole, Is.Not.EqualTo(_model.Generate(prompt, options with { Sampling = SamplingOptions.Greedy }).Select(token => token.Id)));
    }

    [Test]
    public void APromptLongerThanTheContextIsRefused()
    {
        Assert.That(
            () => _model.Generate(new int[_model.ContextLength + 1]).Count(),
            Throws.InstanceOf<ContextLengthException>().With.Message.Contains($"{_model.ContextLength + 1} tokens"));
        Assert.That(() => _model.Generate([]), Throws.ArgumentException);
        Assert.That(() => _model.GenerateAsync([]), Throws.ArgumentException);
        Assert.That(() => _model.GenerateAsync((IReadOnlyList<int>)null!), Throws.ArgumentNullException);
        Assert.That(() => _model.GenerateBatchAsync([[1], []]), Throws.ArgumentException);
        Assert.That(
            () => _model.GenerateAsync([1], new GenerationOptions { MaxTokens = 0 }),
            Throws.InstanceOf<ArgumentOutOfRangeException>().With.Property("ParamName").EqualTo("MaxTokens"));
        Assert.That(
            () => _model.GenerateAsync([1], new GenerationOptions { Sampling = new SamplingOptions { TopP = 1.5f } }),
            Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.StartsWith("TopP is 1.5; it lies between 0 and 1."));
    }

    [Test]
    public void AFullContextEndsTheText()
    {
        List<GeneratedToken> tokens = [.. _model.Generate(new int[_model.ContextLength - 2], new GenerationOptions { StopTokens = [] })];
        Assert.That(tokens, Has.Count.EqualTo(3));
        Assert.That(tokens[^1].FinishReason, Is.EqualTo(FinishReason.Length));
    }

    [Test]
    public void CancellingEndsIt()
    {
        using var source = new CancellationTokenSource();
        Assert.That(
            () =>
            {
                foreach (GeneratedToken token in _model.Generate(_reference.Prompt(0), cancellationToken: source.Token))
                {
                    source.Cancel();
                }
            },
            Throws.InstanceOf<OperationCanceledException>());
    }

    [Test]
    public async Task AChatClientAnswersThroughTheTemplate()
    {
        using var client = _model.AsIChatClient();
        ChatMessage[] messages = [new(ChatRole.User, "\"What do you think of Mr. Darcy?\" said Elizabeth.")];
        var options = new ChatOptions { MaxOutputTokens = 12, Temperature = 0 };
        ChatResponse response = await client.GetResponseAsync(messages, options);
        int[] prompt = _model.Tokenizer.Encode(
            "<|im_start|>user\n\"What do you think of Mr. Darcy?\" said Elizabeth.<|im_end|>\n<|im_start|>assistant\n", addSpecialTokens: false);
        GeneratedToken[] expected = [.. _model.Generate(prompt, new GenerationOptions { Sampling = SamplingOptions.Greedy, MaxTokens = 12 })];
        Assert.That(response.Text, Is.EqualTo(string.Concat(expected.Select(token => token.Text))));
        Assert.That(response.Usage!.InputTokenCount, Is.EqualTo(prompt.Length));
        Assert.That(response.Usage.OutputTokenCount, Is.EqualTo(expected.Length));
        Assert.That(client.GetService(typeof(LanguageModel)), Is.SameAs(_model));
    }

    [Test]
    public async Task FewerDimensionsAreTheFirstAtLengthOne()
    {
        using var generator = _model.AsIEmbeddingGenerator();
        float[] all = (await generator.GenerateAsync(["Mr. Darcy"]))[0].Vector.ToArray();
        float[] few = (await generator.GenerateAsync(["Mr. Darcy"], new EmbeddingGenerationOptions { Dimensions = 8 }))[0].Vector.ToArray();
        double length = Math.Sqrt(all.Take(8).Sum(value => (double)value * value));
        Assert.That(few, Is.EqualTo(all.Take(8).Select(value => (float)(value / length))).Within(1e-5));
        Assert.That(
            () => generator.GenerateAsync(["x"], new EmbeddingGenerationOptions { Dimensions = all.Length + 1 }), Throws.InstanceOf<NotSupportedException>());
        Assert.That(() => generator.GenerateAsync(["x"], new EmbeddingGenerationOptions { ModelId = "other" }), Throws.InstanceOf<NotSupportedException>());
    }

    [Test]
    public async Task EmbeddingsHaveLengthOneAndTellTextsApart()
    {
        using var generator = _model.AsIEmbeddingGenerator();
        GeneratedEmbeddings<Embedding<float>> found = await generator.GenerateAsync(["It was a dark evening.", "It was a dark evening!", "Mr. Darcy"]);
        Assert.That(found, Has.Count.EqualTo(3));
        float Cosine(int a, int b) => System.Numerics.Tensors.TensorPrimitives.Dot(found[a].Vector.Span, found[b].Vector.Span);
        Assert.That(Cosine(0, 0), Is.EqualTo(1).Within(1e-5));
        Assert.That(Cosine(0, 1), Is.GreaterThan(Cosine(0, 2)));
    }
}
