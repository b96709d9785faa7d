using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Matmul;
using KQuant.Matmul.Backends;

namespace KQuant.Models.Products;

/// <summary>Products on a backend, as far as it takes the weights; the others on the processor.</summary>
/// <remarks>
/// Weights go to the backend when they are first multiplied. Products with the same x that follow one another, those of a layer's queries,
/// keys and values, are one submission with one copy of x.
/// </remarks>
internal sealed unsafe class BackendProducts(MatmulContext context, MatmulBackend backend) : ModelProducts(context)
{
    private readonly Dictionary<QuantizedTensor, BackendWeights?> _weights = [];
    private readonly List<Result> _queued = [];
    private readonly List<BackendBuffer> _outputs = [];
    private BackendBuffer? _input;
    private float* _inputSource;

    /// <summary>What the backend does between products; null if it does not.</summary>
    public ILayerBackend? Layers => backend as ILayerBackend;

    public override void Forget()
    {
        base.Forget();
        _queued.Clear();
        _inputSource = null;
    }

    /// <summary>The weights on the backend; null if they stay on the processor.</summary>
    public BackendWeights? Find(QuantizedTensor tensor)
    {
        ref BackendWeights? weights = ref CollectionsMarshal.GetValueRefOrAddDefault(_weights, tensor, out bool isKnown);
        if (!isKnown && backend.Supports(tensor.Codec, tensor.Shape))
        {
            try
            {
                weights = backend.Upload(tensor);
            }
            catch (BackendException)
            {
                // No memory for them on the device: the processor multiplies with them.
                weights = null;
            }
        }

        return weights;
    }

    public override void Dispose()
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
        base.Dispose();
    }

    protected override void Start(ModelWeight weight, in ProductInput input, float* output, CancellationToken cancellation)
    {
        if (Find(weight.Tensor) is not { } weights)
        {
            ProcessorProducts.Multiply(Context, weight, input, output, cancellation);
            return;
        }

        int results = checked(input.Results * weight.Outputs);
        BackendBuffer x = Send(input.Span(weight.Inputs)), y = Reserve(results);
        if (weight.IsStack)
        {
            var ids = new IndexArray(input.Ids, [input.Rows, input.IdsPerRow]);
            backend.GatherMultiply(weights, x, [input.Rows, 1, 1, weight.Inputs], default, ids, y);
        }
        else
        {
            backend.Multiply(weights, x, input.Rows, y);
        }

        _queued.Add(new Result(output, results));
    }

    protected override void Complete()
    {
        if (_queued.Count == 0)
        {
            return;
        }

        try
        {
            backend.Synchronize();
            for (int i = 0; i < _queued.Count; i++)
            {
                _queued[i].Take(_outputs[i]);
            }
        }
        finally
        {
            _queued.Clear();
            _inputSource = null;
        }
    }

    /// <summary>Brings x to the backend, unless what is queued has it there already.</summary>
    private BackendBuffer Send(ReadOnlySpan<float> x)
    {
        fixed (float* source = x)
        {
            if (source != _inputSource)
            {
                Complete();
                Grow(ref _input, x.Length);
                x.CopyTo(_input!.Values);
                _inputSource = source;
            }
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
            buffer = backend.Allocate(length);
        }
    }

    /// <summary>Where a result belongs.</summary>
    private readonly struct Result(float* target, int length)
    {
        public void Take(BackendBuffer buffer) => buffer.Values[..length].CopyTo(new Span<float>(target, length));
    }
}
