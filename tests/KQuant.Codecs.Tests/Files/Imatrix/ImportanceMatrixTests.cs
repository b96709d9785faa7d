using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>The three file formats: what they mean, that they come back byte for byte, and that they turn into each other.</summary>
public class ImportanceMatrixTests
{
    private const string Down = "blk.0.ffn_down.weight";
    private const string Experts = "blk.1.ffn_up_exps.weight";

    [Test]
    public void TheOlderFormOfLlamaCppHasMeansTimesCalls()
    {
        using var folder = new TemporaryFolder();
        byte[] bytes = ImatrixBytes.Legacy([(Down, 4, [4, 8, 0]), ("output.weight", 0, [2, 3])], 17, "wiki.txt");
        using ImportanceMatrix matrix = ImportanceMatrix.Open(folder.Write("any.name", bytes));

        Assert.That(matrix.Format, Is.EqualTo(ImportanceFormat.Legacy));
        Assert.That(matrix.Entries.Select(entry => entry.Name), Is.EqualTo((string[])[Down, "output.weight"]));
        Assert.That((matrix.ChunkCount, matrix.Datasets), Is.EqualTo((17, (string[])["wiki.txt"])));
        Assert.That(matrix.Entries[0].GetImportance(), Is.EqualTo((float[])[1, 2, 0]));
        Assert.That(matrix.Entries[0].GetCounts(), Is.EqualTo((long[])[4]));
        Assert.That(matrix.Entries[1].GetImportance(), Is.EqualTo((float[])[2, 3]), "without calls nothing is divided");
    }

    [Test]
    public void TheFormOfMlxKQuantHasMeansAndNoEnd()
    {
        using var folder = new TemporaryFolder();
        byte[] bytes = ImatrixBytes.Legacy([("model.layers.0.mlp.down_proj.weight", 512, [0.25f, 0.5f])]);
        using ImportanceMatrix matrix = ImportanceMatrix.Open(folder.Write("imatrix.gguf", bytes));

        Assert.That(matrix.Format, Is.EqualTo(ImportanceFormat.LegacyMeans), "told by the content, not the name");
        Assert.That(matrix.Entries[0].GetImportance(), Is.EqualTo((float[])[0.25f, 0.5f]));
        Assert.That((matrix.ChunkCount, matrix.Datasets.Count), Is.EqualTo((0, 0)));
    }

    [Test]
    public void AnEndMayBeTheNumberOfChunksAlone()
    {
        using var folder = new TemporaryFolder();
        byte[] bytes = [.. ImatrixBytes.Legacy([(Down, 2, [4, 6])]), .. BitConverter.GetBytes(9)];
        using ImportanceMatrix matrix = ImportanceMatrix.Open(folder.Write("old.dat", bytes));

        Assert.That((matrix.Format, matrix.ChunkCount), Is.EqualTo((ImportanceFormat.Legacy, 9)));
        Assert.That(matrix.Entries[0].GetImportance(), Is.EqualTo((float[])[2, 3]));
    }

    [Test]
    public void TheGgufFormHasSumsAndCountsOfEachExpert()
    {
        using var folder = new TemporaryFolder();
        byte[] bytes = ImatrixBytes.Gguf(
            3, 512, ["a.txt", "b.txt"], (Down, [6, 9], [3]), (Experts, [2, 4, 6, 8, 0, 0], [2, 4, 0]));
        using ImportanceMatrix matrix = ImportanceMatrix.Open(folder.Write("imatrix.dat", bytes));

        Assert.That(matrix.Format, Is.EqualTo(ImportanceFormat.Gguf), "told by the content, not the name");
        Assert.That((matrix.ChunkCount, matrix.ChunkSize, matrix.Datasets), Is.EqualTo((3, 512, (string[])["a.txt", "b.txt"])));
        Assert.That(matrix.Entries[0].GetImportance(), Is.EqualTo((float[])[2, 3]));
        Assert.That(matrix.TryGet(Experts, out ImportanceEntry? experts));
        Assert.That((experts!.ExpertCount, experts.ValueCount), Is.EqualTo((3, 6)));
        Assert.That(experts.GetCounts(), Is.EqualTo((long[])[2, 4, 0]));
        Assert.That(experts.GetImportance(), Is.EqualTo((float[])[1, 2, 1.5f, 2, 1, 1]), "an expert without inputs is neutral");
        Assert.That(experts.GetImportance(QuantShape.Stack(3, 99, 2)), Has.Length.EqualTo(6));
    }

