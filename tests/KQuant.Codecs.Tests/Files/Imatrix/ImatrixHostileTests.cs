using System.Buffers.Binary;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>Importance matrices that are cut off, wrong, or claim much.</summary>
public class ImatrixHostileTests
{
    [Test]
    public void EveryTruncationOfTheOlderFormIsRefused()
    {
        byte[] bytes = ImatrixBytes.Legacy([("blk.0.attn_q.weight", 4, [1, 2, 3]), ("output.weight", 4, [1])], 17, "wiki.txt");
        int entriesEnd = bytes.Length - 16;
        using var folder = new TemporaryFolder();
        for (int length = 0; length < bytes.Length; length++)
        {
            ModelFormatException? refusal = ReadAll(folder.Write("cut", bytes.AsSpan(0, length)));

            // What is left is the form of mlx-kquant, or that with the number of chunks alone.
            Assert.That(refusal is null, Is.EqualTo(length == entriesEnd || length == entriesEnd + 4), $"cut at {length}");
        }
    }

    [Test]
    public void EveryTruncationOfTheGgufFormIsRefused()
    {
        byte[] bytes = ImatrixBytes.Gguf(1, 512, ["a"], ("w", [1, 2], [1]));
        using var folder = new TemporaryFolder();
        for (int length = 0; length < bytes.Length; length++)
        {
            Assert.That(
                ReadAll(folder.Write("cut", bytes.AsSpan(0, length))) is null,
                Is.EqualTo(length == bytes.Length - 28),
                $"cut at {length}");
        }
    }

    [Test]
    public void WhatIsWrongIsNamed()
    {
        using var folder = new TemporaryFolder();
        AssertRefused(ImatrixBytes.Legacy([]), "this is no importance matrix");
        AssertRefused(ImatrixBytes.Legacy([("w", 1, [1]), ("w", 1, [1])]), "tensor 'w' at byte 34: the name occurs twice");
        AssertRefused(ImatrixBytes.Legacy([("", 1, [1])]), "the length of the name is 0");
        AssertRefused(ImatrixBytes.Legacy([("w", 1, [])], 1, "x"), "entry 'w': the number of values is 0");
        AssertRefused(
            [.. BitConverter.GetBytes(1), .. BitConverter.GetBytes(int.MaxValue), .. new byte[64]],
            "the name is 2147483647 bytes long");
        AssertRefused([.. BitConverter.GetBytes(-1), .. new byte[64]], "are -1");
        AssertRefused([.. BitConverter.GetBytes(1_000_000), .. new byte[64]], "are 1000000, while 64 bytes are left");
        AssertRefused(new GgufBytes().Tensor("w.counts", 1).ToArray(), "tensor 'w.counts'", "counts without sums: no tensor 'w.in_sum2'");
        AssertRefused(new GgufBytes().Tensor("w.in_sum2", 1, 2, 3).Tensor("w.counts", 1, 2).ToArray(), "3 sums for 2 counts");
        AssertRefused(new GgufBytes().Tensor("w.in_sum2", [4], 1, new byte[8]).ToArray(), "the type is f16; f32 was expected");
        AssertRefused(new GgufBytes().Tensor("w.in_sum2", [0], 0, []).ToArray(), "there are no values");
        AssertRefused(
            new GgufBytes().Key("imatrix.chunk_count", "x").Tensor("w.in_sum2", 1).ToArray(),
            "'imatrix.chunk_count' should be u32 but is string 'x'");
        AssertRefused(File.ReadAllBytes(RepositoryFiles.Fixture("gguf", "q4_0.gguf")), "no tensor has a name that ends in .in_sum2");

        void AssertRefused(byte[] bytes, params string[] parts)
        {
            string path = folder.Write("x", bytes);
            ModelFormatException? refusal = Assert.Throws<ModelFormatException>(() => ImportanceMatrix.Open(path).Dispose());
            foreach (string part in parts)
            {
                Assert.That(refusal!.Message, Does.StartWith(path).And.Contains(part));
            }
        }
    }

    [Test]
    public void LargeValuesCostNothingUntilTheyAreRead()
    {
        byte[] start = ImatrixBytes.Legacy([("w", 1, [1])])[..^4];
        BinaryPrimitives.WriteInt32LittleEndian(start.AsSpan(start.Length - 4), 1_500_000_000);
        using var folder = new TemporaryFolder();
        string path = SparseFile.Create(folder, start.Length + 6_000_000_000, start);

        long before = GC.GetAllocatedBytesForCurrentThread();
        using ImportanceMatrix matrix = ImportanceMatrix.Open(path);
        Assert.That(matrix.Entries[0].ValueCount, Is.EqualTo(1_500_000_000));
        Assert.That(() => matrix.Entries[0].GetImportance(new QuantShape(10, 512)), Throws.TypeOf<ModelFormatException>());
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(1 << 20));
    }

    [Test]
    public void MutationsAreReadOrRefused([Range(0, 3)] int seed)
    {
        byte[][] files =
        [
            ImatrixBytes.Legacy([("blk.0.attn_q.weight", 4, [1, 2, 3]), ("output.weight", 4, [1])], 17, "wiki.txt"),
            ImatrixBytes.Gguf(1, 512, ["a", "b"], ("blk.0.ffn_down_exps.weight", [1, 2, 3, 4], [1, 0]), ("w", [1, 2], [1])),
        ];
        using var folder = new TemporaryFolder();
        var random = new Random(20261102 + seed);
        for (int i = 0; i < 500; i++)
        {
            byte[] mutant = [.. files[i % 2]];
            for (int changes = random.Next(1, 4); changes > 0; changes--)
            {
                int at = random.Next(mutant.Length);
                if (random.Next(2) == 0)
                {
                    mutant[at] = (byte)random.Next(256);
                }
                else
                {
                    mutant[at] ^= (byte)(1 << random.Next(8));
                }
            }

            string path = folder.Write("mutant", mutant);
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                ReadAll(path);
            }
            catch (Exception exception)
            {
                throw new InvalidOperationException($"seed {seed}, case {i}: {Convert.ToHexString(mutant)}", exception);
            }

            Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(1 << 20), $"case {i}");
        }
    }

    private static ModelFormatException? ReadAll(string path)
    {
        try
        {
            using ImportanceMatrix matrix = ImportanceMatrix.Open(path);
            _ = matrix.Datasets.Count(name => name.Length > 0);
            foreach (ImportanceEntry entry in matrix.Entries)
            {
                entry.GetImportance();
            }

            return null;
        }
        catch (ModelFormatException exception)
        {
            return exception;
        }
    }
}
