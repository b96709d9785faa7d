using KQuant.Codecs;

namespace KQuant.TestKit;

/// <summary>What the maker of the fixtures noted about a row; see <c>fixtures/README.md</c>.</summary>
[Flags]
public enum RowNotes : byte
{
    None = 0,

    /// <summary>The C encoder runs into undefined behaviour: its bytes are not to be compared.</summary>
    UndefinedInC = 1,

    /// <summary>A build with fused multiply-add gives other bytes.</summary>
    FusedDiffers = 2,

    /// <summary>The decoded row holds infinities or NaNs.</summary>
    NonFinite = 4,

    /// <summary>The SIMD encoder of ggml gives other bytes.</summary>
    SimdDiffers = 8,
}

/// <summary>One row of a codec fixture.</summary>
public sealed record FixtureRow(string Kind, RowNotes Notes, float[] Weights, byte[] Wire, float[] Decoded);

/// <summary>The rows of <c>fixtures/gguf/CODEC.gguf</c>, encoded by ggml either without importance or with it.</summary>
public sealed class CodecFixture
{
    private CodecFixture(QuantCodec codec, FixtureTensors tensors, bool weighted)
    {
        string suffix = weighted ? "_im" : "";
        int columns = (int)tensors.Dims("x")[0];
        int rows = (int)tensors.Dims("x")[1];
        RowByteCount = (int)codec.GetByteCount(columns);
        float[] weights = tensors.Floats("x");
        float[] decoded = tensors.Floats("deq" + suffix);
        byte[] wire = tensors.Bytes("w" + suffix, (long)rows * RowByteCount).ToArray();
        var kinds = (object[])tensors.Metadata["fixture.rows.kind"];
        var flags = (object[])tensors.Metadata["fixture.rows.flags" + suffix];
        Importance = weighted ? tensors.Floats("imatrix") : null;
        Rows = [.. Enumerable.Range(0, rows).Select(row => new FixtureRow(
            (string)kinds[row],
            (RowNotes)(byte)flags[row],
            weights[(row * columns)..((row + 1) * columns)],
            wire[(row * RowByteCount)..((row + 1) * RowByteCount)],
            decoded[(row * columns)..((row + 1) * columns)]))];
    }

    /// <summary>Importance of each column; null in the fixture without.</summary>
    public float[]? Importance { get; }

    public int RowByteCount { get; }

    public IReadOnlyList<FixtureRow> Rows { get; }

    public static CodecFixture Load(QuantCodec codec, bool weighted) => new(codec, FixtureTensors.Load(codec), weighted);
}
