using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Kernels;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>A product as kernels see it: wire bytes and quantized activations in memory that ends where they end.</summary>
internal sealed unsafe class Product : IDisposable
{
    private readonly GuardedBuffer _weights;
    private readonly GuardedBuffer _activations;
    private readonly int _rowBytes;
    private readonly float[] _sizes;
    private ActivationView _view;

    /// <param name="codec">Codec of the weights.</param>
    /// <param name="weights">Wire bytes of N rows of K weights.</param>
    /// <param name="activations">M rows of K floats.</param>
    /// <param name="m">Activation rows.</param>
    /// <param name="n">Weight rows.</param>
    /// <param name="k">Columns.</param>
    public Product(QuantCodec codec, byte[] weights, float[] activations, int m, int n, int k)
    {
        (Codec, M, N, K) = (codec, m, n, k);
        _rowBytes = (int)codec.GetByteCount(k);
        _weights = new GuardedBuffer(weights.Length);
        weights.CopyTo(_weights.Span);
        Units = (k + 255) / 256;
        TailBlocks = ((k - 1) % 256 / codec.WeightsPerBlock) + 1;

        _view = new ActivationView
        {
            Scheme = codec.Integers!.Value.Scheme,
            Units = Units,
            CodeStride = 256 * Units,
        };
        int codes = m * 256 * Units, scales = m * Units * _view.ScalesPerUnit, sums = m * Units * _view.SumsPerUnit;
        _activations = new GuardedBuffer(codes + (4 * scales) + (2 * sums));
        _view.Codes = (sbyte*)_activations.Start;
        _view.Scales = (float*)(_activations.Start + codes);
        _view.Sums = (short*)(_activations.Start + codes + (4 * scales));
        _sizes = new float[m];
        fixed (float* x = activations)
        {
            for (int row = 0; row < m; row++)
            {
                ScalarQuantizer.Quantize(x + (row * k), k, _view, row);
                _sizes[row] = HugeRows.Reduce(_view, row);
            }
        }
    }

    public QuantCodec Codec { get; }

    public int M { get; }

    public int N { get; }

    public int K { get; }

    public int Units { get; }

    public int TailBlocks { get; }

    public ref readonly ActivationView View => ref _view;

    public byte* Weights => _weights.Start;

    /// <summary>Multiplies with a kernel.</summary>
    /// <param name="kernel">The kernel.</param>
    /// <param name="rowIndices">Which activation rows; null for all.</param>
    /// <param name="granules">How many of the kernel's granules of weight rows go into a task; all rows into one if not given.</param>
    /// <returns>The outputs, a row of N for each activation row.</returns>
    public float[] Run(ProductKernel kernel, int[]? rowIndices = null, int granules = int.MaxValue)
    {
        int rows = rowIndices?.Length ?? M;
        using GuardedBuffer arranged = Aligned(kernel.GetActivationBytes(rows, Units));
        using GuardedBuffer scratch = Aligned(kernel.GetScratchBytes(Units));
        using GuardedBuffer packed = Aligned(kernel.IsPacked ? (nint)((N + kernel.Granule - 1) / kernel.Granule) * kernel.Granule * _rowBytes : 0);
        using var output = new GuardedBuffer(sizeof(float) * rows * N);
        fixed (int* indices = rowIndices)
        {
            kernel.Arrange(_view, indices, rows, arranged.Start);
        }

        if (kernel.IsPacked)
        {
            kernel.Pack(Weights, _rowBytes, N, Units, TailBlocks, packed.Start);
        }

        var outputs = new float*[rows];
        int step = (int)Math.Min(N, (long)granules * kernel.Granule);
        for (int first = 0; first < N; first += step)
        {
            for (int row = 0; row < rows; row++)
            {
                outputs[row] = (float*)output.Start + (row * N) + first;
            }

            fixed (float** pointers = outputs)
            {
                kernel.Run(
                    new ProductTask
                    {
                        Weights = (kernel.IsPacked ? packed.Start : Weights) + (first * _rowBytes),
                        WeightRowBytes = _rowBytes,
                        WeightRows = Math.Min(step, N - first),
                        Units = Units,
                        TailBlocks = TailBlocks,
                        Activations = arranged.Start,
                        Rows = rows,
                        Outputs = pointers,
                    },
                    scratch.Start);
            }

            for (int row = 0; row < rows; row++)
            {
                HugeRows.Restore(outputs[row], Math.Min(step, N - first), _sizes[rowIndices?[row] ?? row]);
            }
        }

        return MemoryMarshal.Cast<byte, float>(output.Span).ToArray();
    }

    /// <summary>For every output, the sum of the absolute values of the terms it consists of: what its rounding errors are measured by.</summary>
    public double[] AbsoluteTerms()
    {
        var terms = new double[M * N];
        IntegerForm form = Codec.Integers!.Value;
        bool flat = form.Scheme == ActivationScheme.Block32;
        WeightUnit unit = default;
        for (int n = 0; n < N; n++)
        {
            byte* block = Weights + (n * _rowBytes);
            for (int u = 0; u < Units; u++)
            {
                int blocks = u == Units - 1 ? TailBlocks : 256 / Codec.WeightsPerBlock;
                Codec.Unpack(new PlanePointers(block), blocks, ref unit);
                block += blocks * Codec.BytesPerBlock;
                for (int i = 0; i < 256; i++)
                {
                    int b = flat ? i / 32 : 0, s = i / form.SubBlock;
                    double code = unit.D[b] * (double)unit.Codes[i] * (flat ? 1 : unit.Scales[s]);
                    double min = !form.HasMin ? 0 : unit.M[b] * (double)(flat ? 1 : unit.Mins[s]);
                    for (int m = 0; m < M; m++)
                    {
                        double x = (double)_sizes[m] * _view.RowScales(m)[flat ? (8 * u) + b : u] * _view.RowCodes(m)[(256 * u) + i];
                        terms[(m * N) + n] += (Math.Abs(code) + Math.Abs(min)) * Math.Abs(x);
                    }
                }
            }
        }

        return terms;
    }

    public void Dispose()
    {
        _weights.Dispose();
        _activations.Dispose();
    }

    /// <summary>Memory that starts at a multiple of 64 and is followed by at most 63 bytes before the guard page.</summary>
    private static GuardedBuffer Aligned(nint bytes) => new((int)bytes, atEnd: true, distance: (int)(-bytes & 63));
}
