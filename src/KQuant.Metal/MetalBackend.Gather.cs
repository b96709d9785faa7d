using System.Numerics;
using System.Runtime.InteropServices;
using KQuant.Matmul;
using KQuant.Matmul.Backends;
using KQuant.Matmul.Products;
using KQuant.Metal.ObjC;

namespace KQuant.Metal;

public sealed partial class MetalBackend
{
    /// <inheritdoc/>
    public override void GatherMultiply(
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
        MetalKernel kernel = MetalKernel.Choose(MetalKernel.Gather, rows.Count / rows.DistinctExperts, UsesMatrixUnits);
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
        DeviceBuffer? xRows = BindList<uint>(command, 4, rows.XRows), experts = BindList<uint>(command, 5, rows.Experts);
        Enqueue(command, Arguments(w, rows.Count), argumentIndex: 3, w, w.Buffer, x.Buffer, y.Buffer, null, xRows, experts);
    }

    private void GatherBySegment(MetalKernel kernel, MetalWeights w, MetalBuffer x, MetalBuffer y, GatherRows rows)
    {
        (uint[] xRows, uint[] yRows, List<Segment> segments) = rows.Split(kernel.Rows);
        DeviceCommand command = Prepare(kernel, w.Tensor.Codec, Groups(w.Tensor.Shape.Rows, kernel.Outputs), (nuint)segments.Count);
        DeviceBuffer? x2 = BindList<uint>(command, 4, xRows), y2 = BindList<uint>(command, 5, yRows);
        DeviceBuffer? table = BindList<Segment>(command, 6, segments.ToArray());
        Enqueue(command, Arguments(w, rows.Count), argumentIndex: 3, w, w.Buffer, x.Buffer, y.Buffer, null, x2, y2, table);
    }

    /// <summary>Lets a list travel with its command, or, if it is long, gives a buffer that is kept for the next one.</summary>
    private DeviceBuffer? BindList<T>(DeviceCommand command, int index, ReadOnlySpan<T> list)
        where T : unmanaged
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(list);
        if (bytes.Length <= DeviceCommand.MaxInlineBytes)
        {
            command.BindList(index, list);
            return null;
        }

        int fitting = -1;
        for (int i = 0; i < _spareLists.Count && fitting < 0; i++)
        {
            fitting = _spareLists[i].Length >= bytes.Length ? i : -1;
        }

        DeviceBuffer buffer = fitting < 0 ? _device.CreateBuffer((long)BitOperations.RoundUpToPowerOf2((uint)bytes.Length)) : _spareLists[fitting];
        if (fitting >= 0)
        {
            _spareLists.RemoveAt(fitting);
        }

        _queuedLists.Add(buffer);
        bytes.CopyTo(buffer.Values<byte>());
        return buffer;
    }
}
