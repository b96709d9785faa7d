namespace KQuant.Models.Grammars;

/// <summary>The calls that are open: where to go on when the innermost rule ends. Equal stacks of a table are one object.</summary>
/// <param name="parent">The calls around it; null for the outermost.</param>
/// <param name="state">Where to go on.</param>
/// <param name="id">Its number in the table.</param>
internal sealed class StackNode(StackNode? parent, int state, long id)
{
    public StackNode? Parent => parent;

    public int State => state;

    public long Id => id;

    /// <summary>Open calls.</summary>
    public int Depth { get; } = (parent?.Depth ?? 0) + 1;
}
