using System.Runtime.CompilerServices;

namespace KQuant.Codecs.Blocks;

// Byte arrays that live inside a block struct; each converts to a span where one is needed.

[InlineArray(4)]
internal struct Bytes4
{
    private byte _first;
}

[InlineArray(12)]
internal struct Bytes12
{
    private byte _first;
}

[InlineArray(16)]
internal struct Bytes16
{
    private byte _first;
}

[InlineArray(32)]
internal struct Bytes32
{
    private byte _first;
}

[InlineArray(64)]
internal struct Bytes64
{
    private byte _first;
}

[InlineArray(128)]
internal struct Bytes128
{
    private byte _first;
}

[InlineArray(256)]
internal struct Bytes256
{
    private byte _first;
}

[InlineArray(16)]
internal struct SBytes16
{
    private sbyte _first;
}

[InlineArray(32)]
internal struct SBytes32
{
    private sbyte _first;
}
