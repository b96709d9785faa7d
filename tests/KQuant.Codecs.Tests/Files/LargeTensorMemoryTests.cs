using System.Globalization;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>Opening a tensor of more than 2 GiB, and reading some of it, takes the memory of what is read.</summary>
public class LargeTensorMemoryTests
{
    private const int Columns = 4096;
    private const long Rows = 1 << 18;

    [TestCase("gguf")]
    [TestCase("safetensors")]
    public void OpeningATensorOver2GiBTakesLittleMemory(string kind)
    {
        if (!OperatingSystem.IsLinux())
        {
            Assert.Ignore("Only Linux tells the resident memory of this process from its peak.");
        }

        using var folder = new TemporaryFolder();
        long bytes = Rows * Columns * 4;
        byte[] header = kind == "gguf"
            ? new GgufBytes().Tensor("w", [Columns, Rows], (uint)QuantFormat.F32, []).Header()
            : SafetensorsBytes.Build($"{{\"w\":{{\"dtype\":\"F32\",\"shape\":[{Rows},{Columns}],\"data_offsets\":[0,{bytes}]}}}}".PadRight(96), []);
        string path = SparseFile.Create(folder, header.Length + bytes, header);
        long before = Resident();
        var row = new float[Columns];
        row.AsSpan().Fill(1);
        if (kind == "gguf")
        {
            using GgufFile file = GgufFile.Open(path);
            using QuantizedTensor tensor = file.GetTensor("w");
            tensor.DecodeRow(Rows - 1, row);
            Assert.That(tensor.ByteCount, Is.GreaterThan(1L << 31));
        }
        else
        {
            using SafetensorsFile file = SafetensorsFile.Open(path);
            Assert.That(file.Tensors[0].UnsafeGetBytes(bytes - 4096, 4096).IndexOfAnyExcept((byte)0), Is.Negative);
            row.AsSpan().Clear();
        }

        Assert.That(row, Has.All.EqualTo(0f));
        Assert.That(Resident() - before, Is.LessThan(64L << 20));
    }

    private static long Resident() => 4096 * long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1], CultureInfo.InvariantCulture);
}
