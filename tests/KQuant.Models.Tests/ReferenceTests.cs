using System.Numerics.Tensors;
using KQuant.Models.Evaluation;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>
/// Trained models in float32, from every kind of file: the logits, texts and perplexities that another implementation has computed.
/// </summary>
[TestFixtureSource(nameof(Models))]
public class ReferenceTests(string name, ModelKind kind)
{
    private readonly TemporaryFolder _folder = new();
    private ReferenceModel _reference = null!;
    private LanguageModel _model = null!;

    private static IEnumerable<object[]> Models =>
        from name in ReferenceModel.Names
        from kind in Enum.GetValues<ModelKind>()
        select new object[] { name, kind };

    [OneTimeSetUp]
    public void SetUp()
    {
        _reference = new ReferenceModel(name);
        _model = LanguageModel.Load(ModelKinds.WriteFloats(name, kind, _folder), new ModelOptions { LoadTokenizer = false });
    }

    [OneTimeTearDown]
    public void TearDown()
    {
        _reference.Dispose();
        _model?.Dispose();
        _folder.Dispose();
    }

    [Test]
    public void LogitsAtEveryPosition()
    {
        for (int prompt = 0; prompt < _reference.PromptCount; prompt++)
        {
            int[] ids = _reference.Prompt(prompt);
            float[] expected = _reference.Logits(prompt);
            using KeyValueCache cache = _model.CreateCache();
            var actual = new float[expected.Length];
            _model.Forward(ids, cache, actual);
            TensorPrimitives.Subtract(actual, expected, actual);
            Assert.That(Math.Abs(TensorPrimitives.MaxMagnitude<float>(actual)), Is.LessThan(2e-4), $"prompt {prompt}");
        }
    }

    [Test]
    public void GreedyTokens()
    {
        for (int prompt = 0; prompt < _reference.PromptCount; prompt++)
        {
            int[] expected = _reference.Greedy(prompt);
            using KeyValueCache cache = _model.CreateCache();
            var logits = new float[_model.Config.VocabularySize];
            _model.Forward(_reference.Prompt(prompt), cache, logits);
            var actual = new List<int>();
            while (actual.Count < expected.Length)
            {
                actual.Add(TensorPrimitives.IndexOfMax<float>(logits));
                _model.Forward([actual[^1]], cache, logits);
            }

            Assert.That(actual, Is.EqualTo(expected), $"prompt {prompt}");
        }
    }

    [Test]
    public void PerplexityOfWindows()
    {
        int[] tokens = _reference.PerplexityTokens();
        double[] sums = _reference.WindowSums();
        const int windows = 12;
        var seen = new List<PerplexityProgress>();

        PerplexityResult result = PerplexityMeter.Measure(
            _model, tokens, new PerplexityOptions { MaxWindows = windows }, new Watcher<PerplexityProgress>(seen.Add));

        Assert.That(result.Tokens, Is.EqualTo(windows * 256));
        Assert.That(result.MeanLoss, Is.EqualTo(sums.Take(windows).Sum() / result.Tokens).Within(1e-5));
        for (int window = 0; window < windows; window++)
        {
            double sum = (Math.Log(seen[window].Perplexity) * seen[window].Tokens)
                - (window == 0 ? 0 : Math.Log(seen[window - 1].Perplexity) * seen[window - 1].Tokens);
            Assert.That(sum, Is.EqualTo(sums[window]).Within(0.02), $"window {window}");
        }
    }

    private sealed class Watcher<T>(Action<T> action) : IProgress<T>
    {
        public void Report(T value) => action(value);
    }
}
