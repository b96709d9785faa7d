using System.Runtime.InteropServices;

namespace KQuant.Metal.ObjC;

/// <summary>An <c>MTLDevice</c> and its queue, in the words of C#. Every failure is an exception with Metal's text.</summary>
internal sealed unsafe class MetalDevice : IDisposable
{
    private const string CoreGraphics = "/System/Library/Frameworks/CoreGraphics.framework/CoreGraphics";
    private const nint FamilyApple7 = 1007;
    private const nuint Completed = 4;
    private const nuint Language = (3 << 16) + 1;

    private readonly ObjCObject _device;
    private readonly ObjCObject _queue;

    private MetalDevice(ObjCObject device, ObjCObject queue, string name)
    {
        _device = device;
        _queue = queue;
        Name = name;
        MaxBufferLength = (long)ObjCRuntime.SendForUnsigned(device.Id, Selectors.MaxBufferLength);
        WorkingSet = (long)ObjCRuntime.SendForUnsigned(device.Id, Selectors.RecommendedMaxWorkingSetSize);
    }

    /// <summary>What the device calls itself.</summary>
    public string Name { get; }

    /// <summary>The most bytes of a buffer.</summary>
    public long MaxBufferLength { get; }

    /// <summary>Bytes that the device holds without running out of memory or becoming slow; 0 if it does not say.</summary>
    public long WorkingSet { get; }

    /// <summary>Buffers made so far.</summary>
    public long BufferCount { get; private set; }

    /// <summary>Submissions that were waited for so far.</summary>
    public long WaitCount { get; private set; }

    /// <summary>Kernels started so far.</summary>
    public long DispatchCount { get; private set; }

    /// <summary>The default device, if it is one that the shaders are written for: simdgroups of 32 with exchanges, and memory that it shares.</summary>
    /// <param name="fault">Why there is none.</param>
    /// <returns>The device; null if there is none.</returns>
    /// <exception cref="MetalException">Metal made no queue.</exception>
    public static MetalDevice? Open(out string? fault) => Open(anyFamily: false, out fault);

    /// <summary>The default device, whatever it can: to ask its compiler.</summary>
    /// <exception cref="MetalException">Metal made no queue.</exception>
    public static MetalDevice? OpenAny() => Open(anyFamily: true, out _);

    private static MetalDevice? Open(bool anyFamily, out string? fault)
    {
        fault = "this machine has no Metal device";
        ObjCObject? device = Find();
        if (device is null)
        {
            return null;
        }

        ObjCObject? queue = null;
        try
        {
            using var pool = AutoreleasePool.Open();
            string name = ObjCText.ToString(ObjCRuntime.SendForObject(device.Id, Selectors.Name));
            fault = anyFamily ? null
                : ObjCRuntime.SendForBool(device.Id, Selectors.SupportsFamily, FamilyApple7) == 0 ? $"{name} is not of Apple's GPU family 7 (M1) or newer"
                : ObjCRuntime.SendForBool(device.Id, Selectors.HasUnifiedMemory) == 0 ? $"{name} does not share the processor's memory"
                : null;
            if (fault is not null)
            {
                return null;
            }

            queue = ObjCObject.Own(ObjCRuntime.SendForObject(device.Id, Selectors.NewCommandQueue))
                ?? throw new MetalException("Metal made no command queue.");
            return new MetalDevice(device, queue, name);
        }
        finally
        {
            if (queue is null)
            {
                device.Dispose();
            }
        }
    }

    /// <summary>New memory, undefined; at least one byte.</summary>
    public DeviceBuffer CreateBuffer(long length)
    {
        CheckLength(length);
        using var pool = AutoreleasePool.Open();
        ObjCObject buffer = ObjCObject.Own(ObjCRuntime.SendForBuffer(_device.Id, Selectors.NewBuffer, (nuint)length, 0))
            ?? throw new MetalException($"Metal made no buffer of {length} bytes.");
        BufferCount++;
        return new DeviceBuffer(buffer, length);
    }

