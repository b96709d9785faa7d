using KQuant.Codecs.Files;

namespace KQuant.Cli.Rendering;

/// <summary>
/// How far a run through a model has come: on a terminal a row that changes, elsewhere nothing, or a line every few seconds if it takes
/// longer than that. On the error stream, so that results can be piped.
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
            return work(quiet ? null : new ProgressLines(error, TimeProvider.System));
        }

        var row = new ProgressRow(error, TimeProvider.System, () => Terminal.Width);
        try
        {
            return work(row);
        }
        finally
        {
            row.Clear();
        }
    }
}
