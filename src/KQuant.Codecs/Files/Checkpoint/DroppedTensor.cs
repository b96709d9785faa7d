namespace KQuant.Codecs.Files;

/// <summary>A stored tensor that is not part of the model, and why.</summary>
/// <param name="Name">Its stored name.</param>
/// <param name="Reason">The reason, in a few words.</param>
public readonly record struct DroppedTensor(string Name, string Reason);