    /// <summary>Memory that is there already: whole pages, which stay the caller's. Null if Metal does not take them.</summary>
    /// <param name="start">The first page.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="hold">Takes hold of the memory; what it returns is disposed when the device's buffer is gone. Null when the caller outlives it.</param>
    /// <remarks>Virtual machines are known to give buffers without length, or ones whose content the GPU does not see; see <see cref="SelfTest"/>.</remarks>
    public DeviceBuffer? WrapPages(byte* start, long length, Func<IDisposable>? hold = null)
    {
        CheckLength(length);
        using var pool = AutoreleasePool.Open();
        IDisposable? memory = hold?.Invoke();
        var buffer = ObjCObject.Own(ObjCRuntime.SendForBuffer(_device.Id, Selectors.NewBufferNoCopy, start, (nuint)length, 0, 0), memory);
        if (buffer is null)
        {
            memory?.Dispose();
            return null;
        }

        if (ObjCRuntime.SendForUnsigned(buffer.Id, Selectors.Length) < (nuint)length || ObjCRuntime.SendForPointer(buffer.Id, Selectors.Contents) != start)
        {
            buffer.Dispose();
            return null;
        }

        BufferCount++;
        return new DeviceBuffer(buffer, length);
    }

    /// <summary>The names of all kernels of a library.</summary>
    public static IReadOnlySet<string> GetFunctionNames(ObjCObject library)
    {
        using var pool = AutoreleasePool.Open();
        nint names = ObjCRuntime.SendForObject(library.Id, Selectors.FunctionNames);
        nuint count = ObjCRuntime.SendForUnsigned(names, Selectors.Count);
        var result = new HashSet<string>();
        for (nuint i = 0; i < count; i++)
        {
            result.Add(ObjCText.ToString(ObjCRuntime.SendForObjectAt(names, Selectors.ObjectAtIndex, i)));
        }

        return result;
    }

    /// <summary>A compiled library in a file.</summary>
    public ObjCObject LoadLibrary(string path)
    {
        using var pool = AutoreleasePool.Open();
        nint url = ObjCRuntime.SendForObject(Selectors.NSUrl, Selectors.FileUrlWithPath, ObjCText.ToNSString(path));
        nint error = 0, library = ObjCRuntime.SendForObject(_device.Id, Selectors.NewLibraryFromUrl, url, &error);
        return ObjCObject.Own(library) ?? throw new MetalException($"Metal cannot load {path}: {ObjCText.Describe(error)}");
    }

    /// <summary>A compiled library in memory.</summary>
    public ObjCObject LoadLibrary(ReadOnlySpan<byte> bytes)
    {
        using var pool = AutoreleasePool.Open();
        fixed (byte* p = bytes)
        {
            using var data = ObjCObject.Own(ObjCRuntime.CreateData(p, (nuint)bytes.Length, 0, 0));
            nint error = 0, library = ObjCRuntime.SendForObject(_device.Id, Selectors.NewLibraryFromData, data?.Id ?? 0, &error);
            return ObjCObject.Own(library) ?? throw new MetalException($"Metal cannot load its shaders: {ObjCText.Describe(error)}");
        }
    }

    /// <summary>Compiles source without any liberty in arithmetic.</summary>
    public ObjCObject CompileLibrary(string source)
    {
        using var pool = AutoreleasePool.Open();
        using var options = ObjCObject.Own(ObjCRuntime.SendForObject(Selectors.CompileOptions, Selectors.New));
        nint id = options?.Id ?? throw new MetalException("Metal made no compile options.");
        ObjCRuntime.SendVoidUnsigned(id, Selectors.SetLanguageVersion, Language);
        if (ObjCRuntime.SendForBool(id, Selectors.RespondsToSelector, Selectors.SetMathMode) != 0)
        {
            ObjCRuntime.SendVoid(id, Selectors.SetMathMode, (nint)0);
        }
        else
        {
            ObjCRuntime.SendVoid(id, Selectors.SetFastMathEnabled, (byte)0);
        }

        nint error = 0, text = ObjCText.ToNSString(source);
        nint library = ObjCRuntime.SendForObject(_device.Id, Selectors.NewLibraryFromSource, text, id, &error);
        return ObjCObject.Own(library) ?? throw new MetalException($"Metal cannot compile the shaders: {ObjCText.Describe(error)}");
    }

