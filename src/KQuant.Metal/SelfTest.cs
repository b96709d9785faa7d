using KQuant.Codecs.Files;
using KQuant.Metal.ObjC;

namespace KQuant.Metal;

/// <summary>What a device answered.</summary>
/// <param name="Fault">The first wrong answer; null if there is none.</param>
/// <param name="ReadsMappedFiles">Whether the GPU sees the pages of a mapped file through a buffer that does not copy them.</param>
/// <param name="AddsInOrder">Whether matrix units add one fused product after the other, in ascending order.</param>
internal sealed record SelfTestResult(string? Fault, bool ReadsMappedFiles, bool AddsInOrder);

/// <summary>
/// Asks a device for what Metal does not promise and exact results rest on: rounding to nearest even, fused and separate operations that
/// stay so, exchanges between all lanes of a simdgroup, mapped files seen without a copy, the order of additions in matrix units.
/// </summary>
internal static unsafe class SelfTest
{
    private const int Threads = 64;
    private const int Words = 16;
    private const int MatrixColumns = 64;

    // What a thread computes, where every result and operand goes through a function: numbers as they are, or subnormal ones made zero.
    private static readonly (string Name, Func<float, float, float, Func<float, float>, float> Compute)[] Operations =
    [
        ("a product", (a, b, _, f) => f(f(a) * f(b))),
        ("a sum", (a, b, _, f) => f(f(a) + f(b))),
        ("a fused multiply-add", (a, b, c, f) => f(float.FusedMultiplyAdd(f(a), f(b), f(c)))),
        ("a sum with a product", (a, b, c, f) => f(f(f(b) * f(c)) + f(a))),
        ("a quotient", (a, b, _, f) => f(f(a) / f(b))),
        ("a square root", (a, _, _, f) => f(MathF.Sqrt(MathF.Abs(f(a))))),
        ("an integer", (a, _, _, _) => BitConverter.SingleToInt32Bits(a) & 0xFFFFFF),
    ];

    /// <summary>Runs it: one submission.</summary>
    /// <exception cref="MetalException">Metal refused or the device failed.</exception>
    public static SelfTestResult Run(MetalDevice device, ObjCObject library)
    {
        using ObjCObject pipeline = device.CreatePipeline(library, "self_test", Threads);
        using ObjCObject? matrix = TryCreate(device, library, "self_test_matrix");
        uint[] operands = CreateOperands();
        using DeviceBuffer input = device.CreateBuffer(operands.Length * sizeof(uint)), output = device.CreateBuffer(Threads * Words * sizeof(uint));
        operands.CopyTo(input.Values<uint>());
        using DeviceBuffer left = device.CreateBuffer(8 * MatrixColumns * sizeof(float)), right = device.CreateBuffer(8 * MatrixColumns * sizeof(float));
        using DeviceBuffer sums = device.CreateBuffer(64 * sizeof(float));
        FillMatrices(left.Values<float>(), right.Values<float>());
        using var file = MappedPage.Create();
        using DeviceBuffer? mapped = file is null ? null : device.WrapPages(file.Start, file.Length);
        var commands = new List<DeviceCommand>();
        try
        {
            var test = new DeviceCommand(pipeline, new MTLSize(1, 1, 1), Threads, threadgroupBytes: 0);
            test.Bind(input, mapped ?? input, output);
            commands.Add(test);
            if (matrix is not null)
            {
                var order = new DeviceCommand(matrix, new MTLSize(1, 1, 1), 32, threadgroupBytes: 0);
                order.Bind(left, right, sums);
                commands.Add(order);
            }

            device.Run(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(commands));
        }
        finally
        {
            commands.ForEach(command => command.Release());
        }

        ReadOnlySpan<uint> results = output.Values<uint>();
        return new SelfTestResult(
            FindFault(operands, results),
            file is not null && mapped is not null && file.IsSeenIn(results),
            matrix is not null && IsInOrder(left.Values<float>(), right.Values<float>(), sums.Values<float>()));
    }

    private static ObjCObject? TryCreate(MetalDevice device, ObjCObject library, string name)
    {
        try
        {
            return device.CreatePipeline(library, name, 32);
        }
        catch (MetalException)
        {
            // A device without matrix units: the kernels that need none do it.
            return null;
        }
    }

