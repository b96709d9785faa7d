using System.Buffers;
using System.Runtime.InteropServices;

namespace KQuant.Codecs;

/// <summary>
/// The bytes of a tensor for the length of one operation: whoever disposes the tensor, its file or its buffer meanwhile frees the memory when
/// the last lease ends. Arrays may move, so that the references have to be pinned.
/// </summary>
/// <remarks>Nothing is allocated; an operation takes one lease, however many rows it reads.</remarks>
internal ref struct TensorLease : IDisposable
{
    private readonly ref readonly byte _firstCode;
    private readonly ref readonly byte _firstScale;
    private readonly ref readonly byte _firstBias;
    private SafeHandle? _owner;
    private SafeBuffer? _codes;
    private SafeBuffer? _scales;
    private SafeBuffer? _biases;
    private MemoryHandle _codesPin;
    private MemoryHandle _scalesPin;
    private MemoryHandle _biasesPin;

    /// <summary>Takes hold of memory.</summary>
    /// <param name="owner">What the tensor owns itself, if anything.</param>
    /// <param name="codes">The first plane.</param>
    /// <param name="scales">The second plane.</param>
    /// <param name="biases">The third plane.</param>
    /// <exception cref="ObjectDisposedException">Some of it was disposed.</exception>
    public TensorLease(SafeHandle? owner, in TensorPlane codes, in TensorPlane scales, in TensorPlane biases)
    {
        try
        {
            bool added = false;
            owner?.DangerousAddRef(ref added);
            _owner = owner;
            _firstCode = ref codes.Acquire(out _codes, out _codesPin);
            _firstScale = ref scales.Acquire(out _scales, out _scalesPin);
            _firstBias = ref biases.Acquire(out _biases, out _biasesPin);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The first byte of the first plane; a null reference when the tensor is empty.</summary>
    public readonly ref readonly byte Codes => ref _firstCode;

    /// <summary>The first byte of the second plane; a null reference where there is none.</summary>
    public readonly ref readonly byte Scales => ref _firstScale;

    /// <summary>The first byte of the third plane; a null reference where there is none.</summary>
    public readonly ref readonly byte Biases => ref _firstBias;

    /// <summary>Lets go. Once.</summary>
    public void Dispose()
    {
        _biasesPin.Dispose();
        _scalesPin.Dispose();
        _codesPin.Dispose();
        _biases?.ReleasePointer();
        _scales?.ReleasePointer();
        _codes?.ReleasePointer();
        _owner?.DangerousRelease();
        _biases = _scales = _codes = null;
        _owner = null;
    }
}
