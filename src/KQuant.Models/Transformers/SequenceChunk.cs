namespace KQuant.Models.Transformers;

/// <summary>Consecutive rows of a batch that continue one text.</summary>
/// <param name="Cache">What came before; it goes on only when the step is complete.</param>
/// <param name="FirstRow">Their first row.</param>
/// <param name="Count">How many there are.</param>
internal readonly record struct SequenceChunk(KeyValueCache Cache, int FirstRow, int Count);
