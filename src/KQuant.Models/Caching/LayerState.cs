namespace KQuant.Models.Caching;

/// <summary>
/// What one layer remembers of a text; each kind of attention has its own. A step that fails or is cancelled leaves the text as it was: what
/// a layer writes during a step counts only after <see cref="Advance"/>.
/// </summary>
internal abstract class LayerState : IDisposable
{
    /// <summary>Bytes held.</summary>
    public abstract long ByteCount { get; }

    /// <summary>How it stores, in a line: two states with the same line keep the same bytes.</summary>
    public abstract string Layout { get; }

    /// <summary>Bytes that a text of so many tokens needs.</summary>
    public abstract long GetByteCount(int length);

    /// <summary>Bytes of such a text in a file.</summary>
    public abstract long GetStoredByteCount(int length);

    /// <summary>Makes room for a text of so many tokens, and for no more.</summary>
    public abstract void Reserve(int length);

    /// <summary>Writes what is kept of so many tokens, or fills it; there is room.</summary>
    public abstract void Pass(CacheTransfer transfer, int length);

    /// <summary>Called before a step: makes room.</summary>
    /// <param name="length">Tokens of the text.</param>
    /// <param name="added">Tokens that the step adds.</param>
    /// <param name="limit">Tokens that the text may have at last.</param>
    public abstract void Prepare(int length, int added, int limit);

    /// <summary>Called after a step: what it wrote counts.</summary>
    /// <param name="length">Tokens of the text now.</param>
    public virtual void Advance(int length)
    {
    }

    /// <summary>Whether the state of a shorter text can still be had.</summary>
    /// <param name="length">Tokens, no more than there are.</param>
    public abstract bool CanTruncate(int length);

    /// <summary>Forgets the last tokens; 0 is a new text.</summary>
    /// <param name="length">Tokens to keep, as <see cref="CanTruncate"/> allows.</param>
    public abstract void Truncate(int length);

    /// <summary>The state of the first tokens, in memory of its own.</summary>
    /// <param name="length">Tokens to keep, as <see cref="CanTruncate"/> allows.</param>
    public abstract LayerState Fork(int length);

    public abstract void Dispose();
}
