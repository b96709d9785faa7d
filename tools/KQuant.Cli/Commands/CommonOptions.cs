using System.CommandLine;
using System.CommandLine.Parsing;
using KQuant.Codecs;

namespace KQuant.Cli.Commands;

/// <summary>Options that several verbs share.</summary>
internal static class CommonOptions
{
    /// <summary><c>--json</c>.</summary>
    public static Option<bool> Json() => new("--json") { Description = "Print JSON." };

    /// <summary><c>--codec NAME</c>, as often as one likes.</summary>
    public static Option<QuantCodec[]> Codecs(string description) => new("--codec")
    {
        Description = description,
        HelpName = "name",
        Arity = ArgumentArity.OneOrMore,
        CustomParser = result => ParseAll(
            result,
            token => QuantCodec.TryParse(token, out QuantCodec? codec) ? codec : null,
            token => $"'{token}' is no codec; the codecs are {string.Join(", ", AllCodecs.Select(codec => codec.Name))}."),
    };

    /// <summary><c>--tier NAME</c>, as often as one likes.</summary>
    public static Option<KernelTier[]> Tiers(string description) => new("--tier")
    {
        Description = description,
        HelpName = "name",
        Arity = ArgumentArity.OneOrMore,
        CustomParser = result => ParseAll<KernelTier?>(
            result,
            token => Enum.TryParse(token, ignoreCase: true, out KernelTier tier) && Enum.IsDefined(tier) ? tier : null,
            token => $"'{token}' is no tier; the tiers are {string.Join(", ", KernelTiers.All.ToArray())}.")
            ?.Select(tier => tier!.Value).ToArray(),
    };

    /// <summary>The block codecs, then the pass-through formats.</summary>
    public static IEnumerable<QuantCodec> AllCodecs => QuantCodec.All.Concat(QuantCodec.Floats);

    private static T[]? ParseAll<T>(ArgumentResult result, Func<string, T?> parse, Func<string, string> complaint)
    {
        var values = new List<T>();
        foreach (Token token in result.Tokens)
        {
            if (parse(token.Value) is not { } value)
            {
                result.AddError(complaint(token.Value));
                return null;
            }

            values.Add(value);
        }

        return [.. values];
    }
}
