using System.Diagnostics;
using KQuant.Models;
using static System.FormattableString;

namespace KQuant.Cli.Rendering;

/// <summary>How fast a model ran.</summary>
internal sealed class RunStatistics
{
    /// <summary>Tokens after which what a token needs has been compiled, for the most part.</summary>
    private const int WarmUp = 16;

    private readonly long _start = Stopwatch.GetTimestamp();
    private TimeSpan _warm;
    private TimeSpan _prompt;
    private int _generated;

    /// <summary>What computes the products of a model: <c>cpu (Avx512)</c>, <c>metal (Apple M3 Max)</c>.</summary>
    public static string DeviceOf(LanguageModel model) => model.Options.Backend?.Name ?? $"cpu ({model.Context.GetTier(model.MainCodec)})";

    /// <summary>Takes note of a token.</summary>
    public void Add()
    {
        if (_generated++ == 0)
        {
            _prompt = Stopwatch.GetElapsedTime(_start);
        }

        if (_generated == WarmUp)
        {
            _warm = Stopwatch.GetElapsedTime(_start);
        }
    }

    /// <summary>Prints rates, memory and kernels.</summary>
    public void Write(TextWriter output, LanguageModel model, int promptTokens)
    {
        TimeSpan all = Stopwatch.GetElapsedTime(_start);
        output.WriteLine(Invariant($"Prompt: {promptTokens} tokens, {Rate(promptTokens, _prompt)} tokens-per-sec, compilation included"));
        string warm = _generated > WarmUp ? $"; {Rate(_generated - WarmUp, all - _warm)} after the first {WarmUp}" : ", compilation included";
        output.WriteLine(Invariant($"Generation: {_generated} tokens, {Rate(Math.Max(0, _generated - 1), all - _prompt)} tokens-per-sec{warm}"));
        using var process = Process.GetCurrentProcess();
        output.WriteLine(Invariant($"Peak memory: {process.PeakWorkingSet64 / 1e9:0.000} GB"));
        output.WriteLine($"Kernels: {DeviceOf(model)} for {model.MainCodec.Name}, {model.Context.Threads} threads");
    }

    // The first token comes with the prompt, so it counts there.
    private static string Rate(int tokens, TimeSpan time) => time <= TimeSpan.Zero || tokens == 0 ? "-" : Invariant($"{tokens / time.TotalSeconds:0.000}");
}
