using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Matmul.Backends;
using KQuant.Metal.Tests.Emulation;
using KQuant.TestKit;

namespace KQuant.Metal.Tests;

/// <summary>Tensors of more than 4 GiB: the file is sparse, and only its last expert is ever touched.</summary>
public unsafe class LargeTensorTests : MetalTest
{
    [TestCase(1)]
    [TestCase(5)]
    public void OffsetsHave64Bits(int rows)
    {
        SoftwareDevice.Require();
        const int Outputs = 4, Columns = 16384;
        using QuantizedTensor last = RandomTensors.Create(QuantFormat.Q8_0, new QuantShape(Outputs, Columns));
        long experts = (long)(4.5 * (1L << 30) / last.ByteCount);
        string path = Path.Combine(Path.GetTempPath(), $"kquant-sparse-{Environment.ProcessId}");
        try
        {
            using (FileStream stream = new(path, FileMode.CreateNew, FileAccess.Write))
            {
                stream.Position = (experts - 1) * last.ByteCount;
                for (int row = 0; row < Outputs; row++)
                {
                    stream.Write(last.UnsafeGetRowBytes(row));
                }
            }

            using MappedFile file = MappedFile.Open(path);
            using QuantizedTensor tensor = QuantizedTensor.FromPlanes(
                last.Codec, last.Shape with { Experts = experts }, file.Plane(0, file.Length));
            using var backend = MetalBackend.Create();
            using BackendWeights weights = backend.Upload(tensor), reference = Reference.Upload(last);
            float[] x = Numbers.Gaussian(rows * Columns, seed: 1), expected = new float[rows * Outputs], actual = new float[rows * Outputs];
            Reference.Multiply(reference, x, expected);
            backend.GatherMultiply(weights, x, [1, rows, Columns], default, (int[])[(int)experts - 1], actual);
            Assert.That(Numbers.Bits(actual), Is.EqualTo(Numbers.Bits(expected)));
        }
        finally
        {
            File.Delete(path);
        }
    }
}
