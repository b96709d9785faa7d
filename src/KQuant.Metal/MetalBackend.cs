using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Matmul;
using KQuant.Matmul.Backends;
using KQuant.Metal.ObjC;

namespace KQuant.Metal;

/// <summary>
/// Products on an Apple GPU, with weights of all codecs in their wire format and activations in float32. Results have the bits of
/// <see cref="QuantizedMatmul"/> with <see cref="ActivationPrecision.Float32"/>, whatever the number of rows, as long as no number on the
/// way is subnormal: GPUs flush those to zero.
/// </summary>
/// <remarks>
/// Products are queued and run in order, in one command buffer, when <see cref="Synchronize"/> is called. Weights of a mapped file are not
/// copied: their pages become a buffer of the device, and the file must stay open.
/// </remarks>
public sealed partial class MetalBackend : IMatmulBackend
{
    private readonly MetalDevice _device;
    private readonly ObjCObject _library;
    private readonly Dictionary<string, ObjCObject> _pipelines = [];
    private readonly List<DeviceCommand> _queued = [];
    private readonly List<DeviceBuffer> _temporary = [];
    private readonly Lock _lock = new();
    private bool _disposed;

    private MetalBackend(MetalDevice device, ObjCObject library)
    {
        _device = device;
        _library = library;
    }

    /// <summary>Whether this machine has Metal and a device; false on every other system. Never throws.</summary>
    public static bool IsSupported => MetalDevice.Exists();

    /// <summary>
    /// Whether this build of the package carries compiled shaders. If not, Metal compiles their source when a backend is created, which
    /// takes seconds the first time.
    /// </summary>
    public static bool IsPrecompiled => ShaderLibrary.IsPrecompiled;

    /// <inheritdoc/>
    public string Name => $"metal ({_device.Name})";

