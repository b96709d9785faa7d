namespace KQuant.Cli.Benchmarks;

/// <summary>What <c>kquant bench model</c> found.</summary>
/// <param name="Processor">The machine.</param>
/// <param name="Runtime">The .NET version.</param>
/// <param name="Model">The path of the model.</param>
/// <param name="Format">The format that most of its weights have.</param>
/// <param name="Weights">How many weights it has.</param>
/// <param name="WeightBytes">Their bytes.</param>
/// <param name="Tokens">Tokens that follow texts, one by one.</param>
/// <param name="Speeds">One entry per number of threads.</param>
internal sealed record ModelSpeedReport(
    string Processor,
    string Runtime,
    string Model,
    string Format,
    long Weights,
    long WeightBytes,
    int Tokens,
    IReadOnlyList<ModelSpeed> Speeds);

/// <summary>How fast a model is.</summary>
/// <param name="Threads">Threads.</param>
/// <param name="Kernels">The kernel tier.</param>
/// <param name="FirstToken">When the first token is there; null if that was not measured.</param>
/// <param name="Prompts">One entry per length of a prompt.</param>
/// <param name="Depths">One entry per length of the text that tokens follow.</param>
/// <param name="Device">What a GPU was asked to do for each token after the first of these texts; null without one.</param>
internal sealed record ModelSpeed(
    int Threads,
    string Kernels,
    FirstTokenTime? FirstToken,
    IReadOnlyList<PromptSpeed> Prompts,
    IReadOnlyList<DepthSpeed> Depths,
    DeviceWork? Device);

/// <summary>How fast a prompt is read into an empty cache.</summary>
/// <param name="Tokens">Its tokens.</param>
/// <param name="TokensPerSecond">Tokens per second.</param>
/// <param name="AttentionShare">The share of attention in the time, from 0 to 1; null where a GPU does it.</param>
internal sealed record PromptSpeed(int Tokens, double TokensPerSecond, double? AttentionShare);

/// <summary>How fast tokens follow a text one by one, without sampling.</summary>
/// <param name="Depth">Tokens of the text.</param>
/// <param name="TokensPerSecond">Tokens per second.</param>
/// <param name="AttentionShare">The share of attention in the time, from 0 to 1; null where a GPU does it.</param>
internal sealed record DepthSpeed(int Depth, double TokensPerSecond, double? AttentionShare);

/// <summary>
/// The start of a fresh process up to its first token, compilation included; seconds since the process was started, each the best of
/// all turns.
/// </summary>
/// <param name="PromptTokens">Tokens of the prompt.</param>
/// <param name="StartedSeconds">When the command began its work.</param>
/// <param name="LoadedSeconds">When the model was loaded.</param>
/// <param name="Seconds">When the first token was there.</param>
internal sealed record FirstTokenTime(int PromptTokens, double StartedSeconds, double LoadedSeconds, double Seconds);

/// <summary>What a GPU was asked to do for a token.</summary>
/// <param name="Waits">Submissions that were waited for.</param>
/// <param name="Dispatches">Kernels that were started.</param>
/// <param name="Buffers">Buffers that were made.</param>
internal sealed record DeviceWork(double Waits, double Dispatches, double Buffers);
