namespace KQuant.Models.Transformers;

/// <summary>Where a row of a step belongs.</summary>
/// <param name="Cache">The cache of its text.</param>
/// <param name="Position">Its position there.</param>
internal readonly record struct RowTarget(KeyValueCache Cache, int Position);
