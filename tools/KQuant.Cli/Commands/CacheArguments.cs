using System.CommandLine;
using KQuant.Models;

namespace KQuant.Cli.Commands;

/// <summary>The options of all verbs that remember keys and values.</summary>
internal sealed class CacheArguments
{
    private readonly Option<CacheFormat> _both = Create("--kv", "How keys and values are remembered; 'f32' if not given.");
    private readonly Option<CacheFormat> _keys = Create("--kv-k", "How keys are remembered; as --kv says if not given.");
    private readonly Option<CacheFormat> _values = Create("--kv-v", "How values are remembered; as --kv says if not given.");

    /// <summary>The options.</summary>
    public Option[] Options => [_both, _keys, _values];

    /// <summary>What was given.</summary>
    public CacheOptions Get(ParseResult parsed)
    {
        CacheFormat both = parsed.GetValue(_both) ?? CacheFormat.F32;
        return new CacheOptions { Keys = parsed.GetValue(_keys) ?? both, Values = parsed.GetValue(_values) ?? both };
    }

    private static Option<CacheFormat> Create(string name, string description) =>
        CommonOptions.Choice(name, description, [.. CacheFormat.All.Select(format => (format.Name, format))]);
}
