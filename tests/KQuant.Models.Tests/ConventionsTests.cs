using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.Models.Export;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>Where Hugging Face and llama.cpp disagree about a checkpoint, each kind of file follows its own, and an option changes that.</summary>
public class ConventionsTests
{
    private const int Window = 8;

    private TemporaryFolder _folder = null!;
    private string _checkpoint = "", _gguf = "";

    [OneTimeSetUp]
    public void SetUp()
    {
        _folder = new TemporaryFolder();
        var checkpoint = RandomCheckpoint.Create("mistral");
        checkpoint.Config["sliding_window"] = Window;
        _checkpoint = checkpoint.Write(_folder["mistral"]);
        using var export = GgufExport.Create(ModelFolder.Open(_checkpoint));
        _gguf = _folder["mistral.gguf"];
        ModelConverter.Convert(QuantizationPlan.Dequantize(export, QuantCodec.Get(QuantFormat.F32), allFloats: true), _gguf);
    }

    [OneTimeTearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase(false, ModelConventions.FromFile, true)]
    [TestCase(false, ModelConventions.HuggingFace, true)]
    [TestCase(false, ModelConventions.LlamaCpp, false)]
    [TestCase(true, ModelConventions.FromFile, false)]
    [TestCase(true, ModelConventions.LlamaCpp, false)]
    public void MistralsWindow(bool isGguf, ModelConventions conventions, bool slides)
    {
        using ModelSource source = ModelSource.Open(isGguf ? _gguf : _checkpoint);
        var config = ModelConfig.Read(source, conventions);
        Assert.That(Enumerable.Range(0, config.LayerCount).Select(config.GetWindow), Is.All.EqualTo(slides ? Window : 0));
    }

    [Test]
    public void TheWindowIsWhatIsComputed()
    {
        int[] prompt = RandomCheckpoint.Prompt(3 * Window);
        float[] windowed = Last(_checkpoint, ModelConventions.FromFile, prompt), full = Last(_checkpoint, ModelConventions.LlamaCpp, prompt);
        float[] gguf = Last(_gguf, ModelConventions.FromFile, prompt);
        Assert.Multiple(() =>
        {
            Assert.That(gguf, Is.EqualTo(full).Within(1e-4));
            Assert.That(Difference(full, windowed), Is.GreaterThan(1e-2), "beyond the window");
            Assert.That(
                Last(_checkpoint, ModelConventions.FromFile, prompt[..Window]),
                Is.EqualTo(Last(_checkpoint, ModelConventions.LlamaCpp, prompt[..Window])).Within(1e-4),
                "within it");
        });
    }

    private static double Difference(float[] a, float[] b) => a.Zip(b, (x, y) => (double)Math.Abs(x - y)).Max();

    private static float[] Last(string path, ModelConventions conventions, int[] prompt)
    {
        using LanguageModel model = LanguageModel.Load(path, new ModelOptions { LoadTokenizer = false, Conventions = conventions });
        using KeyValueCache cache = model.CreateCache();
        var logits = new float[model.Config.VocabularySize];
        model.Forward(prompt, cache, logits);
        return logits;
    }
}
