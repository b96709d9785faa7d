using System.CommandLine;
using System.CommandLine.Parsing;
using KQuant.Models;

namespace KQuant.Cli.Commands;

/// <summary>The options of all verbs that remember keys and values.</summary>
internal sealed class CacheArguments
{
    private readonly Option<CacheFormat> _both = Create(
        "--kv", $"How keys and values are remembered; 'f32' if not given. One of {string.Join(", ", CacheFormat.All)}.");
    private readonly Option<CacheFormat> _keys = Create("--kv-k", "How keys are remembered; as --kv says if not given.");
    private readonly Option<CacheFormat> _values = Create("--kv-v", "How values are remembered; as --kv says if not given.");
    private readonly Option<bool> _rotate = new("--kv-rotate") { Description = "Rotate what is remembered in blocks, such as q4_0: more precise, and a little slower." };

    public CacheArguments() => _rotate.Validators.Add(result =>
    {
        (CacheFormat keys, CacheFormat values) = Get(Find(result, _both), Find(result, _keys), Find(result, _values));
        if (result.GetValueOrDefault<bool>() && keys.WithRotation() == keys && values.WithRotation() == values)
        {
            result.AddError($"--kv-rotate rotates what is remembered in blocks, such as q4_0, not {keys}{(keys == values ? "" : $" and {values}")}.");
        }
    });

    /// <summary>The options.</summary>
    public Option[] Options => [_both, _keys, _values, _rotate];

    /// <summary>What was given.</summary>
    public CacheOptions Get(ParseResult parsed)
    {
        (CacheFormat keys, CacheFormat values) = Get(parsed.GetValue(_both), parsed.GetValue(_keys), parsed.GetValue(_values));
        return parsed.GetValue(_rotate)
            ? new CacheOptions { Keys = keys.WithRotation(), Values = values.WithRotation() }
            : new CacheOptions { Keys = keys, Values = values };
    }

    private static (CacheFormat Keys, CacheFormat Values) Get(CacheFormat? both, CacheFormat? keys, CacheFormat? values) =>
        (keys ?? both ?? CacheFormat.F32, values ?? both ?? CacheFormat.F32);

    // The value of an option that others may have found wrong.
    private static CacheFormat? Find(OptionResult result, Option option) => result.GetResult(option) is { Tokens: [Token token] }
        ? CacheFormat.All.FirstOrDefault(format => format.Name.Equals(token.Value, StringComparison.OrdinalIgnoreCase))
        : null;

    private static Option<CacheFormat> Create(string name, string description)
    {
        Option<CacheFormat> option = CommonOptions.Choice(name, description, [.. CacheFormat.All.Select(format => (format.Name, format))]);
        option.HelpName = "kind";
        return option;
    }
}
