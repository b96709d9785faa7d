using System.Diagnostics.CodeAnalysis;
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
public sealed partial class MetalBackend : MatmulBackend
{
    private const string Transformed = "its activations are transformed first, which only the processor does";

    private readonly MetalDevice _device;
    private readonly ObjCObject _library;
    private readonly IReadOnlySet<string> _functions;
    private readonly SelfTestResult _selfTest;
    private readonly Dictionary<string, ObjCObject> _pipelines = [];
    private readonly List<DeviceCommand> _queued = [];
    private readonly List<MetalWeights> _queuedWeights = [];
    private readonly List<DeviceBuffer> _queuedLists = [];
    private readonly List<DeviceBuffer> _spareLists = [];
    private readonly Lock _lock = new();
    private long _heldBytes;
    private bool _disposed;

    private MetalBackend(MetalDevice device, ObjCObject library, SelfTestResult selfTest)
    {
        _device = device;
        _library = library;
        _selfTest = selfTest;
        _functions = MetalDevice.GetFunctionNames(library);
    }

    /// <summary>
    /// Whether this machine has a Metal device that the shaders are written for and that answered the self-test rightly; false on every other
    /// system. Never throws. It makes a backend to find out: <see cref="TryCreate"/> does both.
    /// </summary>
    public static bool IsSupported => UnsupportedReason is null;

    /// <summary>Why <see cref="IsSupported"/> is false, without a full stop; null if it is true.</summary>
    public static string? UnsupportedReason
    {
        get
        {
            if (!TryCreate(out MetalBackend? backend, out string? reason))
            {
                return reason;
            }

            backend.Dispose();
            return null;
        }
    }

    /// <summary>
    /// Whether this build of the package carries compiled shaders. If not, Metal compiles their source when a backend is created, which
    /// takes seconds the first time.
    /// </summary>
    public static bool IsPrecompiled => ShaderLibrary.IsPrecompiled;

    /// <inheritdoc/>
    public override string Name => $"metal ({_device.Name})";

    /// <summary>What the device was asked to do so far, its self-test included.</summary>
    public MetalCounters Counters => new()
    {
        Waits = _device.WaitCount,
        Dispatches = _device.DispatchCount,
        Buffers = _device.BufferCount,
    };

    /// <summary>Whether weights of a mapped file become buffers without a copy: false where the GPU did not see such pages.</summary>
    public bool ReadsMappedFiles => _selfTest.ReadsMappedFiles;

    /// <summary>Whether products of many rows use matrix units: only where these add in the order that results are defined by.</summary>
    public bool UsesMatrixUnits => _selfTest.AddsInOrder;

    /// <summary>A backend on the default device.</summary>
    /// <param name="libraryPath">A compiled shader library (<c>.metallib</c>) to use instead of the package's own; null for that.</param>
    /// <returns>The backend; the caller disposes it, after everything that it uploaded and allocated.</returns>
    /// <exception cref="PlatformNotSupportedException">
    /// There is no Metal or no device, it is not one that the shaders are written for, or it failed the self-test: the text says which.
    /// </exception>
    /// <exception cref="MetalException">Metal could not make a queue, or not load or compile the shaders.</exception>
    public static MetalBackend Create(string? libraryPath = null) =>
        Open(libraryPath, out string? fault) ?? throw new PlatformNotSupportedException($"Metal cannot be used: {fault}.");

    /// <summary>A backend on the default device, if there is one that works.</summary>
    /// <param name="backend">The backend; the caller disposes it.</param>
    /// <param name="reason">Why there is none, without a full stop.</param>
    /// <returns>Whether there is.</returns>
    public static bool TryCreate([NotNullWhen(true)] out MetalBackend? backend, [NotNullWhen(false)] out string? reason)
    {
        try
        {
            backend = Open(null, out reason);
        }
        catch (MetalException exception)
        {
            (backend, reason) = (null, exception.Message.TrimEnd('.'));
        }

        return backend is not null;
    }

    /// <inheritdoc/>
    /// <remarks>
    /// All codecs that the shaders know, with rows of whole sixteens (that is every row of a quantized codec), as long as a buffer may be that
    /// large and the device has room for it beside what it holds.
    /// </remarks>
    public override bool Supports(QuantCodec codec, QuantShape shape)
    {
        ArgumentNullException.ThrowIfNull(codec);
        return FindObstacle(codec, shape) is null;
    }

