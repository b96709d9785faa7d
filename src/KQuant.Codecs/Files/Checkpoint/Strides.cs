namespace KQuant.Codecs.Files;

/// <summary>How far elements of a stored tensor are from one another, where rows are not stored one after the other.</summary>
/// <param name="Row">Elements from a row to the next.</param>
/// <param name="Column">Elements from a column to the next.</param>
internal readonly record struct Strides(long Row, long Column);
