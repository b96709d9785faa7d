using KQuant.Codecs;
using KQuant.Matmul.Floats;
using KQuant.Matmul.Products;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>Every float kernel gives the bits of the scalar one, for every shape of tile.</summary>
internal sealed unsafe class FloatKernelTests
{
    private static readonly int[] ColumnCounts = [16, 48, 1024, 1040, 2064];
    private static readonly int[] OddColumnCounts = [1, 15, 16, 17, 32, 47, 64, 100, 130];
    private static readonly int[] WeightRowCounts = [1, 2, 3, 4, 5, 7, 9];
    private static readonly int[] RowCounts = [1, 2, 3, 4, 5, 6, 7, 13];

    private static IEnumerable<FloatKernel> Kernels => FloatKernels.All.Where(kernel => kernel.Tier != KernelTier.Scalar);

    private static IEnumerable<FloatKernel> Float32Kernels => Kernels.Where(kernel => kernel.Codec.Format == QuantFormat.F32);

    [Test]
    public void EveryFormatHasEveryTier() =>
        Assert.That(
            FloatKernels.All.Select(kernel => (kernel.Codec, kernel.Tier, kernel.IsCanonical)),
            Is.EquivalentTo(
                from codec in QuantCodec.Floats
                from kernel in new[]
                {
                    (KernelTier.Scalar, true), (KernelTier.Scalar, false), (KernelTier.Portable, true), (KernelTier.Portable, false),
                    (KernelTier.Avx2, true), (KernelTier.Avx512, true),
                }
                select (codec, kernel.Item1, kernel.Item2)));

    /// <summary>A processor without a fused multiply-add does not compute it in software, unless the bits of other machines are wanted.</summary>
    [Test]
    public void RoundsTwiceOnlyWhereTheProcessorMust([Values] bool deterministic)
    {
        foreach (QuantCodec codec in QuantCodec.Floats)
        {
            foreach (KernelTier tier in KernelTiers.All)
            {
                Assert.That(
                    FloatKernels.Select(codec, tier, deterministic).IsCanonical,
                    Is.EqualTo(deterministic || FusedMultiplyAdd.IsHardwareAccelerated));
            }
        }
    }

    [TestCaseSource(nameof(Kernels))]
    public void MultipliesLikeTheScalarKernel(FloatKernel kernel)
    {
        IgnoreIfUnsupported(kernel);
        FloatKernel scalar = Scalar(kernel);
        foreach (int columns in ColumnCounts)
        {
            QuantizedTensor weights = RandomTensors.Create(kernel.Codec, new QuantShape(9, columns));
            float[] x = Numbers.Gaussian(13 * columns, columns);
            foreach (int weightRows in WeightRowCounts)
            {
                foreach (int rows in RowCounts)
                {
                    int[] expected = Multiply(scalar, weights, weightRows, x, rows);
                    Assert.That(Multiply(kernel, weights, weightRows, x, rows), Is.EqualTo(expected), $"{columns}, {weightRows}, {rows}");
                }
            }
        }
    }

    [TestCaseSource(nameof(Float32Kernels))]
    public void MultipliesTransposedLikeTheScalarKernel(FloatKernel kernel)
    {
        IgnoreIfUnsupported(kernel);
        FloatKernel scalar = Scalar(kernel);
        float[] x = Numbers.Gaussian(13 * 64, 1);
        foreach (int columns in OddColumnCounts)
        {
            float[] weights = Numbers.Gaussian(64 * 144, columns);
            foreach (int weightRows in WeightRowCounts.Append(64))
            {
                foreach (int rows in RowCounts)
                {
                    int[] expected = MultiplyTransposed(scalar, weights, weightRows, columns, x, rows);
                    int[] actual = MultiplyTransposed(kernel, weights, weightRows, columns, x, rows);
                    Assert.That(actual, Is.EqualTo(expected), $"{columns}, {weightRows}, {rows}");
                }
            }
        }
    }

    [Test]
    public void WidensEveryBinary16()
    {
        var halves = new ushort[65536];
        for (int i = 0; i < halves.Length; i++)
        {
            halves[i] = (ushort)i;
        }

        Assert.Multiple(() =>
        {
            fixed (ushort* source = halves)
            {
                for (int i = 0; i < halves.Length; i += 16)
                {
                    for (int j = 0; j < 16; j++)
                    {
                        float expected = (float)BitConverter.UInt16BitsToHalf((ushort)(i + j));
                        float[] actual =
                        [
                            F16Source.Load512((byte*)source, i)[j],
                            F16Source.Load256((byte*)source, i + (j & 8))[j & 7],
                            F16Source.Load128((byte*)source, i + (j & 12))[j & 3],
                        ];
                        if (Array.Exists(actual, value => !value.Equals(expected) || float.IsNegative(value) != float.IsNegative(expected)))
                        {
                            Assert.Fail($"{i + j:x4}: {string.Join(", ", actual)} instead of {expected}");
                        }
                    }
                }
            }
        });
    }

    /// <summary>The specification of a kernel.</summary>
    private static FloatKernel Scalar(FloatKernel kernel) => FloatKernels.All.Single(
        scalar => scalar.Codec == kernel.Codec && scalar.Tier == KernelTier.Scalar && scalar.IsCanonical == kernel.IsCanonical);

    private static void IgnoreIfUnsupported(FloatKernel kernel)
    {
        if (!kernel.IsSupported)
        {
            Assert.Ignore($"{kernel.Tier} is not supported here.");
        }
    }

    // The last row ends where the array ends, and outputs start from numbers that must be added to.
    private static int[] Multiply(FloatKernel kernel, QuantizedTensor weights, int weightRows, float[] x, int rows)
    {
        int columns = weights.Shape.Columns;
        float[] y = Numbers.Gaussian(13 * 9, 5);
        float** inputs = stackalloc float*[rows];
        float** outputs = stackalloc float*[rows];
        using TensorLease lease = weights.Acquire();
        fixed (byte* w = &lease.Codes)
        fixed (float* input = x)
        fixed (float* output = y)
        {
            for (int r = 0; r < rows; r++)
            {
                inputs[r] = input + ((12 - r) * columns);
                outputs[r] = output + (r * 9) - 3;
            }

            kernel.Multiply(new FloatTask
            {
                Weights = w + ((9 - weightRows) * weights.RowByteCount),
                WeightRowBytes = (nint)weights.RowByteCount,
                WeightRows = weightRows,
                Columns = columns,
                Rows = inputs,
                RowCount = rows,
                Outputs = outputs,
                FirstOutput = 3,
                Accumulate = rows % 2 == 0,
            });
        }

        return Numbers.Bits(y);
    }

    private static int[] MultiplyTransposed(FloatKernel kernel, float[] weights, int weightRows, int columns, float[] x, int rows)
    {
        float[] y = Numbers.Gaussian(13 * columns, 5);
        float** inputs = stackalloc float*[rows];
        float** outputs = stackalloc float*[rows];
        fixed (float* w = weights)
        fixed (float* input = x)
        fixed (float* output = y)
        {
            for (int r = 0; r < rows; r++)
            {
                inputs[r] = input + ((12 - r) * 64) - 2;
                outputs[r] = output + (r * columns) - 3;
            }

            kernel.MultiplyTransposed(new TransposedTask
            {
                Weights = w,
                WeightStride = 144,
                WeightRows = weightRows,
                Columns = columns,
                Rows = inputs,
                RowCount = rows,
                FirstWeightRow = 2,
                Outputs = outputs,
                FirstOutput = 3,
                Accumulate = rows % 2 == 0,
            });
        }

        return Numbers.Bits(y);
    }
}