    /// <inheritdoc/>
    /// <exception cref="MetalException">Metal made no buffer of that size.</exception>
    public override BackendWeights Upload(QuantizedTensor weights)
    {
        ArgumentNullException.ThrowIfNull(weights);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if ((weights.Transform is null ? FindObstacle(weights.Codec, weights.Shape) : Transformed) is { } obstacle)
            {
                throw new NotSupportedException($"Metal takes no {weights}: {obstacle}.");
            }

            MetalWeights result = MetalWeights.Upload(_device, weights, copies: !ReadsMappedFiles, Release);
            Interlocked.Add(ref _heldBytes, result.HeldBytes);
            return result;
        }
    }

    /// <inheritdoc/>
    /// <exception cref="MetalException">Metal made no buffer of that size.</exception>
    public override BackendBuffer Allocate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            MetalBuffer buffer = new(_device.CreateBuffer((long)length * sizeof(float)), length, Release);
            Interlocked.Add(ref _heldBytes, (long)length * sizeof(float));
            return buffer;
        }
    }

    /// <inheritdoc/>
    public override void Multiply(BackendWeights weights, BackendBuffer x, int rows, BackendBuffer y)
    {
        MetalWeights w = BackendArguments.Weights<MetalWeights>(weights);
        MetalBuffer input = BackendArguments.Buffer<MetalBuffer>(x, nameof(x)), output = BackendArguments.Buffer<MetalBuffer>(y, nameof(y));
        BackendArguments.Check(w.Tensor, input, rows, output);
        lock (_lock)
        {
            w.ThrowIfGone();
            MetalKernel kernel = MetalKernel.Choose(MetalKernel.Multiply, rows, UsesMatrixUnits);
            DeviceCommand command = Prepare(kernel, w.Tensor.Codec, Groups(w.Tensor.Shape.Rows, kernel.Outputs), Groups(rows, kernel.Rows));
            Enqueue(command, Arguments(w, rows), argumentIndex: 3, w, w.Buffer, input.Buffer, output.Buffer, null);
        }
    }

    /// <inheritdoc/>
    /// <exception cref="MetalException">The device failed; the results of everything since the last call are undefined.</exception>
    public override void Synchronize()
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            RunQueued();
        }
    }

    /// <summary>Forgets products that are queued, and releases pipelines, shaders and device.</summary>
    protected override void Dispose(bool disposing)
    {
        lock (_lock)
        {
            if (_disposed || !disposing)
            {
                return;
            }

            _disposed = true;
            ForgetQueued();
            _scores?.Dispose();
            foreach (DeviceBuffer list in _spareLists)
            {
                list.Dispose();
            }

            foreach (ObjCObject pipeline in _pipelines.Values)
            {
                pipeline.Dispose();
            }

            _library.Dispose();
            _device.Dispose();
        }
    }

    private static MetalBackend? Open(string? libraryPath, out string? fault)
    {
        MetalDevice? device = MetalDevice.Open(out fault);
        if (device is null)
        {
            return null;
        }

        ObjCObject? library = null;
        MetalBackend? backend = null;
        try
        {
            library = ShaderLibrary.Open(device, libraryPath);
            SelfTestResult result = SelfTest.Run(device, library);
            fault = result.Fault is null ? null : $"{device.Name} failed the self-test: {result.Fault}";
            return backend = fault is null ? new MetalBackend(device, library, result) : null;
        }
        finally
        {
            if (backend is null)
            {
                library?.Dispose();
                device.Dispose();
            }
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

    private DeviceCommand Prepare(MetalKernel kernel, QuantCodec codec, nuint width, nuint height) =>
        Prepare(kernel.NameFor(codec), kernel.Threads, kernel.ThreadgroupBytes, width, height);

    private DeviceCommand Prepare(string name, int threads, int threadgroupBytes, nuint width, nuint height)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (!_pipelines.TryGetValue(name, out ObjCObject? pipeline))
        {
            pipeline = _device.CreatePipeline(_library, name, threads);
            _pipelines.Add(name, pipeline);
        }

        return new DeviceCommand(pipeline, new MTLSize(width, height, 1), threads, threadgroupBytes);
    }

    private void Enqueue<T>(
        DeviceCommand command, in T arguments, int argumentIndex, MetalWeights? weights, params ReadOnlySpan<DeviceBuffer?> buffers)
        where T : unmanaged
    {
        command.BindValue(argumentIndex, arguments);
        command.Bind(buffers);
        _queued.Add(command);
        if (weights is not null)
        {
            _queuedWeights.Add(weights);
        }
    }

    private string? FindObstacle(QuantCodec codec, QuantShape shape)
    {
        if (!_functions.Contains(MetalKernel.Multiply[0].NameFor(codec)))
        {
            return $"there are no shaders for {codec}";
        }

        if (codec.Transform is not null)
        {
            return Transformed;
        }

        if (shape.Columns <= 0 || shape.Columns % Math.Max(16, codec.WeightsPerBlock) != 0 || shape.Rows is <= 0 or > uint.MaxValue || shape.Experts is <= 0 or > int.MaxValue)
        {
            return $"dimensions must not be zero and columns a multiple of {Math.Max(16, codec.WeightsPerBlock)}";
        }

        long bytes = MetalWeights.CountBytes(codec, shape), held = Interlocked.Read(ref _heldBytes);
        return bytes > _device.MaxBufferLength ? $"a buffer of {_device.Name} has at most {_device.MaxBufferLength} bytes"
            : _device.WorkingSet > 0 && held + bytes > _device.WorkingSet ? $"{_device.Name} holds {held} of at most {_device.WorkingSet} bytes"
            : null;
    }

    private void Release(long bytes) => Interlocked.Add(ref _heldBytes, -bytes);

    private void RunQueued()
    {
        if (_queued.Count == 0)
        {
            return;
        }

        try
        {
            // A file that was closed meanwhile has no pages for the GPU to read.
            foreach (MetalWeights weights in _queuedWeights)
            {
                weights.ThrowIfGone();
            }

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

        _spareLists.AddRange(_queuedLists);
        _queued.Clear();
        _queuedWeights.Clear();
        _queuedLists.Clear();
    }
}
