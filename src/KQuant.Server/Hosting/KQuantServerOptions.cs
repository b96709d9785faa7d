using KQuant.Models;
using KQuant.Models.Generation;

namespace KQuant.Server;

/// <summary>What a server offers, and to whom.</summary>
public sealed class KQuantServerOptions
{
    /// <summary>What the model is called; null for the last part of its path. Requests may name it as they like.</summary>
    public string? ModelName { get; set; }

    /// <summary>
    /// How a model is loaded that is given by its path. The default computes with <see cref="KQuant.Matmul.MatmulOptions.Deterministic"/>, so
    /// that an answer has the same bits whatever shares its batch; without it a single text is faster.
    /// </summary>
    public ModelOptions Model { get; set; } = new() { Matmul = new Matmul.MatmulOptions { Deterministic = true } };

    /// <summary>How tokens are chosen where a request does not say; null for <see cref="LanguageModel.DefaultSampling"/>.</summary>
    public SamplingOptions? Sampling { get; set; }

    /// <summary>Texts that are written at the same time; others wait. 8 by default.</summary>
    public int Parallel { get; set; } = 8;

    /// <summary>Texts that wait at most; further requests are told to come back later (429). 256 by default.</summary>
    public int MaxWaiting { get; set; } = 256;

    /// <summary>Bytes of caches of ended texts that are kept, so that a prompt that goes on from one is not read again. 1 GiB by default.</summary>
    public long MaxIdleCacheBytes { get; set; } = 1L << 30;

    /// <summary>Bytes of the body of a request at most. 16 MiB by default.</summary>
    public int MaxBodyBytes { get; set; } = 16 << 20;

    /// <summary>Keys of which requests have to bring one; none for no keys.</summary>
    public IList<string> ApiKeys { get; } = [];

    /// <summary>Origins of pages that may send requests from a browser, such as <c>https://example.com</c>; <c>*</c> for all. None by default.</summary>
    public IList<string> AllowedOrigins { get; } = [];

    /// <summary>Whether <c>GET /</c> is a page for conversations with the model. It is by default; an application's own endpoint there comes first.</summary>
    public bool HasPage { get; set; } = true;

    /// <summary>How often a stream says that it is alive while there is nothing to send. 15 seconds by default.</summary>
    public TimeSpan PingInterval { get; set; } = TimeSpan.FromSeconds(15);

    /// <summary>How long answers may take to their end when the server is stopped; then they are cut off. 20 seconds by default.</summary>
    public TimeSpan DrainTime { get; set; } = TimeSpan.FromSeconds(20);

    /// <summary>Refuses what makes no sense.</summary>
    internal void Check()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Parallel, 1, nameof(Parallel));
        ArgumentOutOfRangeException.ThrowIfNegative(MaxWaiting, nameof(MaxWaiting));
        ArgumentOutOfRangeException.ThrowIfNegative(MaxIdleCacheBytes, nameof(MaxIdleCacheBytes));
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxBodyBytes, 1, nameof(MaxBodyBytes));
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(PingInterval, TimeSpan.Zero, nameof(PingInterval));
        ArgumentOutOfRangeException.ThrowIfLessThan(DrainTime, TimeSpan.Zero, nameof(DrainTime));
        Sampling?.Check();
    }
}
