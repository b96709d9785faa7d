using System.CommandLine;
using KQuant.Codecs.Files;

namespace KQuant.Cli.Commands;

/// <summary>What the verbs for importance matrices share.</summary>
internal static class ImatrixFiles
{
    /// <summary><c>--output FILE</c>.</summary>
    public static Option<string> Output() => new("--output", "-o")
    {
        Description = "The importance matrix to write; GGUF, or llama.cpp's older form if the name ends in .dat.",
        HelpName = "file",
        Required = true,
    };

    /// <summary><c>--prior-weight N</c>.</summary>
    public static Option<int> Prior() => CommonOptions.Number(
        "--prior-weight", "As how many tokens a neutral one counts, which helps experts that saw few; 0 for none.", 0, 0, 1_000_000);

    /// <summary>Opens a matrix.</summary>
    public static ImportanceMatrix Open(string path) =>
        File.Exists(path) ? ImportanceMatrix.Open(path) : throw new CommandException($"{path}: there is no such importance matrix.");

    /// <summary>Writes a matrix in the form that the name asks for.</summary>
    public static void Write(ImportanceMatrix matrix, string path, bool overwrite, IEnumerable<string> sources, CancellationToken cancellationToken)
    {
        if (sources.Any(source => Path.GetFullPath(source) == Path.GetFullPath(path)))
        {
            throw new CommandException($"{path} is read; the output must be another file.");
        }

        if (File.Exists(path) && !overwrite)
        {
            throw new CommandException($"{path} exists; --overwrite replaces it.");
        }

        matrix.Write(path, FormatOf(path), cancellationToken: cancellationToken);
    }

    /// <summary>The form that a name asks for.</summary>
    public static ImportanceFormat FormatOf(string path) =>
        path.EndsWith(".dat", StringComparison.OrdinalIgnoreCase) ? ImportanceFormat.Legacy : ImportanceFormat.Gguf;
}
