using KQuant.Matmul.Backends;
using KQuant.Metal.ObjC;

namespace KQuant.Metal;

/// <content>What lies between the products of a decoder.</content>
public sealed partial class MetalBackend : ILayerBackend
{
    private DeviceBuffer? _scores;

    /// <inheritdoc/>
    void ILayerBackend.AddRow(BackendBuffer y, BackendBuffer addend, int rows, int width) => Enqueue(
        LayerKernel.AddRow, Groups(rows * width, LayerKernel.AddRow.Threads), 1, new RowArguments((uint)(rows * width), (uint)width), Of(y), Of(addend), null);

    /// <inheritdoc/>
    void ILayerBackend.Norm(
        BackendBuffer stream, BackendBuffer? added, BackendBuffer? addedWeights, BackendBuffer weights, BackendBuffer target, in NormShape shape)
    {
        uint flags = (added is null ? 0u : 1) | (addedWeights is null ? 0u : 2);
        Enqueue(
            LayerKernel.Norm, (nuint)shape.Rows, 1, new NormArguments((uint)shape.Width, shape.Epsilon, flags),
            Of(stream), Of(added ?? stream), Of(addedWeights ?? weights), Of(weights), Of(target), null);
    }

    /// <inheritdoc/>
    void ILayerBackend.GateBySilu(BackendBuffer gate, BackendBuffer up, int count) => Enqueue(
        LayerKernel.GateSilu, Groups(count, LayerKernel.GateSilu.Threads), 1, new RowArguments((uint)count, 0), Of(gate), Of(up), null);

    /// <inheritdoc/>
    void ILayerBackend.PrepareHeads(
        BackendBuffer queries, BackendBuffer keys, BackendBuffer values, BackendBuffer? norms, BackendBuffer angles, in BackendCache cache,
        in HeadShape shape, ReadOnlySpan<AttentionRow> rows)
    {
        lock (_lock)
        {
            DeviceCommand command = Prepare(LayerKernel.PrepareHeads, (nuint)(shape.Heads + (2 * shape.KeyHeads)), (nuint)rows.Length);
            DeviceBuffer? list = BindList(command, 8, rows);
            Enqueue(
                command, Arguments(shape, cache, norms is not null), argumentIndex: 7, null,
                Of(queries), Of(keys), Of(values), Of(norms ?? angles), Of(angles), Of(cache.Keys), Of(cache.Values), null, list);
        }
    }

    /// <inheritdoc/>
    void ILayerBackend.Attend(BackendBuffer queries, in BackendCache cache, BackendBuffer outputs, in HeadShape shape, ReadOnlySpan<AttentionRow> rows)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            long scoreBytes = (long)rows.Length * shape.Heads * cache.Capacity * sizeof(float);
            if (_scores is null || _scores.Length < scoreBytes)
            {
                // What is queued keeps the old one until it ran.
                _scores?.Dispose();
                _scores = _device.CreateBuffer(scoreBytes);
            }

            int memory = (LayerKernel.Attend.Threads + 4 + shape.Size + 3) / 4 * 4 * sizeof(float);
            DeviceCommand command = Prepare(LayerKernel.Attend with { ThreadgroupBytes = memory }, (nuint)shape.Heads, (nuint)rows.Length);
            DeviceBuffer? list = BindList(command, 6, rows);
            Enqueue(
                command, Arguments(shape, cache, hasNorms: false), argumentIndex: 5, null,
                Of(queries), Of(cache.Keys), Of(cache.Values), Of(outputs), _scores, null, list);
        }
    }

    /// <inheritdoc/>
    void ILayerBackend.Route(BackendBuffer scores, BackendBuffer ids, BackendBuffer weights, in RouteShape shape) => Enqueue(
        LayerKernel.Route, (nuint)shape.Rows, 1,
        new RouteArguments((uint)shape.Experts, (uint)shape.PerRow, shape.Normalizes ? 1u : 0, shape.LeastSum), Of(scores), Of(ids), Of(weights), null);

    /// <inheritdoc/>
    void ILayerBackend.GatherMultiply(BackendWeights experts, BackendBuffer x, BackendBuffer ids, int pairs, int perRow, BackendBuffer y)
    {
        MetalWeights w = BackendArguments.Weights<MetalWeights>(experts);
        uint[] xRows = new uint[pairs];
        for (int i = 0; i < pairs; i++)
        {
            xRows[i] = (uint)(i / perRow);
        }

        lock (_lock)
        {
            w.ThrowIfGone();
            MetalKernel kernel = MetalKernel.Gather[0];
            DeviceCommand command = Prepare(kernel, w.Tensor.Codec, Groups(w.Tensor.Shape.Rows, kernel.Outputs), (nuint)pairs);
            DeviceBuffer? list = BindList<uint>(command, 4, xRows);
            Enqueue(command, Arguments(w, pairs), argumentIndex: 3, w, w.Buffer, Of(x), Of(y), null, list, Of(ids));
        }
    }

    /// <inheritdoc/>
    void ILayerBackend.AddWeighted(BackendBuffer x, BackendBuffer weights, BackendBuffer target, int rows, int perRow, int width) => Enqueue(
        LayerKernel.AddWeighted, Groups(rows * width, LayerKernel.AddWeighted.Threads), 1,
        new WeightedArguments((uint)(rows * width), (uint)perRow, (uint)width), Of(x), Of(weights), Of(target), null);

    private static DeviceBuffer Of(BackendBuffer buffer) => BackendArguments.Buffer<MetalBuffer>(buffer, nameof(buffer)).Buffer;

    private static HeadArguments Arguments(in HeadShape shape, in BackendCache cache, bool hasNorms) => new(
        (uint)shape.Heads, (uint)shape.KeyHeads, (uint)shape.Size, (uint)shape.Rotated, shape.Interleaved ? 1u : 0, (uint)cache.Capacity,
        (uint)cache.ValueStride, hasNorms ? 1u : 0, shape.Epsilon, shape.Scale);

    private DeviceCommand Prepare(LayerKernel kernel, nuint width, nuint height) => Prepare(kernel.Name, kernel.Threads, kernel.ThreadgroupBytes, width, height);

    // The arguments follow the buffers.
    private void Enqueue<T>(LayerKernel kernel, nuint width, nuint height, in T arguments, params ReadOnlySpan<DeviceBuffer?> buffers)
        where T : unmanaged
    {
        lock (_lock)
        {
            Enqueue(Prepare(kernel, width, height), arguments, buffers.Length - 1, null, buffers);
        }
    }
}
