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

/// <summary><c>row_args</c> of the shaders.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct RowArguments(uint Count, uint Width);

/// <summary><c>norm_args</c> of the shaders.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct NormArguments(uint Width, float Epsilon, uint Flags);

/// <summary><c>head_args</c> of the shaders.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct HeadArguments(
    uint Heads, uint KeyHeads, uint Size, uint Rotated, uint Interleaved, uint Capacity, uint ValueStride, uint HasNorms, float Epsilon, float Scale);

/// <summary><c>route_args</c> of the shaders.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct RouteArguments(uint Experts, uint PerRow, uint Normalizes, float LeastSum);

/// <summary><c>weighted_args</c> of the shaders.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct WeightedArguments(uint Count, uint PerRow, uint Width);
