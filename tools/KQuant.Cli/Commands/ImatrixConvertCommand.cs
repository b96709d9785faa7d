using System.CommandLine;
using KQuant.Codecs.Files;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant imatrix convert</c>: an importance matrix in the other form.</summary>
internal static class ImatrixConvertCommand
{
    internal static Command Create()
    {
        var file = new Argument<string>("file") { Description = "An importance matrix of any form." };
        Option<string> output = ImatrixFiles.Output();
        Option<bool> overwrite = CommonOptions.Overwrite();
        var command = new Command("convert", "Write an importance matrix in the other form: .dat or GGUF.") { file, output, overwrite };
        command.SetWork((parsed, cancellationToken) =>
        {
            string source = parsed.GetValue(file)!, target = parsed.GetValue(output)!;
            using ImportanceMatrix matrix = ImatrixFiles.Open(source);
            ImatrixFiles.Write(matrix, target, parsed.GetValue(overwrite), [source], cancellationToken);
            parsed.InvocationConfiguration.Output.WriteLine($"Wrote {target}: {matrix.Entries.Count} entries.");
        });
        return command;
    }
}
