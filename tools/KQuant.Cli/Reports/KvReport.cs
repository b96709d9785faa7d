namespace KQuant.Cli.Reports;

/// <summary>What <c>kquant kv bench</c> found.</summary>
/// <param name="Processor">The machine.</param>
/// <param name="HeadSize">Values of a head.</param>
/// <param name="Tokens">Tokens that were remembered.</param>
/// <param name="Kinds">The kinds of caches.</param>
internal sealed record KvReport(string Processor, int HeadSize, int Tokens, IReadOnlyList<KvEntry> Kinds);

/// <summary>A kind of cache.</summary>
/// <param name="Name">Its name.</param>
/// <param name="KeyBytes">Bytes of a key head of a token.</param>
/// <param name="ValueBytes">Bytes of a value head of a token.</param>
/// <param name="KeyBits">Bits of a number in keys.</param>
/// <param name="ValueBits">Bits of a number in values.</param>
/// <param name="KeyCosine">Mean cosine of keys with what they are decoded to.</param>
/// <param name="ValueCosine">The same of values.</param>
/// <param name="ProductError">Errors of products with queries, in units of the products.</param>
/// <param name="ProductBias">Their mean.</param>
/// <param name="OutputCosine">Mean cosine of outputs of attention with those in float32.</param>
/// <param name="AttentionsPerSecond">How often a token attends; null if that was not measured.</param>
internal sealed record KvEntry(
    string Name,
    int KeyBytes,
    int ValueBytes,
    double KeyBits,
    double ValueBits,
    double KeyCosine,
    double ValueCosine,
    double ProductError,
    double ProductBias,
    double OutputCosine,
    double? AttentionsPerSecond);
