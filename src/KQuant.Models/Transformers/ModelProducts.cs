using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Matmul;
using KQuant.Matmul.Backends;
using KQuant.Matmul.Layers;

namespace KQuant.Models.Transformers;

/// <summary>
/// The products of a model with its weights: on the processor, or on a backend for the weights that it takes. They may be queued;
/// <see cref="Finish"/> ends them.
/// </summary>
/// <remarks>
/// Weights go to the backend when they are first multiplied. Products with the same x that follow one another, those of a layer's queries,
/// keys and values, are one submission with one copy of x.
/// </remarks>
internal sealed unsafe class ModelProducts(MatmulContext context, IMatmulBackend? backend) : IDisposable
{
    private readonly Dictionary<QuantizedTensor, BackendWeights?> _weights = [];
    private readonly List<Result> _queued = [];
    private readonly List<BackendBuffer> _outputs = [];
    private BackendBuffer? _input;
    private float* _inputSource;

    /// <summary><c>y = x W^T + b</c>.</summary>
    /// <param name="layer">W and b.</param>
    /// <param name="x">[rows][inputs]; stays as it is until <see cref="Finish"/>.</param>
    /// <param name="y">[rows][outputs], there after <see cref="Finish"/>.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="cancellation">Ends it early.</param>
    public void Multiply(QuantizedLinear layer, float* x, float* y, int rows, CancellationToken cancellation)
    {
        int inputs = checked(rows * layer.Inputs), outputs = checked((int)(rows * layer.Outputs));
        if (Find(layer.Weights) is not { } weights)
        {
            layer.Forward(new ReadOnlySpan<float>(x, inputs), new Span<float>(y, outputs), context, cancellation);
            return;
        }

        BackendBuffer input = Send(x, inputs), output = Reserve(outputs);
        backend!.Multiply(weights, input, rows, output);
        _queued.Add(new Result(y, outputs, layer.Bias));
    }

    /// <summary>Sends every row through its experts, <c>y[t, s] = x[t] W[ids[t, s]]^T</c>.</summary>
    /// <param name="layer">W.</param>
    /// <param name="x">[rows][inputs]; stays as it is until <see cref="Finish"/>.</param>
    /// <param name="ids">The experts of the rows, [rows, experts of a row].</param>
    /// <param name="y">[rows][experts of a row][outputs], there after <see cref="Finish"/>.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="cancellation">Ends it early.</param>
    public void Multiply(QuantizedSwitchLinear layer, float* x, ReadOnlySpan<int> ids, float* y, int rows, CancellationToken cancellation)
    {
        int inputs = checked(rows * layer.Inputs), outputs = checked((int)(ids.Length * layer.Outputs));
        if (!layer.Bias.IsEmpty || Find(layer.Experts) is not { } experts)
        {
            layer.Forward(new ReadOnlySpan<float>(x, inputs), ids, new Span<float>(y, outputs), context, cancellationToken: cancellation);
            return;
        }

        BackendBuffer input = Send(x, inputs), output = Reserve(outputs);
        backend!.GatherMultiply(experts, input, [rows, 1, 1, layer.Inputs], default, new IndexArray(ids, [rows, ids.Length / rows]), output);
        _queued.Add(new Result(y, outputs, default));
    }

    /// <summary>Waits for the results.</summary>
    public void Finish()
    {
        if (_queued.Count == 0)
        {
            return;
        }

        try
        {
            backend!.Synchronize();
            for (int i = 0; i < _queued.Count; i++)
            {
                _queued[i].Take(_outputs[i]);
            }
        }
        finally
        {
            Forget();
        }
    }

    /// <summary>Gives up results that a call which failed left behind.</summary>
    public void Forget()
    {
        _queued.Clear();
        _inputSource = null;
    }

    public void Dispose()
    {
        foreach (BackendWeights? weights in _weights.Values)
        {
            weights?.Dispose();
        }

        foreach (BackendBuffer buffer in _outputs)
        {
            buffer.Dispose();
        }

        _input?.Dispose();
    }

    /// <summary>The weights on the backend; null if they stay on the processor.</summary>
    private BackendWeights? Find(QuantizedTensor tensor)
    {
        if (backend is null)
        {
            return null;
        }

        ref BackendWeights? weights = ref CollectionsMarshal.GetValueRefOrAddDefault(_weights, tensor, out bool isKnown);
        if (!isKnown && backend.Supports(tensor.Codec, tensor.Shape))
        {
            weights = backend.Upload(tensor);
        }

        return weights;
    }

    /// <summary>Brings x to the backend, unless what is queued has it there already.</summary>
    private BackendBuffer Send(float* x, int length)
    {
        if (x != _inputSource)
        {
            Finish();
            Grow(ref _input, length);
            new ReadOnlySpan<float>(x, length).CopyTo(_input!.Values);
            _inputSource = x;
        }

        return _input!;
    }

    /// <summary>Room for the results of the next product in the queue.</summary>
    private BackendBuffer Reserve(int length)
    {
        BackendBuffer? buffer = _queued.Count < _outputs.Count ? _outputs[_queued.Count] : null;
        Grow(ref buffer, length);
        if (_queued.Count == _outputs.Count)
        {
            _outputs.Add(buffer!);
        }

        _outputs[_queued.Count] = buffer!;
        return buffer!;
    }

    private void Grow(ref BackendBuffer? buffer, int length)
    {
        if (buffer is null || buffer.Length < length)
        {
            buffer?.Dispose();
            buffer = backend!.Allocate(length);
        }
    }

    /// <summary>Where a result belongs, and what is added to its rows.</summary>
    private readonly struct Result(float* target, int length, ReadOnlyMemory<float> bias)
    {
        public void Take(BackendBuffer buffer)
        {
            var values = new Span<float>(target, length);
            buffer.Values[..length].CopyTo(values);
            ReadOnlySpan<float> addend = bias.Span;
            for (; !addend.IsEmpty && !values.IsEmpty; values = values[addend.Length..])
            {
                TensorPrimitives.Add(values[..addend.Length], addend, values);
            }
        }
    }
}