    [Test]
    public void SumsWithoutCountsStandAsTheyAre()
    {
        using var folder = new TemporaryFolder();
        byte[] bytes = new GgufBytes().Tensor("w.in_sum2", 5, 7).Tensor("w.in_sum", 1, 1).ToArray();
        using ImportanceMatrix matrix = ImportanceMatrix.Open(folder.Write("x.gguf", bytes));
        Assert.That(matrix.Entries, Has.Count.EqualTo(1));
        Assert.That(matrix.Entries[0].GetImportance(), Is.EqualTo((float[])[5, 7]));
    }

    [Test]
    public void EveryFormatComesBackByteForByte()
    {
        float[] odd = [.. Enumerable.Range(0, 96).Select(i => MathF.Exp(i / 10f) / 7)];
        byte[][] files =
        [
            ImatrixBytes.Legacy([("b", 3, odd), ("a", 7, odd[..5])], 17, "wiki.txt"),
            ImatrixBytes.Legacy([("b", 3, odd), ("a", 7, odd[..5])]),
            ImatrixBytes.Gguf(3, 512, ["a.txt"], (Down, odd, [3]), (Experts, odd, [2, 4, 0])),
            ImatrixBytes.Gguf(3, 512, [], (Down, odd, [3])),
        ];
        using var folder = new TemporaryFolder();
        foreach (byte[] file in files)
        {
            using ImportanceMatrix matrix = ImportanceMatrix.Open(folder.Write("in", file));
            matrix.Write(folder["out"], matrix.Format!.Value);
            Assert.That(File.ReadAllBytes(folder["out"]), Is.EqualTo(file));
        }
    }

    [Test]
    public void TheOlderFormIsWrittenAsLlamaCppDoes()
    {
        using var folder = new TemporaryFolder();
        byte[] bytes = ImatrixBytes.Gguf(
            3, 512, ["first.txt", "last.txt"], (Down, [1000, 10], [1000]), (Experts, [30, 60, 0, 0], [300, 0]), ("unused", [0, 0], [0]));
        using ImportanceMatrix matrix = ImportanceMatrix.Open(folder.Write("in", bytes));
        matrix.Write(folder["out"], ImportanceFormat.Legacy);

        // Calls are chunks, rounded up; an expert without inputs gets ones, an entry without any is left out; the last data set is kept.
        byte[] expected = ImatrixBytes.Legacy(
            [(Down, 2, [1000f / 1000 * 2, 10f / 1000 * 2]), (Experts, 1, [30f / 300 * 1, 60f / 300 * 1, 1, 1])], 3, "last.txt");
        Assert.That(File.ReadAllBytes(folder["out"]), Is.EqualTo(expected));
    }

