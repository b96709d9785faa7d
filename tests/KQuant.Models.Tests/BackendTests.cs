using KQuant.Matmul;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>Models whose products are computed by a backend: the same bits as on the processor.</summary>
public class BackendTests
{
    private static readonly MatmulOptions Floats = new() { Activations = ActivationPrecision.Float32, MaxDegreeOfParallelism = 1 };

    [Test]
    public void EveryArchitectureHasTheBitsOfTheProcessor([ValueSource(typeof(RandomCheckpoint), nameof(RandomCheckpoint.Names))] string name)
    {
        using var folder = new TemporaryFolder();
        string path = RandomCheckpoint.Create(name).Write(folder["model"]);
        using var context = new MatmulContext(Floats);
        using var backend = new QueueingBackend(context);
        using var partial = new QueueingBackend(context, shape => shape.Rows != 256);
        float[] expected = Logits(path, new ModelOptions { Matmul = Floats, LoadTokenizer = false });
        float[] actual = Logits(path, new ModelOptions { Context = context, Backend = backend, LoadTokenizer = false });
        float[] some = Logits(path, new ModelOptions { Context = context, Backend = partial, LoadTokenizer = false });
        Assert.Multiple(() =>
        {
            Assert.That(Numbers.Bits(actual), Is.EqualTo(Numbers.Bits(expected)));
            Assert.That(Numbers.Bits(some), Is.EqualTo(Numbers.Bits(expected)), "when it takes only some of the weights");
            Assert.That(partial.Products, Is.InRange(1, backend.Products - 1));
            Assert.That(backend.Submissions, Is.LessThan(backend.Products), "submissions");
            Assert.That(backend.Live, Is.Zero, "weights and buffers that are left");
        });
    }

    [Test]
    public void AFailedCallLeavesNothingBehind([Values] bool whileQueueing)
    {
        using var folder = new TemporaryFolder();
        string path = RandomCheckpoint.Create("qwen2").Write(folder["model"]);
        using var context = new MatmulContext(Floats);
        using var backend = new QueueingBackend(context);
        int[] prompt = RandomCheckpoint.Prompt(4);
        float[] expected = Logits(path, new ModelOptions { Matmul = Floats, LoadTokenizer = false });
        using LanguageModel model = LanguageModel.Load(path, new ModelOptions { Context = context, Backend = backend, LoadTokenizer = false });
        using KeyValueCache cache = model.CreateCache();
        var logits = new float[prompt.Length * model.Config.VocabularySize];
        backend.ProductsToFailure = whileQueueing ? 2 : null;
        backend.Failure = new InvalidOperationException("The device is gone.");
        Assert.That(() => model.Forward([3, 5, 8, 13], cache, logits), Throws.InvalidOperationException.With.Message.EqualTo("The device is gone."));
        Assert.That(cache.Length, Is.Zero);
        model.Forward(prompt, cache, logits);
        Assert.That(Numbers.Bits(logits), Is.EqualTo(Numbers.Bits(expected.AsSpan(0, logits.Length))));
    }

    /// <summary>The logits of a text of four tokens, and of one more token.</summary>
    private static float[] Logits(string path, ModelOptions options)
    {
        int[] prompt = RandomCheckpoint.Prompt(4);
        using LanguageModel model = LanguageModel.Load(path, options);
        using KeyValueCache cache = model.CreateCache();
        int vocabulary = model.Config.VocabularySize;
        var logits = new float[(prompt.Length + 1) * vocabulary];
        model.Forward(prompt, cache, logits.AsSpan(0, prompt.Length * vocabulary));
        model.Forward([7], cache, logits.AsSpan(prompt.Length * vocabulary));
        return logits;
    }
}
