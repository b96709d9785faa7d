namespace KQuant.Models.Grammars;

/// <summary>All the places of a grammar where a text may be, and what follows from there as far as it is known.</summary>
/// <param name="places">States with edges that read something, in ascending order, with their open calls.</param>
/// <param name="isAccepting">Whether the text may end here.</param>
/// <param name="generation">Which table it belongs to.</param>
internal sealed class GrammarState((int State, StackNode? Stack)[] places, bool isAccepting, int generation)
{
    private GrammarState?[]? _next;
    private readonly ulong[] _isKnown = new ulong[4];

    public (int State, StackNode? Stack)[] Places => places;

    public bool IsAccepting => isAccepting;

    public int Generation => generation;

    /// <summary>The tokens that may follow; null while that is not known.</summary>
    public ulong[]? Mask { get; set; }

    /// <summary>What follows a byte, if it is known.</summary>
    public bool TryGetNext(byte value, out GrammarState? next)
    {
        next = _next?[value];
        return (_isKnown[value >> 6] >> value & 1) != 0;
    }

    public void SetNext(byte value, GrammarState? next)
    {
        (_next ??= new GrammarState?[256])[value] = next;
        _isKnown[value >> 6] |= 1UL << value;
    }
}
