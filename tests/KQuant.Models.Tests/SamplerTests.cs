using KQuant.Models.Generation;

namespace KQuant.Models.Tests;

/// <summary>What may be drawn, and how often.</summary>
public class SamplerTests
{
    // Probabilities 0.4, 0.3, 0.2, 0.1 in another order.
    private static readonly float[] Logits = [MathF.Log(0.2f), MathF.Log(0.4f), MathF.Log(0.1f), MathF.Log(0.3f)];

    private static IEnumerable<TestCaseData> Filters =>
    [
        Case("all", new SamplingOptions(), [0.2, 0.4, 0.1, 0.3]),
        Case("cold", new SamplingOptions { Temperature = 0.5f }, [0.04 / 0.3, 0.16 / 0.3, 0.01 / 0.3, 0.09 / 0.3]),
        Case("top-k 2", new SamplingOptions { TopK = 2 }, [0, 4 / 7.0, 0, 3 / 7.0]),
        Case("top-p 0.65", new SamplingOptions { TopP = 0.65f }, [0, 4 / 7.0, 0, 3 / 7.0]),
        Case("top-p 0.75", new SamplingOptions { TopP = 0.75f }, [2 / 9.0, 4 / 9.0, 0, 3 / 9.0]),
        Case("top-p 1 keeps all", new SamplingOptions { TopP = 1 }, [0.2, 0.4, 0.1, 0.3]),
        Case("min-p 0.6", new SamplingOptions { MinP = 0.6f }, [0, 4 / 7.0, 0, 3 / 7.0]),
        Case("min-p before top-k", new SamplingOptions { MinP = 0.3f, TopK = 3 }, [2 / 9.0, 4 / 9.0, 0, 3 / 9.0]),
        Case("xtc", new SamplingOptions { XtcProbability = 1, XtcThreshold = 0.15f }, [2 / 3.0, 0, 1 / 3.0, 0]),
        Case("xtc with an exception", new SamplingOptions { XtcProbability = 1, XtcThreshold = 0.15f, XtcExceptions = [1] }, [2 / 7.0, 4 / 7.0, 1 / 7.0, 0]),
        Case("bias", new SamplingOptions { LogitBias = new Dictionary<int, float> { [1] = -1000 } }, [2 / 6.0, 0, 1 / 6.0, 3 / 6.0]),
    ];

    [TestCaseSource(nameof(Filters))]
    public void Frequencies(SamplingOptions options, double[] expected)
    {
        var sampler = new Sampler(options with { Temperature = options.Temperature == 0 ? 1 : options.Temperature, Seed = 12 });
        const int draws = 20_000;
        var counts = new double[4];
        for (int i = 0; i < draws; i++)
        {
            counts[sampler.Sample([.. Logits], [])]++;
        }

        for (int token = 0; token < 4; token++)
        {
            Assert.That(counts[token] / draws, Is.EqualTo(expected[token]).Within(expected[token] == 0 ? 0 : 0.015), $"token {token}");
        }
    }

    [Test]
    public void TheSameSeedDrawsTheSame()
    {
        var options = new SamplingOptions { Temperature = 1, Seed = 5 };
        Sampler one = new(options), other = new(options);
        for (int i = 0; i < 100; i++)
        {
            Assert.That(one.Sample([.. Logits], []), Is.EqualTo(other.Sample([.. Logits], [])));
        }
    }

    [Test]
    public void PenaltiesChangeLogitsOfRecentTokens()
    {
        float[] logits = [2, -2, 1, 1];
        var sampler = new Sampler(new SamplingOptions { RepetitionPenalty = 2, PresencePenalty = 0.5f, FrequencyPenalty = 0.25f, PenaltyContext = 3 });
        sampler.Sample(logits, [3, 0, 1, 0]);
        Assert.That(logits, Is.EqualTo(new[] { 1 - 0.5f - 0.5f, -4 - 0.5f - 0.25f, 1, 1 }));
    }

    [Test]
    public void APenaltyOfTheWholeTextTakesTokensOnce()
    {
        int[] history = [.. Enumerable.Range(0, 100_000).Select(i => i < 99_990 ? 0 : 2)];
        var sampler = new Sampler(new SamplingOptions { RepetitionPenalty = 2, PenaltyContext = int.MaxValue });
        for (int turn = 0; turn < 2; turn++)
        {
            float[] logits = [2, 1, -1, 1];
            sampler.Sample(logits, history);
            Assert.That(logits, Is.EqualTo(new float[] { 1, 1, -2, 1 }));
        }
    }

    [Test]
    public void LogProbabilitiesAddUpToOne()
    {
        var sampler = new Sampler(new SamplingOptions { Temperature = 0.3f, TopK = 1, Seed = 1 });
        Assert.That(sampler.Sample([.. Logits], []), Is.EqualTo(1));
        Assert.That(MathF.Exp(sampler.LogProbabilities[1]), Is.EqualTo(0.4f).Within(1e-5));
    }

    [Test]
    public void NonsenseIsRefused()
    {
        Assert.That(() => new Sampler(new SamplingOptions { TopP = 1.5f }), Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.Contains("1.5"));
        Assert.That(() => new Sampler(new SamplingOptions { Temperature = float.NaN }), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => new Sampler(new SamplingOptions()).Sample([float.NaN, 1], []), Throws.InstanceOf<ArithmeticException>());
    }

    private static TestCaseData Case(string name, SamplingOptions options, double[] expected) => new TestCaseData(options, expected).SetArgDisplayNames(name);
}