    [TestCase(ImportanceFormat.Gguf)]
    [TestCase(ImportanceFormat.Legacy)]
    [TestCase(ImportanceFormat.LegacyMeans)]
    public void EveryFormatTurnsIntoEveryOther(ImportanceFormat from)
    {
        float[] values = [.. Enumerable.Range(1, 24).Select(i => i * 1.37f)];
        using var folder = new TemporaryFolder();
        using var made = new ImportanceMatrix { ChunkCount = 5, ChunkSize = 16, Datasets = ["x"] };
        made.Add(new ImportanceEntry(Down, values, [80]));
        made.Add(new ImportanceEntry(Experts, values, [60, 0, 20]));
        made.Write(folder["from"], from);
        foreach (ImportanceFormat to in Enum.GetValues<ImportanceFormat>())
        {
            using ImportanceMatrix first = ImportanceMatrix.Open(folder["from"]);
            first.Write(folder["to"], to);
            using ImportanceMatrix second = ImportanceMatrix.Open(folder["to"]);
            Assert.That(second.Format, Is.EqualTo(to));
            foreach (ImportanceEntry entry in made.Entries)
            {
                Assert.That(second.TryGet(entry.Name, out ImportanceEntry? back));
                Assert.That(back!.GetImportance(), Is.EqualTo(entry.GetImportance()).Using<float, float>(
                    (a, b) => MathF.Abs(a - b) <= 1e-6f * b), $"{from} to {to}");
            }
        }
    }

    [Test]
    public void EntriesAreFoundUnderTheNamesOfBothSides()
    {
        using var folder = new TemporaryFolder();
        var names = new TensorNames(
            "moe",
            [
                new("blk.#.attn_q", "model.layers.#.self_attn.q_proj"),
                new("blk.#.ffn_down_exps", "model.layers.#.mlp.switch_mlp.down_proj"),
            ],
            [new("blk.#.ffn_down_exps", "model.layers.#.mlp.experts.#.down_proj")]);
        using ImportanceMatrix gguf = ImportanceMatrix.Open(folder.Write("gguf", ImatrixBytes.Legacy(
            [("blk.3.attn_q.weight", 1, [1]), ("blk.3.ffn_down_exps.weight", 1, [2]), ("custom", 1, [3])])));
        using ImportanceMatrix checkpoint = ImportanceMatrix.Open(folder.Write("checkpoint", ImatrixBytes.Legacy(
        [
            ("model.layers.3.self_attn.q_proj.weight", 1, [1]), ("model.layers.3.mlp.switch_mlp.down_proj.weight", 1, [2]),
            ("custom", 1, [3]),
        ])));
        foreach (ImportanceMatrix matrix in new[] { gguf, checkpoint })
        {
            AssertFinds(matrix, "blk.3.attn_q.weight", 1);
            AssertFinds(matrix, "model.layers.3.self_attn.q_proj.weight", 1);
            AssertFinds(matrix, "language_model.model.layers.3.self_attn.q_proj.weight", 1);
            AssertFinds(matrix, "blk.3.ffn_down_exps.weight", 2);
            AssertFinds(matrix, "model.layers.3.mlp.switch_mlp.down_proj.weight", 2);
            AssertFinds(matrix, "model.layers.3.mlp.experts.5.down_proj.weight", 2);
            AssertFinds(matrix, "custom", 3);
            Assert.That(matrix.TryGet("blk.4.attn_q.weight", names, out _), Is.False);
        }

        void AssertFinds(ImportanceMatrix matrix, string name, float value) =>
            Assert.That(matrix.TryGet(name, names, out ImportanceEntry? entry) ? entry.GetImportance()[0] : 0, Is.EqualTo(value), name);
    }

    [Test]
    public void EntriesAreRenamedOnTheWay()
    {
        using var folder = new TemporaryFolder();
        var names = new TensorNames("dense", [new("blk.#.ffn_gate", "model.layers.#.mlp.gate_proj")], []);
        using var matrix = new ImportanceMatrix();
        matrix.Add(new ImportanceEntry("model.layers.2.mlp.gate_proj.weight", [1, 2], [1]));
        matrix.Write(folder["out"], ImportanceFormat.Gguf, name => names.TryToGguf(name, out string? gguf) ? gguf : name);

        using ImportanceMatrix back = ImportanceMatrix.Open(folder["out"]);
        Assert.That(back.Entries[0].Name, Is.EqualTo("blk.2.ffn_gate.weight"));
    }

