namespace KQuant.Cli.Benchmarks;

/// <summary>What <c>kquant bench model</c> found.</summary>
/// <param name="Processor">The machine.</param>
/// <param name="Runtime">The .NET version.</param>
/// <param name="Model">The path of the model.</param>
/// <param name="Format">The format that most of its weights have.</param>
/// <param name="Weights">How many weights it has.</param>
/// <param name="WeightBytes">Their bytes.</param>
/// <param name="PromptTokens">Tokens of the prompt.</param>
/// <param name="Tokens">Tokens that follow it, one by one.</param>
/// <param name="Speeds">One entry per number of threads.</param>
internal sealed record ModelSpeedReport(
    string Processor,
    string Runtime,
    string Model,
    string Format,
    long Weights,
    long WeightBytes,
    int PromptTokens,
    int Tokens,
    IReadOnlyList<ModelSpeed> Speeds);

/// <summary>How fast a model is.</summary>
/// <param name="Threads">Threads.</param>
/// <param name="Kernels">The kernel tier.</param>
/// <param name="PromptTokensPerSecond">Tokens of a prompt per second, read into an empty cache.</param>
/// <param name="TokensPerSecond">Tokens per second that follow it, one by one, without sampling.</param>
/// <param name="Device">What a GPU was asked to do for each of these tokens; null without one.</param>
internal sealed record ModelSpeed(int Threads, string Kernels, double PromptTokensPerSecond, double TokensPerSecond, DeviceWork? Device);

/// <summary>What a GPU was asked to do for a token.</summary>
/// <param name="Waits">Submissions that were waited for.</param>
/// <param name="Dispatches">Kernels that were started.</param>
/// <param name="Buffers">Buffers that were made.</param>
internal sealed record DeviceWork(double Waits, double Dispatches, double Buffers);
