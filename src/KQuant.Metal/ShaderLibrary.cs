using System.Collections.Frozen;
using System.Text;
using System.Text.RegularExpressions;
using KQuant.Metal.ObjC;

namespace KQuant.Metal;

/// <summary>The shaders that the assembly carries: always their source, and compiled if it was built on a Mac with Xcode.</summary>
internal static partial class ShaderLibrary
{
    private const string Compiled = "kquant.metallib";

    /// <summary>Names of the codecs that the source has kernels for.</summary>
    public static FrozenSet<string> Codecs { get; } = NamesIn(CodecKernels());

    /// <summary>Names of the codecs that the source has an encoder for.</summary>
    public static FrozenSet<string> Encoders { get; } = NamesIn(EncoderNames());

    /// <summary>Whether the assembly carries compiled shaders.</summary>
    public static bool IsPrecompiled => typeof(ShaderLibrary).Assembly.GetManifestResourceInfo(Compiled) is not null;

    /// <summary>The source as one text.</summary>
    public static string GetSource() => Expand("kquant.metal");

    /// <summary>Opens a library on a device.</summary>
    /// <param name="device">The device.</param>
    /// <param name="path">A compiled library; null for the shaders of the assembly.</param>
    public static ObjCObject Open(MetalDevice device, string? path) =>
        path is not null ? device.LoadLibrary(path)
        : IsPrecompiled ? Open(device, Read(Compiled))
        : device.CompileLibrary(GetSource());

    /// <summary>Opens compiled shaders; a system that refuses them, being older or another than they were built for, compiles the source.</summary>
    public static ObjCObject Open(MetalDevice device, ReadOnlySpan<byte> compiled)
    {
        try
        {
            return device.LoadLibrary(compiled);
        }
        catch (MetalException)
        {
            return device.CompileLibrary(GetSource());
        }
    }

    // Metal compiles a text, not a folder: quoted includes are put in place, each once.
    private static string Expand(string name) =>
        Include().Replace(Encoding.UTF8.GetString(Read(name)).ReplaceLineEndings("\n"), match => Expand(match.Groups[1].Value));

    private static byte[] Read(string name)
    {
        using Stream stream = typeof(ShaderLibrary).Assembly.GetManifestResourceStream(name)
            ?? throw new MetalException($"The assembly has no shader {name}.");
        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    private static FrozenSet<string> NamesIn(Regex instances) =>
        instances.Matches(GetSource()).Select(match => match.Groups[1].Value).ToFrozenSet(StringComparer.Ordinal);

    // KQ_EVERY_CODEC in kquant.metal: a list of KERNELS(name).
    [GeneratedRegex("""\bKERNELS\((\w+)\)""")]
    private static partial Regex CodecKernels();

    [GeneratedRegex("""^KQ_ENCODE_KERNEL\((\w+)\)""", RegexOptions.Multiline)]
    private static partial Regex EncoderNames();

    [GeneratedRegex("""^#include "(.+)"$""", RegexOptions.Multiline)]
    private static partial Regex Include();
}
