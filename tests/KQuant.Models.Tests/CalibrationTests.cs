using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Models.Calibration;
using KQuant.Models.Products;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>Importance gathered from a text: what products see, in chunks, with everything that can interrupt it.</summary>
public class CalibrationTests
{
    private const int Chunk = 16;

    private static readonly int[] Text = [.. Enumerable.Range(0, 7).SelectMany(i => RandomCheckpoint.Prompt(11 + i))];

    private readonly RandomModels _models = new();

    [OneTimeTearDown]
    public void TearDown() => _models.Dispose();

    [Test]
    public void TheMomentsAreThoseOfTheProducts([Values("llama", "qwen3-moe", "phi3")] string name)
    {
        using LanguageModel model = _models.Load(name), other = _models.Load(name);
        var options = new CalibrationOptions { ChunkLength = Chunk, FirstToken = 1, Dataset = "text" };
        using var calibrator = new ImportanceCalibrator(model, options);
        calibrator.Run(Text);
        int chunks = Text.Length / Chunk;
        Assert.That(calibrator.ChunkCount, Is.EqualTo(chunks));
        using ImportanceMatrix matrix = calibrator.ToMatrix();

        var sums = new InputSums();
        other.Runner.Decorate(products => new ObservedProducts(products, sums));
        using KeyValueCache cache = other.CreateCache();
        for (int chunk = 0; chunk < chunks; chunk++)
        {
            int[] tokens = Text[(chunk * Chunk)..((chunk + 1) * Chunk)];
            tokens[0] = 1;
            cache.Clear();
            other.Forward(tokens, cache, new float[Chunk * other.Config.VocabularySize]);
        }

        TensorNames names = ModelTensorNames.For(model.Config.Architecture);
        Assert.That(matrix.Entries.Select(entry => entry.Name), Is.EquivalentTo(sums.StoredNames.Values.Distinct().Select(GgufName)));
        Assert.That(matrix.Entries.Select(entry => entry.Name), Has.Some.EqualTo(model.Config.TiesEmbedding ? "token_embd.weight" : "output.weight"));
        foreach ((string weight, (double[][] squares, long[] rows)) in sums.ByName)
        {
            Assert.That(matrix.TryGet(GgufName(sums.StoredNames[weight]), out ImportanceEntry? entry), weight);
            Assert.That(entry!.GetCounts(), Is.EqualTo(rows), weight);
            float[] expected =
                [.. squares.SelectMany((values, i) => values.Select(value => rows[i] > 0 ? (float)((float)value / (float)rows[i]) : 1))];
            Assert.That(entry.GetImportance(), Is.EqualTo(expected).Within(1e-4).Percent, weight);
            Assert.That(entry.HasInputSums);
        }

        string GgufName(string checkpoint) => names.TryToGguf(checkpoint, out string? gguf) ? gguf : checkpoint;
    }

    [Test]
    public void AResumedCalibrationHasTheBitsOfOneThatWasNeverInterrupted()
    {
        using var folder = new TemporaryFolder();
        var options = new CalibrationOptions { ChunkLength = Chunk, CoverageFloor = 0.8 };
        byte[] whole = Calibrate(options, null);
        using var source = new CancellationTokenSource();
        using (LanguageModel model = _models.Load("qwen3-moe"))
        using (var first = new ImportanceCalibrator(model, options))
        {
            Assert.That(() => first.Run(Text, new After(3, source), source.Token), Throws.InstanceOf<OperationCanceledException>());
            Assert.That(first.ChunkCount, Is.EqualTo(3));
            first.Save(folder["state"], Text);
        }

        Assert.That(Calibrate(options, folder["state"]), Is.EqualTo(whole));

        using LanguageModel again = _models.Load("qwen3-moe");
        using var other = new ImportanceCalibrator(again, options with { ChunkLength = 8 });
        Assert.That(() => other.Resume(folder["state"], Text), Throws.InstanceOf<ModelFormatException>().With.Message.Contains("the calibration is another one"));

        byte[] Calibrate(CalibrationOptions settings, string? state)
        {
            using LanguageModel model = _models.Load("qwen3-moe");
            using var calibrator = new ImportanceCalibrator(model, settings);
            if (state is not null)
            {
                calibrator.Resume(state, Text);
            }

            calibrator.Run(Text);
            using ImportanceMatrix matrix = calibrator.ToMatrix();
            matrix.Write(folder["out"], ImportanceFormat.Gguf);
            return File.ReadAllBytes(folder["out"]);
        }
    }

