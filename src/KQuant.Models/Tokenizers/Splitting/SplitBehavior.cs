namespace KQuant.Models.Tokenizers;

/// <summary>What becomes of the matches of a pattern.</summary>
internal enum SplitBehavior
{
    Isolated,
    Removed,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}
