using System.CommandLine;
using System.Globalization;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;

namespace KQuant.Cli.Commands;

/// <summary>What <c>--kquant-type</c> asks for: a block codec, a mode of MLX's, or a recipe of two of them.</summary>
internal sealed record QuantizeChoice
{
    private static readonly (int Low, int High)[] Mixes = [(2, 6), (3, 4), (3, 6), (4, 6)];

    /// <summary>The word that was given.</summary>
    public required string Word { get; init; }

    /// <summary>The block codec, which GGUF files and K-quant checkpoints hold; null if there is none.</summary>
    public QuantCodec? Codec { get; init; }

    /// <summary>MLX's mode, for a checkpoint; null if it is none.</summary>
    public MlxMode? Mode { get; init; }

    /// <summary>Bits of most weights.</summary>
    public int? Bits { get; init; }

    /// <summary>Bits of the weights that have more of them.</summary>
    public int? MoreBits { get; init; }

    /// <summary>Every word there is.</summary>
    public static IEnumerable<string> Words => CommonOptions.BlockCodecs.Select(codec => codec.Name)
        .Concat(MlxWords.Select(choice => choice.Word)).Distinct();

    private static IEnumerable<QuantizeChoice> MlxWords =>
    [
        .. MlxFormat.BitCounts.Select(bits => new QuantizeChoice
        {
            Word = string.Create(CultureInfo.InvariantCulture, $"affine{bits}"), Mode = MlxMode.Affine, Bits = bits,
        }),
        new() { Word = "mxfp4", Mode = MlxMode.MxFp4 },
        new() { Word = "mxfp8", Mode = MlxMode.MxFp8 },
        new() { Word = "nvfp4", Mode = MlxMode.NvFp4 },
        .. Mixes.Select(mix => new QuantizeChoice
        {
            Word = string.Create(CultureInfo.InvariantCulture, $"mixed_{mix.Low}_{mix.High}"), Mode = MlxMode.Affine, Bits = mix.Low, MoreBits = mix.High,
        }),
    ];

    /// <summary>The option.</summary>
    public static Option<QuantizeChoice> Option(string description) => new("--kquant-type")
    {
        Description = $"{description} One of {string.Join(", ", Words)}.",
        HelpName = "codec",
        CustomParser = result =>
        {
            string token = result.Tokens[0].Value;
            QuantizeChoice? choice = Find(token);
            if (choice is null)
            {
                result.AddError($"'{token}' is no codec for --kquant-type; the codecs are {string.Join(", ", Words)}.{Suggestions.Among(token, Words)}");
            }

            return choice;
        },
    };

    /// <summary>The choice of a word; null if there is none.</summary>
    public static QuantizeChoice? Find(string word)
    {
        QuantCodec? codec = CommonOptions.BlockCodecs.FirstOrDefault(codec => codec.Name.Equals(word, StringComparison.OrdinalIgnoreCase));
        QuantizeChoice? mlx = MlxWords.FirstOrDefault(choice => choice.Word.Equals(word, StringComparison.OrdinalIgnoreCase));
        return mlx is not null ? mlx with { Codec = codec } : codec is not null ? new QuantizeChoice { Word = codec.Name, Codec = codec } : null;
    }

    /// <summary>A plan for a checkpoint.</summary>
    /// <param name="source">The model.</param>
    /// <param name="groupSize">Weights that share a scale; null for what the mode has.</param>
    /// <param name="requantize">Whether quantized weights are encoded again.</param>
    public QuantizationPlan MakeMlxPlan(ModelSource source, int? groupSize, bool requantize)
    {
        MlxFormat low = MlxFormat.Create(Mode!.Value, groupSize, Bits);
        return MoreBits is int more
            ? MlxPlans.Mixed(source, low, MlxFormat.Create(Mode.Value, groupSize, more), requantize)
            : MlxPlans.Uniform(source, low, requantize);
    }

    /// <summary>What is wrong with a group size.</summary>
    public string? FindGroupSizeProblem(int groupSize, bool isCheckpoint) =>
        Mode is not { } mode || !isCheckpoint ? "--group-size is for MLX's modes of a checkpoint."
        : MlxFormat.TryCreate(mode, groupSize, Bits, out _, out string? problem) ? null
        : $"--group-size: {problem}.";
}