    /// <summary>A kernel, ready to run with so many threads to a threadgroup.</summary>
    public ObjCObject CreatePipeline(ObjCObject library, string name, int threads)
    {
        using var pool = AutoreleasePool.Open();
        using var function = ObjCObject.Own(ObjCRuntime.SendForObject(library.Id, Selectors.NewFunction, ObjCText.ToNSString(name)));
        nint id = function?.Id ?? throw new MetalException($"The shader library has no function {name}.");
        nint error = 0, pipeline = ObjCRuntime.SendForObject(_device.Id, Selectors.NewPipeline, id, &error);
        ObjCObject owned = ObjCObject.Own(pipeline)
            ?? throw new MetalException($"Metal cannot make a pipeline of {name}: {ObjCText.Describe(error)}");
        nuint limit = ObjCRuntime.SendForUnsigned(pipeline, Selectors.MaxThreads), width = ObjCRuntime.SendForUnsigned(pipeline, Selectors.SimdWidth);
        if (limit < (nuint)threads || width != 32)
        {
            owned.Dispose();
            throw new MetalException($"{name} runs with {limit} threads in simdgroups of {width} on {Name}; it needs {threads} in simdgroups of 32.");
        }

        return owned;
    }

    /// <summary>Runs commands one after the other and waits for the last.</summary>
    public void Run(ReadOnlySpan<DeviceCommand> commands)
    {
        using var pool = AutoreleasePool.Open();
        nint buffer = ObjCRuntime.SendForObject(_queue.Id, Selectors.CommandBuffer);
        nint encoder = ObjCRuntime.SendForObject(buffer, Selectors.ComputeCommandEncoder);
        if (encoder == 0)
        {
            throw new MetalException("Metal made no command encoder.");
        }

        try
        {
            foreach (DeviceCommand command in commands)
            {
                Encode(encoder, command);
            }
        }
        finally
        {
            // An encoder that is released while it is open ends the process.
            ObjCRuntime.SendVoid(encoder, Selectors.EndEncoding);
        }

        WaitCount++;
        DispatchCount += commands.Length;
        ObjCRuntime.SendVoid(buffer, Selectors.Commit);
        ObjCRuntime.SendVoid(buffer, Selectors.WaitUntilCompleted);
        if (ObjCRuntime.SendForUnsigned(buffer, Selectors.Status) != Completed)
        {
            throw new MetalException($"{Name} failed: {ObjCText.Describe(ObjCRuntime.SendForObject(buffer, Selectors.Error))}");
        }
    }

    public void Dispose()
    {
        _queue.Dispose();
        _device.Dispose();
    }

    private static void Encode(nint encoder, DeviceCommand command)
    {
        ObjCRuntime.SendVoid(encoder, Selectors.SetPipeline, command.Pipeline.Id);
        for (int i = 0; i < command.Buffers.Length; i++)
        {
            if (command.Buffers[i] is { } buffer)
            {
                ObjCRuntime.SendVoid(encoder, Selectors.SetBuffer, buffer.DangerousGetHandle(), 0, (nuint)i);
            }
        }

        foreach ((int index, byte[] content) in command.Inline)
        {
            fixed (byte* bytes = content)
            {
                ObjCRuntime.SendVoid(encoder, Selectors.SetBytes, bytes, (nuint)content.Length, (nuint)index);
            }
        }

        if (command.ThreadgroupBytes > 0)
        {
            ObjCRuntime.SendVoid(encoder, Selectors.SetThreadgroupMemory, (nuint)command.ThreadgroupBytes, 0);
        }

        ObjCRuntime.SendVoid(encoder, Selectors.DispatchGroups, command.Grid, command.Group);
    }

    // A program without a window gets no default device unless CoreGraphics is loaded; some get none even then.
    private static ObjCObject? Find()
    {
        NativeLibrary.TryLoad(CoreGraphics, out _);
        try
        {
            using var pool = AutoreleasePool.Open();
            if (ObjCObject.Own(ObjCRuntime.CreateSystemDefaultDevice()) is { } device)
            {
                return device;
            }

            using var devices = ObjCObject.Own(ObjCRuntime.CopyAllDevices());
            return devices is null || ObjCRuntime.SendForUnsigned(devices.Id, Selectors.Count) == 0
                ? null
                : Retain(ObjCRuntime.SendForObjectAt(devices.Id, Selectors.ObjectAtIndex, 0));
        }
        catch (Exception exception) when (exception is DllNotFoundException or EntryPointNotFoundException)
        {
            return null;
        }
    }

    private static ObjCObject? Retain(nint borrowed) => ObjCObject.Own(ObjCRuntime.SendForObject(borrowed, Selectors.Retain));

    private void CheckLength(long length)
    {
        if (length < 1 || length > MaxBufferLength)
        {
            throw new MetalException($"A buffer of {length} bytes is more than {Name} allows: {MaxBufferLength}.");
        }
    }
}
