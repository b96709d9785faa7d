using System.Runtime.InteropServices;

namespace KQuant.Metal;

/// <summary><c>multiply_args</c> of the shaders.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct MultiplyArguments(ulong Weights, ulong RowBytes, ulong ExpertBytes, uint Columns, uint Outputs, uint Rows);

/// <summary><c>dequantize_args</c> of the shaders.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct DequantizeArguments(ulong Source, ulong First, uint Blocks);

/// <summary><c>encode_args</c> of the shaders.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct EncodeArguments(ulong First, uint Blocks);

/// <summary><c>segment</c> of the shaders: entries of the lists of rows that meet one expert.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct Segment(uint Expert, uint First, uint Count);
