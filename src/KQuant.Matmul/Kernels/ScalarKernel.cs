using KQuant.Codecs;
using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels;

/// <summary>
/// The specification of a product with int8 activations. Integer sums are exact; floats follow the canonical order: blocks from left to
/// right, one fused multiply-add for the scale term and one for the minimum term of each.
/// </summary>
internal sealed unsafe class ScalarKernel(QuantCodec codec) : ProductKernel(codec, KernelTier.Scalar, "scalar")
{
    private readonly IntegerForm _form = codec.Integers!.Value;
    private readonly int _blocksPerUnit = 256 / codec.WeightsPerBlock;

    public override bool IsCanonical => true;

    public override int MaxRows => int.MaxValue;

    public override int Granule => 1;

    // Arranged activations are a view of the natural ones: a copy of the descriptor, and the rows as they are.
    public override nint GetActivationBytes(int rows, int units)
    {
        ActivationView view = Layout(null, rows, units);
        return (nint)(view.Sums + ((nint)rows * units * view.SumsPerUnit));
    }

    public override nint GetScratchBytes(int units) => 0;

    public override void Arrange(in ActivationView source, int* rowIndices, int rows, byte* destination)
    {
        ActivationView view = Layout(destination, rows, source.Units);
        for (int r = 0; r < rows; r++)
        {
            nint from = rowIndices == null ? r : rowIndices[r];
            Copy(source.RowCodes(from), view.RowCodes(r), 256 * source.Units);
            Copy(source.RowScales(from), view.RowScales(r), sizeof(float) * source.ScalesPerUnit * source.Units);
            Copy(source.RowSums(from), view.RowSums(r), sizeof(short) * source.SumsPerUnit * source.Units);
        }
    }

    public override void Run(in ProductTask task, byte* scratch)
    {
        ActivationView x = Layout(task.Activations, task.Rows, task.Units);
        WeightUnit unit = default;
        for (int n = 0; n < task.WeightRows; n++)
        {
            for (int m = 0; m < task.Rows; m++)
            {
                task.Outputs[m][n] = 0;
            }

            PlanePointers block = new PlanePointers(task.Weights, task.Scales, task.Biases)
                .Add(n * task.WeightRowBytes, n * task.ScaleRowBytes, n * task.BiasRowBytes);
            for (int u = 0; u < task.Units; u++)
            {
                int count = u == task.Units - 1 ? task.TailBlocks : _blocksPerUnit;
                Codec.Unpack(block, count, ref unit);
                block = block.Skip(Codec, count);
                for (int m = 0; m < task.Rows; m++)
                {
                    ref float y = ref task.Outputs[m][n];
                    y = Scheme == ActivationScheme.Block32
                        ? AccumulateFlat(ref unit, count * Codec.WeightsPerBlock, x.RowCodes(m) + (256 * u), x.RowScales(m) + (8 * u), x.RowSums(m) + (8 * u), y)
                        : AccumulateK(ref unit, x.RowCodes(m) + (256 * u), x.RowScales(m)[u], x.RowSums(m) + (16 * u), y);
                }
            }
        }
    }

    private float AccumulateK(ref WeightUnit unit, sbyte* x, float scale, short* sums, float y)
    {
        int dot = 0, min = 0, size = _form.SubBlock;
        for (int s = 0; s < 256 / size; s++)
        {
            int part = 0;
            for (int i = s * size; i < (s + 1) * size; i++)
            {
                part += unit.Codes[i] * x[i];
            }

            dot += unit.Scales[s] * part;
        }

        y = MathF.FusedMultiplyAdd(dot, unit.D[0] * scale, y);
        if (!_form.HasMin)
        {
            return y;
        }

        for (int s = 0; s < 16; s++)
        {
            min += unit.Mins[s * 16 / size] * sums[s];
        }

        return MathF.FusedMultiplyAdd(-min, unit.M[0] * scale, y);
    }

    private float AccumulateFlat(ref WeightUnit unit, int weights, sbyte* x, float* scales, short* sums, float y)
    {
        for (int b = 0; b < weights / 32; b++)
        {
            int dot = 0;
            for (int i = 32 * b; i < 32 * (b + 1); i++)
            {
                dot += unit.Codes[i] * x[i];
            }

            y = MathF.FusedMultiplyAdd(dot, unit.D[b] * scales[b], y);
            if (_form.HasMin)
            {
                y = MathF.FusedMultiplyAdd(unit.M[b], scales[b] * sums[b], y);
            }
        }

        return y;
    }

    private ActivationView Layout(byte* start, int rows, int units)
    {
        var view = new ActivationView { Codes = (sbyte*)start, CodeStride = 256 * units, Units = units, Scheme = Scheme };
        view.Scales = (float*)(view.Codes + (rows * view.CodeStride));
        view.Sums = (short*)(view.Scales + ((nint)rows * units * view.ScalesPerUnit));
        return view;
    }

    private static void Copy(void* source, void* destination, long bytes) => Buffer.MemoryCopy(source, destination, bytes, bytes);
}