    [Test]
    public void AFloorBringsTokensToExpertsThatAreRarelyChosen([Values("qwen3-moe", "qwen2-moe", "gpt-oss", "granite-moe")] string name)
    {
        using LanguageModel model = _models.Load(name);
        long[] Least(double floor)
        {
            using var calibrator = new ImportanceCalibrator(model, new CalibrationOptions { ChunkLength = Chunk, CoverageFloor = floor });
            calibrator.Run(Text);
            return [.. calibrator.Coverage.Select(stack => stack.Least)];
        }

        long even = Text.Length / Chunk * Chunk * 2 / 4;
        Assert.That(Least(0).Min(), Is.LessThan(0.9 * even));
        Assert.That(Least(0.9), Is.All.GreaterThanOrEqualTo(0.9 * even));
    }

    [Test]
    public void PartsOfATextMergeToTheWhole()
    {
        using LanguageModel model = _models.Load("qwen3-moe");
        ImportanceMatrix Part(int from, int to)
        {
            using var calibrator = new ImportanceCalibrator(model, new CalibrationOptions { ChunkLength = Chunk });
            calibrator.Run(Text.AsSpan(from * Chunk, (to - from) * Chunk));
            return calibrator.ToMatrix();
        }

        using ImportanceMatrix whole = Part(0, 5), merged = ImportanceMatrix.Merge([Part(0, 2), Part(2, 5)]);
        Assert.That(merged.ChunkCount, Is.EqualTo(5));
        foreach (ImportanceEntry entry in whole.Entries)
        {
            Assert.That(merged.TryGet(entry.Name, out ImportanceEntry? both));
            Assert.That(both!.GetCounts(), Is.EqualTo(entry.GetCounts()));
            Assert.That(both.GetImportance(), Is.EqualTo(entry.GetImportance()).Within(1e-4).Percent);
            Assert.That(both.GetInputMeans(), Is.EqualTo(entry.GetInputMeans()).Within(1e-5));
        }
    }

    [Test]
    public void APriorPullsExpertsWithoutInputsToTheAverage()
    {
        var entry = new ImportanceEntry("w", [8, 0, 0, 0], [2, 0], [1, 1, 0, 0]);
        ImportanceEntry weighed = entry.WithPrior(2);
        Assert.That(weighed.GetImportance(), Is.EqualTo((float[])[(8 + 4) / 4f, 4 / 4f, 2, 2]).Within(1e-6));
    }

    [Test]
    public void LossesAreMeasuredForEveryWeight()
    {
        using LanguageModel model = _models.Load("qwen3-moe");
        using var calibrator = new ImportanceCalibrator(model, new CalibrationOptions { ChunkLength = Chunk });
        calibrator.Run(Text);
        using (ImportanceMatrix before = calibrator.ToMatrix())
        {
            calibrator.MeasureLosses(Text, 2 * Chunk);
            using ImportanceMatrix after = calibrator.ToMatrix();
            foreach (ImportanceEntry entry in after.Entries)
            {
                Assert.That(entry.LossPerError, entry.Name.Contains("gate_inp", StringComparison.Ordinal) ? Is.Null : Is.GreaterThan(0), entry.Name);
                Assert.That(before.TryGet(entry.Name, out ImportanceEntry? same) && same.GetImportance().SequenceEqual(entry.GetImportance()), "measuring counts nothing");
            }
        }

        using KeyValueCache cache = model.CreateCache();
        float[] touched = RandomModels.Logits(model, cache, Text.AsSpan(0, 5));
        using LanguageModel untouched = _models.Load("qwen3-moe");
        using KeyValueCache other = untouched.CreateCache();
        Assert.That(touched, Is.EqualTo(RandomModels.Logits(untouched, other, Text.AsSpan(0, 5))));
    }

    [Test]
    public void ATextShorterThanAChunkIsAnError()
    {
        using LanguageModel model = _models.Load("llama");
        using var calibrator = new ImportanceCalibrator(model, new CalibrationOptions { ChunkLength = 64 });
        Assert.That(() => calibrator.Run(Text.AsSpan(0, 63)), Throws.ArgumentException.With.Message.StartsWith("The text has 63 tokens, less than a chunk of 64."));
        Assert.That(ImportanceCalibrator.CountChunks(63, new CalibrationOptions { ChunkLength = 64, KeepsRest = true }), Is.EqualTo(1));
        Assert.That(ImportanceCalibrator.CountChunks(95, new CalibrationOptions { ChunkLength = 64, KeepsRest = true }), Is.EqualTo(1));
        Assert.That(ImportanceCalibrator.CountChunks(96, new CalibrationOptions { ChunkLength = 64, KeepsRest = true }), Is.EqualTo(2));
    }

    private sealed class After(int chunks, CancellationTokenSource source) : IProgress<CalibrationProgress>
    {
        public void Report(CalibrationProgress value)
        {
            if (value.Chunks == chunks)
            {
                source.Cancel();
            }
        }
    }
}