    /// <summary>A backend on the default device.</summary>
    /// <param name="libraryPath">A compiled shader library (<c>.metallib</c>) to use instead of the package's own; null for that.</param>
    /// <returns>The backend; the caller disposes it, after everything that it uploaded and allocated.</returns>
    /// <exception cref="PlatformNotSupportedException">There is no Metal or no device: <see cref="IsSupported"/> is false.</exception>
    /// <exception cref="MetalException">Metal could not make a queue, or not load or compile the shaders.</exception>
    public static MetalBackend Create(string? libraryPath = null)
    {
        MetalDevice device = MetalDevice.Open() ?? throw new PlatformNotSupportedException("There is no Metal device on this machine.");
        try
        {
            return new MetalBackend(device, ShaderLibrary.Open(device, libraryPath));
        }
        catch
        {
            device.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    /// <remarks>The codecs that the shaders know, with rows of whole sixteens; that is every row of a quantized codec.</remarks>
    public bool Supports(QuantCodec codec, QuantShape shape)
    {
        ArgumentNullException.ThrowIfNull(codec);
        return ShaderLibrary.Codecs.Contains(codec.Name) && codec.Transform is null && shape.Columns > 0 && shape.Columns % 16 == 0 && shape.Rows is > 0 and <= uint.MaxValue && shape.Experts is > 0 and <= int.MaxValue;
    }

    /// <inheritdoc/>
    /// <exception cref="MetalException">Metal made no buffer of that size.</exception>
    public BackendWeights Upload(QuantizedTensor weights)
    {
        ArgumentNullException.ThrowIfNull(weights);
        if (!ShaderLibrary.Codecs.Contains(weights.Codec.Name))
        {
            throw new NotSupportedException($"Metal takes no {weights}: there are no shaders for {weights.Codec}.");
        }

        if (weights.Transform is not null)
        {
            throw new NotSupportedException($"Metal takes no {weights}: its activations are transformed first, which only the processor does.");
        }

        if (!Supports(weights.Codec, weights.Shape))
        {
            throw new NotSupportedException($"Metal takes no {weights}: dimensions must not be zero and columns a multiple of 16.");
        }

        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return MetalWeights.Upload(_device, weights);
        }
    }

    /// <inheritdoc/>
    /// <exception cref="MetalException">Metal made no buffer of that size.</exception>
    public BackendBuffer Allocate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return new MetalBuffer(_device.CreateBuffer((long)length * sizeof(float)), length);
        }
    }

    /// <inheritdoc/>
    public void Multiply(BackendWeights weights, BackendBuffer x, int rows, BackendBuffer y)
    {
        MetalWeights w = BackendArguments.Weights<MetalWeights>(weights);
        MetalBuffer input = BackendArguments.Buffer<MetalBuffer>(x, nameof(x)), output = BackendArguments.Buffer<MetalBuffer>(y, nameof(y));
        BackendArguments.Check(w.Tensor, input, rows, output);
        lock (_lock)
        {
            w.ThrowIfGone();
            MetalKernel kernel = MetalKernel.Choose(MetalKernel.Multiply, rows);
            DeviceCommand command = Prepare(kernel, w.Tensor.Codec, Groups(w.Tensor.Shape.Rows, kernel.Outputs), Groups(rows, kernel.Rows));
            Enqueue(command, Arguments(w, rows), argumentIndex: 3, w.Buffer, input.Buffer, output.Buffer, null);
        }
    }

    /// <inheritdoc/>
    /// <exception cref="MetalException">The device failed; the results of everything since the last call are undefined.</exception>
    public void Synchronize()
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            RunQueued();
        }
    }

    /// <summary>Forgets products that are queued, and releases pipelines, shaders and device.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            ForgetQueued();
            foreach (ObjCObject pipeline in _pipelines.Values)
            {
                pipeline.Dispose();
            }

            _library.Dispose();
            _device.Dispose();
        }
    }

    private static nuint Groups(long count, int size) => (nuint)((count + size - 1) / size);

    private static MultiplyArguments Arguments(MetalWeights weights, int rows)
    {
        QuantizedTensor tensor = weights.Tensor;
        return new MultiplyArguments(
            (ulong)weights.Offset,
            (ulong)tensor.RowByteCount,
            (ulong)(tensor.RowByteCount * tensor.Shape.Rows),
            (uint)tensor.Shape.Columns,
            (uint)tensor.Shape.Rows,
            (uint)rows);
    }

    private DeviceCommand Prepare(MetalKernel kernel, QuantCodec codec, nuint width, nuint height)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        string name = kernel.NameFor(codec);
        if (!_pipelines.TryGetValue(name, out ObjCObject? pipeline))
        {
            pipeline = _device.CreatePipeline(_library, name, kernel.Threads);
            _pipelines.Add(name, pipeline);
        }

        return new DeviceCommand(pipeline, new MTLSize(width, height, 1), kernel.Threads, kernel.ThreadgroupBytes);
    }

    private void Enqueue<T>(DeviceCommand command, in T arguments, int argumentIndex, params ReadOnlySpan<DeviceBuffer?> buffers)
        where T : unmanaged
    {
        command.Bind(arguments, argumentIndex, buffers);
        _queued.Add(command);
    }

    /// <summary>A buffer that lives until the queued products ran, filled with a copy.</summary>
    private DeviceBuffer CreateTemporary<T>(ReadOnlySpan<T> content)
        where T : unmanaged
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(content);
        DeviceBuffer buffer = _device.CreateBuffer(bytes.Length);
        _temporary.Add(buffer);
        bytes.CopyTo(buffer.Values<byte>());
        return buffer;
    }

    private void RunQueued()
    {
        if (_queued.Count == 0)
        {
            return;
        }

        try
        {
            _device.Run(CollectionsMarshal.AsSpan(_queued));
        }
        finally
        {
            ForgetQueued();
        }
    }

    private void ForgetQueued()
    {
        foreach (DeviceCommand command in _queued)
        {
            command.Release();
        }

        foreach (DeviceBuffer buffer in _temporary)
        {
            buffer.Dispose();
        }

        _queued.Clear();
        _temporary.Clear();
    }
}
