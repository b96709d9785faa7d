using System.Runtime.CompilerServices;
using KQuant.Matmul.Backends;
using KQuant.Models.Caching;
using KQuant.Models.Products;

namespace KQuant.Models.Transformers;

/// <summary>
/// A step of few rows as one submission to a backend: layers record what they do instead of doing it, on the backend's own buffers, and somebody
/// waits once, at the end. Results have the bits of the processor's steps with activations in float32.
/// </summary>
internal sealed class StepRecorder(BackendProducts products, ILayerBackend backend) : IDisposable
{
    /// <summary>The most rows: more are worth a wait for each layer, and attention that shares what it reads.</summary>
    public const int MaxRows = 8;

    private readonly Dictionary<object, BackendBuffer> _constants = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<string, BackendBuffer> _buffers = [];
    private readonly Dictionary<RotaryEmbedding, BackendBuffer> _angles = [];
    private AttentionRow[] _rows = [];

    /// <summary>Does what is recorded.</summary>
    public ILayerBackend Backend => backend;

    /// <summary>Rows of the step.</summary>
    public int Rows { get; private set; }

    /// <summary>The values that go from layer to layer, [rows][hidden].</summary>
    public BackendBuffer Stream => _buffers[nameof(Stream)];

    /// <summary>What a part of a layer sees: the stream, normalized.</summary>
    public BackendBuffer Input => _buffers[nameof(Input)];

    /// <summary>What a part of a layer adds to the stream.</summary>
    public BackendBuffer Output => _buffers[nameof(Output)];

    /// <summary>Whether <see cref="Output"/> is to be added with the next norm.</summary>
    public bool HasOutput { get; set; }

    /// <summary>Weights to normalize it with first; or null.</summary>
    public float[]? OutputNorm { get; set; }

    /// <summary>Begins a step.</summary>
    /// <param name="rows">Rows.</param>
    /// <param name="width">Values of a row of the stream.</param>
    public void Begin(int rows, int width)
    {
        Rows = rows;
        HasOutput = false;
        OutputNorm = null;
        Reserve(rows * width, nameof(Stream));
        Reserve(rows * width, nameof(Input));
        Reserve(rows * width, nameof(Output));
    }

    /// <summary>Room for values.</summary>
    /// <param name="length">How many.</param>
    /// <param name="name">What they are: one buffer for each name.</param>
    public BackendBuffer Reserve(int length, [CallerArgumentExpression(nameof(length))] string name = "")
    {
        if (!_buffers.TryGetValue(name, out BackendBuffer? buffer) || buffer.Length < length)
        {
            buffer?.Dispose();
            _buffers[name] = buffer = backend.Allocate(length);
        }

        return buffer;
    }

    /// <summary>Whether the backend has all of some weights.</summary>
    public bool Has(params ReadOnlySpan<ModelWeight> weights)
    {
        foreach (ModelWeight weight in weights)
        {
            if (products.Find(weight.Tensor) is null)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary><c>y = x W^T + b</c>.</summary>
    public void Multiply(ModelWeight weight, BackendBuffer x, BackendBuffer y)
    {
        backend.Multiply(products.Find(weight.Tensor)!, x, Rows, y);
        if (!weight.Bias.IsEmpty)
        {
            backend.AddRow(y, Constant(weight, weight.Bias.Span), Rows, weight.Outputs);
        }
    }

    /// <summary>Products with experts that were chosen on the backend.</summary>
    public void Multiply(ModelWeight experts, BackendBuffer x, BackendBuffer ids, int pairs, int perRow, BackendBuffer y) =>
        backend.GatherMultiply(products.Find(experts.Tensor)!, x, ids, pairs, perRow, y);

    /// <summary>Adds what is to be added to the stream, and normalizes it into <see cref="Input"/>.</summary>
    public void Normalize(float[] weights, float epsilon)
    {
        var shape = new NormShape(Rows, weights.Length, epsilon);
        backend.Norm(
            Stream, HasOutput ? Output : null, OutputNorm is null ? null : Constant(OutputNorm, OutputNorm), Constant(weights, weights), Input, shape);
        HasOutput = false;
        OutputNorm = null;
    }

    /// <summary>Values that never change, brought to the backend once.</summary>
    /// <param name="key">Whose they are.</param>
    /// <param name="values">The values.</param>
    public BackendBuffer Constant(object key, ReadOnlySpan<float> values)
    {
        if (!_constants.TryGetValue(key, out BackendBuffer? buffer))
        {
            buffer = backend.Allocate(values.Length);
            values.CopyTo(buffer.Values);
            _constants.Add(key, buffer);
        }

        return buffer;
    }

    /// <summary>The angles of the step's rows. The backend must be idle.</summary>
    public void SetAngles(RotaryEmbedding rope)
    {
        ReadOnlySpan<float> table = rope.GetTable(Rows);
        if (!_angles.TryGetValue(rope, out BackendBuffer? buffer))
        {
            _angles[rope] = buffer = backend.Allocate(table.Length / Rows * MaxRows);
        }

        table.CopyTo(buffer.Values);
    }

    /// <summary>The angles of the step's rows.</summary>
    public BackendBuffer GetAngles(RotaryEmbedding rope) => _angles[rope];

    /// <summary>The rows of a text in attention.</summary>
    public ReadOnlySpan<AttentionRow> GetRows(SequenceChunk chunk, SlotMap slots)
    {
        if (_rows.Length < chunk.Count)
        {
            _rows = new AttentionRow[MaxRows];
        }

        int total = chunk.Cache.Length + chunk.Count;
        for (int i = 0; i < chunk.Count; i++)
        {
            int position = chunk.Cache.Length + i;
            var range = SlotRange.For(slots, position, 1, total);
            (SlotRange first, SlotRange second) = range.GetHidden(slots, position);
            _rows[i] = new AttentionRow(
                (uint)(chunk.FirstRow + i), (uint)slots.GetSlot(position), (uint)range.Start, (uint)range.End, (uint)first.Start, (uint)first.End,
                (uint)second.Start, (uint)second.End);
        }

        return _rows.AsSpan(0, chunk.Count);
    }

    public void Dispose()
    {
        foreach (BackendBuffer buffer in _constants.Values.Concat(_buffers.Values).Concat(_angles.Values))
        {
            buffer.Dispose();
        }
    }
}
