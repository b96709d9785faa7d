namespace KQuant.Codecs.Files;

/// <summary>The type of a metadata value; the numbers are those in the file.</summary>
public enum GgufValueType : uint
{
    /// <summary>Unsigned 8-bit integer.</summary>
    UInt8 = 0,

    /// <summary>Signed 8-bit integer.</summary>
    Int8 = 1,

    /// <summary>Unsigned 16-bit integer.</summary>
    UInt16 = 2,

    /// <summary>Signed 16-bit integer.</summary>
    Int16 = 3,

    /// <summary>Unsigned 32-bit integer.</summary>
    UInt32 = 4,

    /// <summary>Signed 32-bit integer.</summary>
    Int32 = 5,

    /// <summary>IEEE 754 binary32.</summary>
    Float32 = 6,

    /// <summary>One byte: 0 is false, anything else true.</summary>
    Bool = 7,

    /// <summary>UTF-8 text.</summary>
    String = 8,

    /// <summary>Elements of one other type; of arrays, if nested.</summary>
    Array = 9,

    /// <summary>Unsigned 64-bit integer.</summary>
    UInt64 = 10,

    /// <summary>Signed 64-bit integer.</summary>
    Int64 = 11,

    /// <summary>IEEE 754 binary64.</summary>
    Float64 = 12,
}
