using System.Diagnostics.CodeAnalysis;
using KQuant.Codecs.Files;
using KQuant.Codecs.Planes;

namespace KQuant.Codecs;

/// <summary>How MLX quantizes a weight: what <c>config.json</c> says of it. <see cref="GetCodec"/> has the codec.</summary>
public sealed record MlxFormat
{
    private MlxFormat(MlxMode mode, int groupSize, int bits)
    {
        Mode = mode;
        GroupSize = groupSize;
        Bits = bits;
    }

    /// <summary>The mode.</summary>
    public MlxMode Mode { get; }

    /// <summary>Consecutive weights of a row that share a scale.</summary>
    public int GroupSize { get; }

    /// <summary>Bits of a code.</summary>
    public int Bits { get; }

    /// <summary>The mode as checkpoints spell it.</summary>
    public string ModeName => NameOf(Mode);

    internal static int[] GroupSizes { get; } = [32, 64, 128];

    internal static int[] BitCounts { get; } = [2, 3, 4, 5, 6, 8];

    /// <summary>A format with the default sizes of its mode where none are given: affine 64 and 4, mxfp4 32 and 4, mxfp8 32 and 8, nvfp4 16 and 4.</summary>
    /// <param name="mode">The mode.</param>
    /// <param name="groupSize">Weights that share a scale.</param>
    /// <param name="bits">Bits of a code.</param>
    /// <returns>The format.</returns>
    /// <exception cref="ArgumentException">The mode has no such sizes.</exception>
    public static MlxFormat Create(MlxMode mode, int? groupSize = null, int? bits = null) =>
        TryCreate(mode, groupSize, bits, out MlxFormat? format, out string? problem) ? format : throw new ArgumentException(problem);

    /// <summary>The mode of a name such as <c>mxfp4</c>.</summary>
    /// <param name="name">A name as checkpoints spell it.</param>
    /// <param name="mode">The mode, or affine.</param>
    /// <returns>Whether there is such a mode.</returns>
    public static bool TryParseMode(string? name, out MlxMode mode)
    {
        foreach (MlxMode candidate in Enum.GetValues<MlxMode>())
        {
            if (NameOf(candidate) == name)
            {
                mode = candidate;
                return true;
            }
        }

        mode = default;
        return false;
    }

    /// <summary>The codec.</summary>
    /// <param name="scales">What affine scales and biases are stored as: F16, BF16 or F32. The other modes have a type of their own.</param>
    /// <returns>The codec.</returns>
    /// <exception cref="ArgumentException">Scales are not stored as such.</exception>
    public QuantCodec GetCodec(ElementType scales = ElementType.F16)
    {
        foreach (QuantCodec codec in QuantCodec.Quantized.Concat(QuantCodec.OtherScales))
        {
            if (codec.Mlx == this && (codec as AffineCodec is not { } affine || affine.ScaleType == scales))
            {
                return codec;
            }
        }

        throw new ArgumentException($"Scales and biases are F16, BF16 or F32, not {scales}.", nameof(scales));
    }

    /// <inheritdoc/>
    public override string ToString() => $"{ModeName}, {Bits} bits in groups of {GroupSize}";

    internal static string NameOf(MlxMode mode) => mode.ToString().ToLowerInvariant();

    internal static bool TryCreate(
        MlxMode mode, int? groupSize, int? bits, [NotNullWhen(true)] out MlxFormat? format, [NotNullWhen(false)] out string? problem)
    {
        (int group, int width) = mode switch
        {
            MlxMode.Affine => (64, 4),
            MlxMode.MxFp4 => (32, 4),
            MlxMode.MxFp8 => (32, 8),
            MlxMode.NvFp4 => (16, 4),
            _ => throw new ArgumentOutOfRangeException(nameof(mode)),
        };
        string name = NameOf(mode);
        int givenGroup = groupSize ?? group, givenBits = bits ?? width;
        bool isAffine = mode == MlxMode.Affine;
        format = null;
        problem = null;
        if (isAffine ? !BitCounts.Contains(givenBits) : givenBits != width)
        {
            problem = $"{name} has codes of {(isAffine ? "2, 3, 4, 5, 6 or 8" : $"{width}")} bits, not {givenBits}";
        }
        else if (isAffine ? !GroupSizes.Contains(givenGroup) : givenGroup != group)
        {
            problem = $"{name} has groups of {(isAffine ? "32, 64 or 128" : $"{group}")} weights, not {givenGroup}";
        }
        else
        {
            format = new MlxFormat(mode, givenGroup, givenBits);
        }

        return format is not null;
    }
}