    [Test]
    public void ValuesFitOneRowOrOneForEachExpert()
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("x", ImatrixBytes.Legacy([("w", 1, [1, 2, 3, 4, 5, 6])]));
        using ImportanceMatrix matrix = ImportanceMatrix.Open(path);
        ImportanceEntry entry = matrix.Entries[0];

        Assert.That(entry.Fits(new QuantShape(10, 6)));
        Assert.That(entry.Fits(QuantShape.Stack(4, 10, 6)), "one row for all experts");
        Assert.That(entry.Fits(QuantShape.Stack(3, 10, 2)));
        Assert.That(entry.Fits(new QuantShape(10, 2)), Is.False);
        Assert.That(
            () => entry.GetImportance(new QuantShape(10, 2)),
            Throws.TypeOf<ModelFormatException>()
                .With.Message.EqualTo($"{path}, tensor 'w': there are 6 values for a weight of shape [10, 2]"));
    }

    [TestCase(-1f)]
    [TestCase(float.NaN)]
    [TestCase(float.PositiveInfinity)]
    public void AValueThatMakesNoSenseIsRefusedWhenRead(float value)
    {
        using var folder = new TemporaryFolder();
        using ImportanceMatrix legacy = ImportanceMatrix.Open(folder.Write("a", ImatrixBytes.Legacy([("w", 1, [1, value])])));
        using ImportanceMatrix sums = ImportanceMatrix.Open(folder.Write("b", ImatrixBytes.Gguf(1, 1, [], ("w", [1, value], [1]))));
        using ImportanceMatrix counts = ImportanceMatrix.Open(folder.Write("c", ImatrixBytes.Gguf(1, 1, [], ("w", [1, 1], [value]))));

        Assert.That(
            () => legacy.Entries[0].GetImportance(),
            Throws.TypeOf<ModelFormatException>().With.Message.Contains($"tensor 'w': value 1 is {value}"));
        Assert.That(
            () => sums.Entries[0].GetImportance(),
            Throws.TypeOf<ModelFormatException>().With.Message.Contains($"value 1 is {value}"));
        Assert.That(
            () => counts.Entries[0].GetImportance(),
            Throws.TypeOf<ModelFormatException>().With.Message.Contains($"a count is {value}"));
        Assert.That(() => legacy.Write(folder["d"], ImportanceFormat.Gguf), Throws.TypeOf<ModelFormatException>());
        Assert.That(File.Exists(folder["d"]), Is.False);
    }

    [Test]
    public void NothingIsReadAfterTheMatrixIsDisposed()
    {
        using var folder = new TemporaryFolder();
        ImportanceMatrix legacy = ImportanceMatrix.Open(folder.Write("a", ImatrixBytes.Legacy([("w", 1, [1])])));
        ImportanceMatrix gguf = ImportanceMatrix.Open(folder.Write("b", ImatrixBytes.Gguf(1, 1, [], ("w", [1], [1]))));
        legacy.Dispose();
        gguf.Dispose();
        Assert.That(() => legacy.Entries[0].GetImportance(), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => gguf.Entries[0].GetImportance(), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void EntriesThatCannotBeAreRefused()
    {
        using var matrix = new ImportanceMatrix();
        matrix.Add(new ImportanceEntry("w", [1], [1]));
        Assert.That(() => matrix.Add(new ImportanceEntry("w", [1], [1])), Throws.ArgumentException.With.Message.Contains("'w'"));
        Assert.That(() => new ImportanceEntry("", [1], [1]), Throws.ArgumentException);
        Assert.That(
            () => new ImportanceEntry("w", [1, 2, 3], [1, 2]),
            Throws.ArgumentException.With.Message.Contains("3 sums for 2 counts"));
        Assert.That(() => new ImportanceEntry("w", [], [1]), Throws.ArgumentException);
        Assert.That(() => new ImportanceEntry("w", [1], [-1]), Throws.InstanceOf<ArgumentException>());
        Assert.That(new ImportanceEntry("w", [5, 6], [0]).GetImportance(), Is.EqualTo((float[])[1, 1]));
    }
}
