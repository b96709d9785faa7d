using System.Diagnostics;
using System.Globalization;
using KQuant.Codecs.Files;
using KQuant.Models;
using KQuant.Models.Generation;

namespace KQuant.Cli.Benchmarks;

/// <summary>
/// Measures the first token as a person waits for it: starts this program again, and looks at the clock when it says how far it is.
/// </summary>
internal static class FirstTokenProcess
{
    /// <summary>What a model with a tokenizer is asked; others get as many tokens.</summary>
    private const string Prompt = "It was a dark evening, and nobody in the whole house knew who had put out the last of the lamps.";

    private const int PromptTokens = 24;
    private const string Started = "started", Loaded = "loaded", Token = "token";

    /// <summary>Whether a model brings a tokenizer.</summary>
    public static bool HasTokenizer(string path)
    {
        using ModelSource source = ModelSource.Open(path);
        return source is GgufModel gguf
            ? gguf.File.Metadata.ContainsKey("tokenizer.ggml.model")
            : File.Exists(Path.Combine(path, "tokenizer.json"));
    }

    /// <summary>What the other process does: loads a model, reads a prompt, has a token.</summary>
    /// <param name="path">The model.</param>
    /// <param name="options">How.</param>
    /// <param name="output">Told of every step.</param>
    /// <param name="cancellation">Ends it early.</param>
    public static void Run(string path, ModelOptions options, TextWriter output, CancellationToken cancellation)
    {
        Say(output, Started);
        using LanguageModel model = LanguageModel.Load(path, options, cancellationToken: cancellation);
        Say(output, Loaded);
        int[] ids;
        if (options.LoadTokenizer)
        {
            ids = model.Tokenizer.Encode(Prompt);
            _ = model.Generate(ids, new GenerationOptions { MaxTokens = 1, StopTokens = [] }, cancellation).First().Text;
        }
        else
        {
            ids = ModelBenchmark.MakeText(model, Math.Min(PromptTokens, model.ContextLength));
            using KeyValueCache cache = model.CreateCache();
            model.Forward(ids, cache, new float[model.Config.VocabularySize], cancellation);
        }

        Say(output, $"{Token} {ids.Length.ToString(CultureInfo.InvariantCulture)}");
    }

    /// <summary>Starts this program with a command line that comes to <see cref="Run"/>.</summary>
    /// <param name="arguments">The command line.</param>
    /// <param name="turns">How often; the best counts.</param>
    /// <param name="cancellation">Ends it early.</param>
    /// <exception cref="CommandException">The other process failed.</exception>
    public static FirstTokenTime Measure(string[] arguments, int turns, CancellationToken cancellation)
    {
        FirstTokenTime best = MeasureOnce(arguments, cancellation);
        for (int turn = 1; turn < turns; turn++)
        {
            FirstTokenTime time = MeasureOnce(arguments, cancellation);
            best = best with
            {
                StartedSeconds = Math.Min(best.StartedSeconds, time.StartedSeconds),
                LoadedSeconds = Math.Min(best.LoadedSeconds, time.LoadedSeconds),
                Seconds = Math.Min(best.Seconds, time.Seconds),
            };
        }

        return best;
    }

    private static FirstTokenTime MeasureOnce(string[] arguments, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        long start = Stopwatch.GetTimestamp();
        using Process process = Process.Start(Describe(arguments))!;
        using CancellationTokenRegistration registration = cancellation.Register(() => process.Kill(entireProcessTree: true));
        Task<string> errors = process.StandardError.ReadToEndAsync(CancellationToken.None);
        (double started, _) = WaitFor(Started);
        (double loaded, _) = WaitFor(Loaded);
        (double seconds, string tokens) = WaitFor(Token);
        process.WaitForExit();
        return new FirstTokenTime(int.Parse(tokens, CultureInfo.InvariantCulture), started, loaded, seconds);

        (double Seconds, string More) WaitFor(string word)
        {
            string? line = process.StandardOutput.ReadLine();
            double elapsed = Math.Round(Stopwatch.GetElapsedTime(start).TotalSeconds, 4);
            if (line is not null && line.StartsWith(word, StringComparison.Ordinal))
            {
                return (elapsed, line[word.Length..].Trim());
            }

            process.WaitForExit();
            cancellation.ThrowIfCancellationRequested();
            string reason = errors.GetAwaiter().GetResult().Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
                .LastOrDefault(line => line.StartsWith("error: ", StringComparison.Ordinal))?["error: ".Length..]
                ?? "it ended before it had one";
            throw new CommandException($"The process that was started for its first token failed: {reason}");
        }
    }

    private static void Say(TextWriter output, string line)
    {
        output.WriteLine(line);
        output.Flush();
    }

    /// <summary>This program: as it was started, as the executable beside its assembly, or by the host of .NET.</summary>
    private static ProcessStartInfo Describe(string[] arguments)
    {
        const string Name = "kquant";
        string own = Environment.ProcessPath ?? "", beside = Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? $"{Name}.exe" : Name);
        bool isOwn = Path.GetFileNameWithoutExtension(own).Equals(Name, StringComparison.OrdinalIgnoreCase);
        string program = isOwn || !File.Exists(beside) ? own : beside;
        string[] all = isOwn || program == beside ? arguments : [Path.Combine(AppContext.BaseDirectory, $"{Name}.dll"), .. arguments];
        return new ProcessStartInfo(program, all) { RedirectStandardOutput = true, RedirectStandardError = true };
    }
}
