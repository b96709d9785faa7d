namespace KQuant.Codecs;

/// <summary>
/// A value that cannot be encoded: a weight or an importance that is not finite, a negative importance, or a weight beyond the scales of
/// its format.
/// </summary>
public sealed class InvalidWeightException : KQuantException
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">One sentence with the value and the place.</param>
    /// <param name="row">Row of the value; of an importance, the first row it applies to.</param>
    /// <param name="column">Column of the value, or first column of the block.</param>
    /// <param name="value">The offending value.</param>
    public InvalidWeightException(string message, long row, int column, float value)
        : base(message)
    {
        Row = row;
        Column = column;
        Value = value;
    }

    /// <summary>
    /// Row of the value, counted from <see cref="EncodeOptions.FirstRow"/>; of an importance, the first row it applies to.
    /// </summary>
    public long Row { get; }

    /// <summary>Column of the value, or the first column of the block whose scale overflows.</summary>
    public int Column { get; }

    /// <summary>The offending value.</summary>
    public float Value { get; }
}
