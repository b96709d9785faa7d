using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace KQuant.Metal.ObjC;

/// <summary>One run of a kernel, waiting to be submitted: pipeline, buffers at indices 0, 1, 2, ..., bytes between them, and the grid in threadgroups.</summary>
internal sealed class DeviceCommand(ObjCObject pipeline, MTLSize grid, int threads, int threadgroupBytes)
{
    /// <summary>The most bytes that travel with a command.</summary>
    public const int MaxInlineBytes = 4096;

    private readonly List<(int Index, byte[] Content)> _inline = [];

    public ObjCObject Pipeline { get; } = pipeline;

    public MTLSize Grid { get; } = grid;

    public MTLSize Group { get; } = new((nuint)threads, 1, 1);

    public int ThreadgroupBytes { get; } = threadgroupBytes;

    /// <summary>Buffers by index; null where bytes are.</summary>
    public ObjCObject?[] Buffers { get; private set; } = [];

    /// <summary>Small arguments and lists by index, which travel with the command.</summary>
    public IReadOnlyList<(int Index, byte[] Content)> Inline => _inline;

    /// <summary>Binds a struct of arguments.</summary>
    public void BindValue<T>(int index, in T arguments)
        where T : unmanaged
    {
        byte[] content = new byte[Unsafe.SizeOf<T>()];
        Unsafe.WriteUnaligned(ref content[0], arguments);
        _inline.Add((index, content));
    }

    /// <summary>Binds a list of at most <see cref="MaxInlineBytes"/>.</summary>
    public void BindList<T>(int index, ReadOnlySpan<T> list)
        where T : unmanaged => _inline.Add((index, MemoryMarshal.AsBytes(list).ToArray()));

    /// <summary>Binds buffers. They stay alive until <see cref="Release"/>, whoever disposes them.</summary>
    public void Bind(params ReadOnlySpan<DeviceBuffer?> buffers)
    {
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
}
