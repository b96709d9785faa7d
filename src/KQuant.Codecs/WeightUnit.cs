namespace KQuant.Codecs;

/// <summary>
/// 256 weights of a row taken apart into integers, in natural order: what every format has in common.
/// K-quants: <c>w = D[0] * Scales[s] * Codes[i] - M[0] * Mins[s]</c>, s the sub-block of i.
/// 32-wide codecs: <c>w = D[b] * Codes[i] + M[b]</c>, b = i / 32. Offsets (-8, -16, -32) are already in the codes.
/// </summary>
internal unsafe struct WeightUnit
{
    public fixed sbyte Codes[256];
    public fixed short Scales[16];
    public fixed short Mins[16];
    public fixed float D[8];
    public fixed float M[8];
}
