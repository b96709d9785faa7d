namespace KQuant.Server.Batching;

/// <summary>What a batch has done, but for what is measured of each text. Written by its thread; others read what may be a step old.</summary>
internal sealed class BatchCounters
{
    private long _texts;
    private long _steps;
    private long _stepTexts;
    private int _active;
    private int _waiting;

    /// <summary>Texts that were taken into the batch.</summary>
    public long Texts => Volatile.Read(ref _texts);

    /// <summary>Steps taken.</summary>
    public long Steps => Volatile.Read(ref _steps);

    /// <summary>Texts that had a place, of all steps together.</summary>
    public long StepTexts => Volatile.Read(ref _stepTexts);

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
    /// <param name="active">Texts that are being written now.</param>
    public void Admit(int active)
    {
        Volatile.Write(ref _texts, _texts + 1);
        Active = active;
    }

    /// <summary>A step was taken with all texts that are being written.</summary>
    public void Advance()
    {
        Volatile.Write(ref _stepTexts, _stepTexts + _active);
        Volatile.Write(ref _steps, _steps + 1);
    }
}
