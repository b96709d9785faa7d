using System.Runtime.CompilerServices;

namespace KQuant.Metal.ObjC;

/// <summary>One run of a kernel, waiting to be submitted: pipeline, buffers at indices 0, 1, 2, ..., arguments, and the grid in threadgroups.</summary>
internal sealed class DeviceCommand(ObjCObject pipeline, MTLSize grid, int threads, int threadgroupBytes)
{
    private ArgumentBytes _arguments;

    public ObjCObject Pipeline { get; } = pipeline;

    public MTLSize Grid { get; } = grid;

    public MTLSize Group { get; } = new((nuint)threads, 1, 1);

    public int ThreadgroupBytes { get; } = threadgroupBytes;

    /// <summary>Buffers by index; null at the index of the arguments.</summary>
    public ObjCObject?[] Buffers { get; private set; } = [];

    public int ArgumentIndex { get; private set; }

    public int ArgumentLength { get; private set; }

    public ReadOnlySpan<byte> Arguments => ((ReadOnlySpan<byte>)_arguments)[..ArgumentLength];

    /// <summary>Binds everything. The buffers stay alive until <see cref="Release"/>, whoever disposes them.</summary>
    public void Bind<T>(in T arguments, int argumentIndex, params ReadOnlySpan<DeviceBuffer?> buffers)
        where T : unmanaged
    {
        ArgumentIndex = argumentIndex;
        ArgumentLength = Unsafe.SizeOf<T>();
        Unsafe.WriteUnaligned(ref Unsafe.As<ArgumentBytes, byte>(ref _arguments), arguments);
        var bound = new ObjCObject?[buffers.Length];
        try
        {
            for (int i = 0; i < buffers.Length; i++)
            {
                bool added = false;
                buffers[i]?.Object.DangerousAddRef(ref added);
                bound[i] = added ? buffers[i]!.Object : null;
            }
        }
        catch
        {
            ReleaseAll(bound);
            throw;
        }

        Buffers = bound;
    }

    /// <summary>Lets the buffers go.</summary>
    public void Release()
    {
        ReleaseAll(Buffers);
        Buffers = [];
    }

    private static void ReleaseAll(ObjCObject?[] buffers)
    {
        foreach (ObjCObject? buffer in buffers)
        {
            buffer?.DangerousRelease();
        }
    }

    [InlineArray(64)]
    private struct ArgumentBytes
    {
        private byte _first;
    }
}
