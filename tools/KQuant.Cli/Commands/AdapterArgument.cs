using System.CommandLine;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using KQuant.Models.Adapters;

namespace KQuant.Cli.Commands;

/// <summary>An adapter on the command line: a path, and perhaps what its terms are multiplied with.</summary>
/// <param name="Path">The folder or file.</param>
/// <param name="Scale">1 if none is given.</param>
internal sealed record AdapterArgument(string Path, float Scale)
{
    /// <summary><c>--adapter PATH[=SCALE]</c>, as often as one likes.</summary>
    public static Option<AdapterArgument[]> Option() => new("--adapter")
    {
        Description = "A LoRA adapter that acts on the model: a folder of mlx-lm or PEFT, or a GGUF file, and what its terms are multiplied with; several act together.",
        HelpName = "path[=scale]",
        Arity = ArgumentArity.OneOrMore,
        CustomParser = result =>
        {
            var adapters = new List<AdapterArgument>();
            foreach (string token in result.Tokens.Select(token => token.Value))
            {
                if (!TryParse(token, out AdapterArgument? adapter))
                {
                    result.AddError($"--adapter is a path, perhaps with '=' and a number behind it, not '{token}'.");
                    return null;
                }

                adapters.Add(adapter);
            }

            return [.. adapters];
        },
    };

    /// <summary>Reads the adapters.</summary>
    public static IReadOnlyList<AppliedAdapter> Load(AdapterArgument[]? adapters) =>
        [.. (adapters ?? []).Select(adapter => new AppliedAdapter { Adapter = LoraAdapter.Load(ModelPath.Resolve(adapter.Path)), Scale = adapter.Scale })];

    private static bool TryParse(string text, [NotNullWhen(true)] out AdapterArgument? adapter)
    {
        int at = text.LastIndexOf('=');
        float scale = 1;
        string path = text;
        bool isWhole = at < 0 || System.IO.Path.Exists(text);
        if (!isWhole)
        {
            path = text[..at];
            isWhole = float.TryParse(text.AsSpan(at + 1), NumberStyles.Float, CultureInfo.InvariantCulture, out scale) && float.IsFinite(scale);
        }

        adapter = isWhole && path.Length > 0 ? new AdapterArgument(path, scale) : null;
        return adapter is not null;
    }
}
