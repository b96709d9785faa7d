namespace KQuant.Models.Caching;

/// <summary>
/// How the values of a head become a row of bytes and come back. Keys may come back as something that prepared queries meet: an estimate of
/// products need not be a vector of as many values.
/// </summary>
/// <remarks>Immutable: stores of all layers share one, and threads use it at once.</remarks>
/// <param name="headSize">Values of a head.</param>
internal abstract unsafe class RowCoding(int headSize)
{
    /// <summary>Values of a head.</summary>
    public int HeadSize => headSize;

    /// <summary>Bytes of a row.</summary>
    public abstract int RowBytes { get; }

    /// <summary>Values of a decoded key, and of a prepared query.</summary>
    public virtual int DecodedSize => headSize;

    /// <summary>Whether queries meet decoded keys as <see cref="PrepareQuery"/> makes them.</summary>
    public virtual bool PreparesQueries => false;

    /// <summary>Encodes a row.</summary>
    /// <param name="values">The values, finite; they may be changed.</param>
    /// <param name="row">Receives <see cref="RowBytes"/>.</param>
    public abstract void Encode(float* values, byte* row);

    /// <summary>Decodes rows that follow each other.</summary>
    /// <param name="rows">The first.</param>
    /// <param name="count">How many.</param>
    /// <param name="values">Receives <see cref="DecodedSize"/> values of each.</param>
    /// <param name="stride">From one row of values to the next.</param>
    public abstract void Decode(byte* rows, int count, float* values, int stride);

    /// <summary>Prepares a query for decoded keys; only where it <see cref="PreparesQueries"/>.</summary>
    /// <param name="query">A row of a head's size.</param>
    /// <param name="prepared">Receives <see cref="DecodedSize"/> values.</param>
    public virtual void PrepareQuery(ReadOnlySpan<float> query, Span<float> prepared) => throw new NotSupportedException();

    /// <summary>The row as the values that it stands for.</summary>
    /// <param name="row">The row.</param>
    /// <param name="values">Receives the values of a head.</param>
    public virtual void Reconstruct(byte* row, float* values) => Decode(row, 1, values, headSize);
}
