using System.CommandLine;
using KQuant.Codecs.Files;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant imatrix merge</c>: calibrations of several texts as one.</summary>
internal static class ImatrixMergeCommand
{
    internal static Command Create()
    {
        var files = new Argument<string[]>("files") { Description = "Importance matrices of one model.", Arity = ArgumentArity.OneOrMore };
        Option<string> output = ImatrixFiles.Output();
        Option<int> prior = ImatrixFiles.Prior();
        Option<bool> overwrite = CommonOptions.Overwrite();
        var command = new Command("merge", "Add importance matrices of one model: as if all texts had been one.") { files, output, prior, overwrite };
        command.SetWork((parsed, cancellationToken) =>
        {
            string[] paths = parsed.GetValue(files)!;
            var parts = new List<ImportanceMatrix>();
            try
            {
                parts.AddRange(paths.Select(ImatrixFiles.Open));
                using ImportanceMatrix merged = ImportanceMatrix.Merge(parts).WithPrior(parsed.GetValue(prior));
                string target = parsed.GetValue(output)!;
                ImatrixFiles.Write(merged, target, parsed.GetValue(overwrite), paths, cancellationToken);
                parsed.InvocationConfiguration.Output.WriteLine(
                    $"Wrote {target}: {merged.Entries.Count} entries, {merged.ChunkCount} chunks from {paths.Length} files.");
            }
            finally
            {
                parts.ForEach(part => part.Dispose());
            }
        });
        return command;
    }
}
