namespace KQuant.Codecs;

/// <summary>Where a run of blocks begins in each plane of its codec; null where there is no such plane.</summary>
internal unsafe readonly struct PlanePointers(byte* codes, byte* scales = null, byte* biases = null)
{
    public readonly byte* Codes = codes;
    public readonly byte* Scales = scales;
    public readonly byte* Biases = biases;

    /// <summary>Three distances from here.</summary>
    public PlanePointers Add(nint codes, nint scales, nint biases) => new(
        Codes + codes, Scales == null ? null : Scales + scales, Biases == null ? null : Biases + biases);

    /// <summary>So many blocks of a codec from here.</summary>
    public PlanePointers Skip(QuantCodec codec, nint blocks) => Add(
        blocks * codec.PlaneBytes(0), blocks * codec.PlaneBytes(1), blocks * codec.PlaneBytes(2));
}
