using KQuant.Codecs.Files;
using Spectre.Console;

namespace KQuant.Cli.Rendering;

/// <summary>
/// How far a run through a model has come: on a terminal a bar with the tensor's name, the rate and the time left, elsewhere a line for
/// every tenth. On the error stream, so that results can be piped.
/// </summary>
internal static class ProgressBar
{
    /// <summary>Does work that reports its progress.</summary>
    /// <typeparam name="T">What the work gives.</typeparam>
    /// <param name="error">The error stream of the command.</param>
    /// <param name="quiet">Whether to show nothing where nobody looks.</param>
    /// <param name="work">The work.</param>
    /// <returns>Its result.</returns>
    public static T Show<T>(TextWriter error, bool quiet, Func<IProgress<ModelProgress>?, T> work)
    {
        if (!Terminal.IsError(error))
        {
            return work(quiet ? null : new Lines(error));
        }

        return Terminal.CreateErrorConsole().Progress()
            .AutoClear(true)
            .Columns(
                new TaskDescriptionColumn { Alignment = Justify.Left },
                new ProgressBarColumn { Width = 14 },
                new PercentageColumn(),
                new TransferSpeedColumn(),
                new RemainingTimeColumn())
            .Start(context => work(new Bar(context.AddTask("..."))));
    }

    private sealed class Bar(ProgressTask task) : IProgress<ModelProgress>
    {
        public void Report(ModelProgress value)
        {
            task.Description = Markup.Escape(Shorten(value.TensorName));
            task.MaxValue = Math.Max(1, value.TotalBytes);
            task.Value = value.BytesDone;
        }
    }

    /// <summary>The end of a name, so that everything fits on one line of 80 characters.</summary>
    private static string Shorten(string name)
    {
        const int Longest = 36;
        string line = PlainText.OneLine(name);
        return line.Length <= Longest ? line : $"\u2026{line[^(Longest - 1)..]}";
    }

    private sealed class Lines(TextWriter error) : IProgress<ModelProgress>
    {
        private long _tenths;

        public void Report(ModelProgress value)
        {
            long tenths = value.TotalBytes == 0 ? 10 : value.BytesDone * 10 / value.TotalBytes;
            if (tenths > _tenths)
            {
                _tenths = tenths;
                error.WriteLine(
                    $"{10 * tenths,3} %  {Amounts.Bytes(value.BytesDone)} of {Amounts.Bytes(value.TotalBytes)}  {PlainText.OneLine(value.TensorName)}");
            }
        }
    }
}
