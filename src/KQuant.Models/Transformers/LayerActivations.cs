using KQuant.Models.Computing;

namespace KQuant.Models.Transformers;

/// <summary>
/// What a layer computes on its way. For inference one set serves all layers, one after the other, and some buffers serve twice; a set that
/// keeps everything, one for each layer, is what a backward pass needs.
/// </summary>
/// <remarks>Every kind of attention and of feed-forward layer uses the buffers that it needs; the others stay empty.</remarks>
internal sealed unsafe class LayerActivations : IDisposable
{
    private readonly List<IDisposable> _buffers = [];

    /// <param name="keepsAll">Whether everything is still there when the layer is done.</param>
    public LayerActivations(bool keepsAll)
    {
        KeepsAll = keepsAll;
        Input = New<float>();
        AttentionInput = New<float>();
        Queries = New<float>();
        Keys = New<float>();
        Values = New<float>();
        Attended = New<float>();
        AttentionOutput = New<float>();
        Middle = New<float>();
        RouterProbabilities = New<float>();
        ExpertIds = New<int>();
        ExpertWeights = New<float>();
        Gate = New<float>();
        Up = New<float>();
        ExpertOutputs = New<float>();
        SharedRouter = New<float>();
        SharedOutput = New<float>();
        FeedForwardInput = Apart(AttentionInput);
        FeedForwardOutput = Apart(AttentionOutput);
        Gated = Apart(Gate);
        SharedGate = Apart(Gate);
        SharedUp = Apart(Up);
        SharedGated = Apart(SharedGate);
    }

    /// <summary>Whether everything is still there when the layer is done.</summary>
    public bool KeepsAll { get; }

    /// <summary>The stream as it enters the layer, [rows][hidden]; only in a set that keeps everything.</summary>
    public NativeBuffer<float> Input { get; }

    /// <summary>What attention sees: the stream, normalized.</summary>
    public NativeBuffer<float> AttentionInput { get; }

    /// <summary>Queries, normalized and rotated, [rows][heads][head size].</summary>
    public NativeBuffer<float> Queries { get; }

    /// <summary>Keys of the step, normalized and rotated.</summary>
    public NativeBuffer<float> Keys { get; }

    /// <summary>Values of the step.</summary>
    public NativeBuffer<float> Values { get; }

    /// <summary>What attention gives, before its output projection.</summary>
    public NativeBuffer<float> Attended { get; }

    /// <summary>What attention adds to the stream, before a norm behind it.</summary>
    public NativeBuffer<float> AttentionOutput { get; }

    /// <summary>The stream between attention and feed-forward layer; only in a set that keeps everything.</summary>
    public NativeBuffer<float> Middle { get; }

    /// <summary>What the feed-forward layer sees.</summary>
    public NativeBuffer<float> FeedForwardInput { get; }

    /// <summary>Probabilities of all experts, [rows][experts].</summary>
    public NativeBuffer<float> RouterProbabilities { get; }

    /// <summary>The experts of each row, best first.</summary>
    public NativeBuffer<int> ExpertIds { get; }

    /// <summary>What their outputs are multiplied with.</summary>
    public NativeBuffer<float> ExpertWeights { get; }

    /// <summary>The gate before its activation, [rows][inner], or for each expert of a row.</summary>
    public NativeBuffer<float> Gate { get; }

    /// <summary>What is gated.</summary>
    public NativeBuffer<float> Up { get; }

    /// <summary><c>act(gate) * up</c>.</summary>
    public NativeBuffer<float> Gated { get; }

    /// <summary>What each expert of a row gives.</summary>
    public NativeBuffer<float> ExpertOutputs { get; }

    /// <summary>The score of the shared expert, [rows].</summary>
    public NativeBuffer<float> SharedRouter { get; }

    /// <summary><see cref="Gate"/> of the shared expert.</summary>
    public NativeBuffer<float> SharedGate { get; }

    /// <summary><see cref="Up"/> of the shared expert.</summary>
    public NativeBuffer<float> SharedUp { get; }

    /// <summary><see cref="Gated"/> of the shared expert.</summary>
    public NativeBuffer<float> SharedGated { get; }

    /// <summary>What the shared expert gives.</summary>
    public NativeBuffer<float> SharedOutput { get; }

    /// <summary>What the feed-forward layer adds to the stream, before a norm behind it.</summary>
    public NativeBuffer<float> FeedForwardOutput { get; }

    /// <summary>Values that are changed in place, or a copy of them if they are to be kept.</summary>
    /// <param name="source">The values.</param>
    /// <param name="target">Where they are changed; the same buffer unless everything is kept.</param>
    /// <param name="length">How many.</param>
    public static float* Bring(NativeBuffer<float> source, NativeBuffer<float> target, long length) =>
        ReferenceEquals(source, target) ? source.Pointer : target.Copy(source.Pointer, length);

    public void Dispose() => _buffers.ForEach(buffer => buffer.Dispose());

    private NativeBuffer<T> New<T>()
        where T : unmanaged
    {
        var buffer = new NativeBuffer<T>();
        _buffers.Add(buffer);
        return buffer;
    }

    private NativeBuffer<float> Apart(NativeBuffer<float> shared) => KeepsAll ? New<float>() : shared;
}
