namespace KQuant.Metal.ObjC;

/// <summary>Metal's <c>MTLSize</c>: passed by value.</summary>
internal readonly struct MTLSize(nuint width, nuint height, nuint depth)
{
    public readonly nuint Width = width;
    public readonly nuint Height = height;
    public readonly nuint Depth = depth;
}
