using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;

namespace KQuant.Codecs.Files;

/// <summary>
/// A storage type that ggml knows, with the size of its blocks: also those without a codec here, so that a file with such tensors can be
/// listed, checked and copied. Ids and sizes are those of ggml's <c>enum ggml_type</c> and its type table.
/// </summary>
public sealed record GgmlType
{
    private GgmlType(uint id, string name, int weightsPerBlock, int bytesPerBlock)
    {
        Id = id;
        Name = name;
        WeightsPerBlock = weightsPerBlock;
        BytesPerBlock = bytesPerBlock;
    }

    /// <summary>
    /// Every type that files may have today, by id. Ids that ggml has removed (4, 5, 31 to 33, 36 to 38) are not among them.
    /// </summary>
    public static ImmutableArray<GgmlType> All { get; } =
    [
        new(0, "f32", 1, 4), new(1, "f16", 1, 2), new(2, "q4_0", 32, 18), new(3, "q4_1", 32, 20), new(6, "q5_0", 32, 22),
        new(7, "q5_1", 32, 24), new(8, "q8_0", 32, 34), new(9, "q8_1", 32, 36), new(10, "q2_k", 256, 84), new(11, "q3_k", 256, 110),
        new(12, "q4_k", 256, 144), new(13, "q5_k", 256, 176), new(14, "q6_k", 256, 210), new(15, "q8_k", 256, 292),
        new(16, "iq2_xxs", 256, 66), new(17, "iq2_xs", 256, 74), new(18, "iq3_xxs", 256, 98), new(19, "iq1_s", 256, 50),
        new(20, "iq4_nl", 32, 18), new(21, "iq3_s", 256, 110), new(22, "iq2_s", 256, 82), new(23, "iq4_xs", 256, 136),
        new(24, "i8", 1, 1), new(25, "i16", 1, 2), new(26, "i32", 1, 4), new(27, "i64", 1, 8), new(28, "f64", 1, 8),
        new(29, "iq1_m", 256, 56), new(30, "bf16", 1, 2), new(34, "tq1_0", 256, 54), new(35, "tq2_0", 256, 66), new(39, "mxfp4", 32, 17),
        new(40, "nvfp4", 64, 36), new(41, "q1_0", 128, 18), new(42, "q2_0", 64, 18),
    ];

    /// <summary>The id in files.</summary>
    public uint Id { get; }

    /// <summary>ggml's name in lower case, as codecs are named here: <c>q4_k</c>, <c>iq4_nl</c>, <c>i32</c>.</summary>
    public string Name { get; }

    /// <summary>Elements in one block; 1 for plain numbers. A row is a whole number of blocks.</summary>
    public int WeightsPerBlock { get; }

    /// <summary>Bytes of one block.</summary>
    public int BytesPerBlock { get; }

    /// <summary>The codec, or null for types that this library lists and copies but does not decode.</summary>
    public QuantCodec? Codec => QuantCodec.TryGet((QuantFormat)Id, out QuantCodec? codec) ? codec : null;

    internal static string NameList => string.Join(", ", All.Select(type => type.Name));

    /// <summary>The type of an id, if ggml knows one.</summary>
    /// <param name="id">An id from a file.</param>
    /// <param name="type">The type, or null.</param>
    /// <returns>Whether the id is known.</returns>
    public static bool TryGet(uint id, [NotNullWhen(true)] out GgmlType? type)
    {
        foreach (GgmlType candidate in All)
        {
            if (candidate.Id == id)
            {
                type = candidate;
                return true;
            }
        }

        type = null;
        return false;
    }

    /// <summary>The type of a format.</summary>
    /// <param name="format">A format with a codec.</param>
    /// <returns>The type.</returns>
    /// <exception cref="NotSupportedException">ggml has no such type.</exception>
    public static GgmlType Of(QuantFormat format)
    {
        if (!TryGet((uint)format, out GgmlType? type))
        {
            Throw.UnknownFormat(format);
        }

        return type;
    }

    /// <summary>The type of a codec.</summary>
    /// <param name="codec">A codec.</param>
    /// <returns>The type.</returns>
    /// <exception cref="NotSupportedException">GGML does not have the codec, and GGUF files cannot hold it.</exception>
    public static GgmlType Of(QuantCodec codec)
    {
        ArgumentNullException.ThrowIfNull(codec);
        return codec.Format is QuantFormat format
            ? Of(format)
            : throw new NotSupportedException($"GGML has no type for {codec.Name}, so no GGUF file can hold it.");
    }

    /// <inheritdoc/>
    public override string ToString() => Name;
}
