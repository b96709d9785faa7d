using System.Numerics.Tensors;

namespace KQuant.Models.Tests;

/// <summary>Trained models in float32: the logits, texts and perplexities that another implementation has computed.</summary>
[TestFixtureSource(typeof(ReferenceModel), nameof(ReferenceModel.Names))]
public class ReferenceTests(string name)
{
    private ReferenceModel _reference = null!;
    private LanguageModel _model = null!;

    [OneTimeSetUp]
    public void SetUp()
    {
        _reference = new ReferenceModel(name);
        _model = LanguageModel.Load(_reference.Folder, new ModelOptions { LoadTokenizer = false });
    }

    [OneTimeTearDown]
    public void TearDown()
    {
        _reference.Dispose();
        _model.Dispose();
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
            TestContext.Out.WriteLine($"prompt {prompt}: {ids.Length} tokens, largest difference {TensorPrimitives.MaxMagnitude<float>(actual):g3}");
            Assert.That(Math.Abs(TensorPrimitives.MaxMagnitude<float>(actual)), Is.LessThan(2e-4), $"prompt {prompt}");
        }
    }
}
