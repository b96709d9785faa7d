using KQuant.Matmul;
using KQuant.Matmul.Backends;
using KQuant.Matmul.Products;
using KQuant.Metal.ObjC;

namespace KQuant.Metal;

public sealed partial class MetalBackend
{
    /// <inheritdoc/>
    public void GatherMultiply(
        BackendWeights experts, BackendBuffer x, ReadOnlySpan<int> shape, IndexArray lhs, IndexArray rhs, BackendBuffer y, bool sorted = false)
    {
        MetalWeights w = BackendArguments.Weights<MetalWeights>(experts);
        MetalBuffer input = BackendArguments.Buffer<MetalBuffer>(x, nameof(x)), output = BackendArguments.Buffer<MetalBuffer>(y, nameof(y));
        BackendArguments.CheckGather(w.Tensor, input, shape, lhs, rhs);
        using var pairs = new GatherPairs();
        pairs.Resolve(lhs, rhs, shape[..^2], w.Tensor.Shape.Experts);
        BackendArguments.CheckResults(w.Tensor, pairs.Count, shape[^2], input, output);
        if (pairs.Count == 0)
        {
            return;
        }

        var rows = new GatherRows(pairs, shape[^2], sorted);
        MetalKernel kernel = MetalKernel.Choose(MetalKernel.Gather, rows.Count / rows.DistinctExperts);
        lock (_lock)
        {
            w.ThrowIfGone();
            if (kernel.Rows == 1)
            {
                GatherByIndex(kernel, w, input, output, rows);
            }
            else
            {
                GatherBySegment(kernel, w, input, output, rows);
            }
        }
    }

    private void GatherByIndex(MetalKernel kernel, MetalWeights w, MetalBuffer x, MetalBuffer y, GatherRows rows)
    {
        DeviceCommand command = Prepare(kernel, w.Tensor.Codec, Groups(w.Tensor.Shape.Rows, kernel.Outputs), (nuint)rows.Count);
        DeviceBuffer xRows = CreateTemporary<uint>(rows.XRows), experts = CreateTemporary<uint>(rows.Experts);
        Enqueue(command, Arguments(w, rows.Count), argumentIndex: 3, w.Buffer, x.Buffer, y.Buffer, null, xRows, experts);
    }

    private void GatherBySegment(MetalKernel kernel, MetalWeights w, MetalBuffer x, MetalBuffer y, GatherRows rows)
    {
        (uint[] xRows, uint[] yRows, List<Segment> segments) = rows.Split(kernel.Rows);
        DeviceCommand command = Prepare(kernel, w.Tensor.Codec, Groups(w.Tensor.Shape.Rows, kernel.Outputs), (nuint)segments.Count);
        DeviceBuffer x2 = CreateTemporary<uint>(xRows), y2 = CreateTemporary<uint>(yRows), table = CreateTemporary<Segment>(segments.ToArray());
        Enqueue(command, Arguments(w, rows.Count), argumentIndex: 3, w.Buffer, x.Buffer, y.Buffer, null, x2, y2, table);
    }
}
