using System.Runtime.InteropServices;

namespace KQuant.Matmul.Backends;

/// <summary>The sizes of a norm.</summary>
/// <param name="Rows">Rows.</param>
/// <param name="Width">Values of a row.</param>
/// <param name="Epsilon">What is added to the mean of the squares.</param>
internal readonly record struct NormShape(int Rows, int Width, float Epsilon);

/// <summary>The sizes of attention.</summary>
/// <param name="Heads">Heads of queries.</param>
/// <param name="KeyHeads">Heads of keys and values; divides the former.</param>
/// <param name="Size">Values of a head.</param>
/// <param name="Rotated">Values of a head that are rotated; even.</param>
/// <param name="Interleaved">Whether neighbours are rotated together, or values half of <paramref name="Rotated"/> apart.</param>
/// <param name="Epsilon">For the norms of heads.</param>
/// <param name="Scale">What queries are multiplied with.</param>
internal readonly record struct HeadShape(int Heads, int KeyHeads, int Size, int Rotated, bool Interleaved, float Epsilon, float Scale);

/// <summary>
/// Keys and values of a layer: keys in blocks of sixteen slots with the slots innermost, [head][slot / 16][value][16]; values in rows,
/// [head][slot][stride].
/// </summary>
/// <param name="Keys">The keys.</param>
/// <param name="Values">The values.</param>
/// <param name="Capacity">Slots of a head; a multiple of sixteen.</param>
/// <param name="ValueStride">Values from slot to slot.</param>
internal readonly record struct BackendCache(BackendBuffer Keys, BackendBuffer Values, int Capacity, int ValueStride);

/// <summary>A row in attention, as the shaders have it.</summary>
/// <param name="Row">Its place in queries and outputs.</param>
/// <param name="Slot">Where its own key and value go.</param>
/// <param name="Start">The first slot that is looked at; a multiple of sixteen.</param>
/// <param name="End">One behind the last.</param>
/// <param name="HiddenFrom">The first of the slots between them that it does not see.</param>
/// <param name="HiddenTo">One behind these.</param>
/// <param name="AlsoHiddenFrom">The first of more such slots.</param>
/// <param name="AlsoHiddenTo">One behind these.</param>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct AttentionRow(
    uint Row, uint Slot, uint Start, uint End, uint HiddenFrom, uint HiddenTo, uint AlsoHiddenFrom, uint AlsoHiddenTo)
{
    /// <summary>Whether it sees a slot.</summary>
    public bool Sees(uint slot) => !(slot >= HiddenFrom && slot < HiddenTo) && !(slot >= AlsoHiddenFrom && slot < AlsoHiddenTo);
}

/// <summary>The sizes of a choice of experts.</summary>
/// <param name="Rows">Rows.</param>
/// <param name="Experts">Experts there are.</param>
/// <param name="PerRow">Experts that a row gets.</param>
/// <param name="Normalizes">Whether weights are divided by their sum.</param>
/// <param name="LeastSum">The least that they are divided by.</param>
internal readonly record struct RouteShape(int Rows, int Experts, int PerRow, bool Normalizes, float LeastSum);