    // Ties and neighbours of ties, cancellation that shows the bits beyond a product, subnormal operands and results, and numbers of all sizes.
    private static uint[] CreateOperands()
    {
        const float Odd = 1 + (1f / 4096);
        float[] chosen =
        [
            Odd, Odd, -(1 + (1f / 2048)), -Odd, Odd, 1 + (1f / 2048), 16777215, 3, 1, 16777214, 1, -1, 16777216, 1, 0, 16777218, 1, 0,
            1 + float.BitIncrement(0), 1 / 3f, 1, 2 / 3f, 3, -2, 1e-38f, 0.25f, 1e-38f, -1e-38f, 0.25f, 0, 1e-39f, 1, 1, 3e-39f, 1e30f, 1,
            0.1f, 10, -1, 1.1f, 1.1f, -1.21f, float.MaxValue, 0.5f, 1, 8388609, 1.5f, 0.25f, 12582913, 0.5f, -0.125f, 5, 7, 1 / 35f,
        ];
        var operands = new uint[3 * Threads];
        uint state = 1;
        for (int i = 0; i < operands.Length; i++)
        {
            state = (state * 1664525) + 1013904223;
            uint bits = (state & 0x807FFFFF) | ((118 + (state >> 24 & 15)) << 23);
            operands[i] = i < chosen.Length ? BitConverter.SingleToUInt32Bits(chosen[i]) : bits;
        }

        return operands;
    }

    private static string? FindFault(uint[] operands, ReadOnlySpan<uint> results)
    {
        for (int i = 0; i < Threads; i++)
        {
            float a = BitConverter.UInt32BitsToSingle(operands[3 * i]), b = BitConverter.UInt32BitsToSingle(operands[(3 * i) + 1]);
            float c = BitConverter.UInt32BitsToSingle(operands[(3 * i) + 2]);
            ReadOnlySpan<uint> result = results.Slice(i * Words, Words);
            for (int k = 0; k < Operations.Length; k++)
            {
                // Subnormal numbers are kept, or zero when they are read or made; there is no third way.
                (string name, Func<float, float, float, Func<float, float>, float> compute) = Operations[k];
                uint kept = BitConverter.SingleToUInt32Bits(compute(a, b, c, x => x));
                uint flushed = BitConverter.SingleToUInt32Bits(compute(a, b, c, Flush));
                if (result[k] != kept && result[k] != flushed)
                {
                    return $"{name} of {a:R}, {b:R}, {c:R} is {BitConverter.UInt32BitsToSingle(result[k]):R} instead of {BitConverter.UInt32BitsToSingle(kept):R}";
                }
            }

            if (result[7] != operands[3 * i])
            {
                return $"{operands[3 * i]:X8} was read or written as {result[7]:X8}";
            }

            uint lane = (uint)i % 32;
            for (int k = 0; k < 6; k++)
            {
                uint other = k < 5 ? lane ^ (1u << k) : 31 - lane;
                if (result[8 + k] != other)
                {
                    return $"lane {lane} got the value of lane {result[8 + k]} instead of lane {other}";
                }
            }
        }

        return null;
    }

    private static float Flush(float x) => float.IsSubnormal(x) ? MathF.CopySign(0, x) : x;

    private static void FillMatrices(Span<float> left, Span<float> right)
    {
        uint state = 7;
        for (int i = 0; i < left.Length; i++)
        {
            left[i] = Next();
            right[i] = Next();
        }

        // Of either sign and of very different sizes, so that every other order has other bits.
        float Next()
        {
            state = (state * 1664525) + 1013904223;
            return BitConverter.UInt32BitsToSingle((state & 0x807FFFFF) | ((124 + (state >> 25 & 7)) << 23));
        }
    }

    private static bool IsInOrder(ReadOnlySpan<float> left, ReadOnlySpan<float> right, ReadOnlySpan<float> sums)
    {
        for (int i = 0; i < sums.Length; i++)
        {
            float sum = 0;
            for (int k = 0; k < MatrixColumns; k++)
            {
                sum = float.FusedMultiplyAdd(left[(i / 8 * MatrixColumns) + k], right[(k * 8) + (i % 8)], sum);
            }

            if (BitConverter.SingleToUInt32Bits(sum) != BitConverter.SingleToUInt32Bits(sums[i]))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>A page of a temporary file, mapped as the files of models are.</summary>
    private sealed class MappedPage : IDisposable
    {
        private readonly MappedFile _file;

        private MappedPage(MappedFile file) => _file = file;

        public byte* Start => (byte*)System.Runtime.CompilerServices.Unsafe.AsPointer(ref System.Runtime.InteropServices.MemoryMarshal.GetReference(_file.UnsafeBytes(0, (int)_file.Length)));

        public long Length => _file.Length;

        /// <summary>Null if this machine has no place for a temporary file: then nobody knows, and weights are copied.</summary>
        public static MappedPage? Create()
        {
            string path = Path.Combine(Path.GetTempPath(), $"kquant-{Guid.NewGuid():N}");
            try
            {
                byte[] content = new byte[Environment.SystemPageSize];
                new Random(3).NextBytes(content);
                File.WriteAllBytes(path, content);
                return new MappedPage(MappedFile.Open(path));
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                return null;
            }
            finally
            {
                File.Delete(path);
            }
        }

        public bool IsSeenIn(ReadOnlySpan<uint> results)
        {
            for (int i = 0; i < Threads; i++)
            {
                if (results[(i * Words) + 14] != ((uint*)Start)[i])
                {
                    return false;
                }
            }

            return true;
        }

        public void Dispose() => _file.Dispose();
    }
}
