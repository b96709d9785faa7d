namespace KQuant.Server.Batching;

/// <summary>What a batch has done. Written by its thread; others read what may be a step old.</summary>
internal sealed class BatchCounters
{
    private long _requests;
    private long _promptTokens;
    private long _cachedTokens;
    private long _generatedTokens;
    private long _steps;
    private int _active;
    private int _waiting;

    /// <summary>Texts that were taken into the batch.</summary>
    public long Texts => Volatile.Read(ref _requests);

    /// <summary>Tokens of prompts that were to be read.</summary>
    public long PromptTokens => Volatile.Read(ref _promptTokens);

    /// <summary>Tokens of prompts that caches had.</summary>
    public long CachedTokens => Volatile.Read(ref _cachedTokens);

    /// <summary>Tokens generated.</summary>
    public long GeneratedTokens
    {
        get => Volatile.Read(ref _generatedTokens);
        set => Volatile.Write(ref _generatedTokens, value);
    }

    /// <summary>Steps taken.</summary>
    public long Steps
    {
        get => Volatile.Read(ref _steps);
        set => Volatile.Write(ref _steps, value);
    }

    /// <summary>Texts that are being written.</summary>
    public int Active
    {
        get => Volatile.Read(ref _active);
        set => Volatile.Write(ref _active, value);
    }

    /// <summary>Texts that wait for a place.</summary>
    public int Waiting
    {
        get => Volatile.Read(ref _waiting);
        set => Volatile.Write(ref _waiting, value);
    }

    /// <summary>A text was taken into the batch.</summary>
    /// <param name="promptTokens">Tokens to read.</param>
    /// <param name="cachedTokens">Tokens that its cache had.</param>
    /// <param name="active">Texts that are being written now.</param>
    public void Admit(int promptTokens, int cachedTokens, int active)
    {
        Volatile.Write(ref _requests, _requests + 1);
        Volatile.Write(ref _promptTokens, _promptTokens + promptTokens);
        Volatile.Write(ref _cachedTokens, _cachedTokens + cachedTokens);
        Active = active;
    }
}
