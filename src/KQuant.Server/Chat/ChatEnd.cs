namespace KQuant.Server.Chat;

/// <summary>Why an answer ends.</summary>
internal enum ChatEnd
{
    /// <summary>It does not; more follows.</summary>
    None = 0,

    /// <summary>The model has ended it.</summary>
    Stop,

    /// <summary>A text came that ends it.</summary>
    StopSequence,

    /// <summary>It has as many tokens as were asked for, or the context is full.</summary>
    Length,

    /// <summary>It calls functions, whose results are to be given.</summary>
    Calls,
}
