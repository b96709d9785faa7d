namespace KQuant.Metal.ObjC;

/// <summary>
/// Objects that a message returns without handing them over live until the pool is disposed, on the thread that made it. Threads of .NET
/// have no pool of their own: without one, such objects would never be freed.
/// </summary>
internal readonly ref struct AutoreleasePool
{
    private readonly nint _pool;

    private AutoreleasePool(nint pool) => _pool = pool;

    /// <summary>Opens a pool.</summary>
    public static AutoreleasePool Open() => new(ObjCRuntime.PushPool());

    public void Dispose() => ObjCRuntime.PopPool(_pool);
}
