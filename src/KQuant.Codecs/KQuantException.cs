namespace KQuant.Codecs;

/// <summary>
/// The base of everything that is wrong with what a program was given to work on, and not with how it calls: a file
/// (<see cref="ModelFormatException"/>), a weight (<see cref="InvalidWeightException"/>), a chat template, a device. The message is one sentence
/// for people.
/// </summary>
/// <remarks>
/// What a program does wrong throws the exceptions of .NET: <see cref="ArgumentException"/>, <see cref="InvalidOperationException"/>,
/// <see cref="ObjectDisposedException"/>; what is well-formed and not supported <see cref="NotSupportedException"/>; a disk
/// <see cref="IOException"/>.
/// </remarks>
public abstract class KQuantException : Exception
{
    /// <summary>An error without a text.</summary>
    protected KQuantException()
    {
    }

    /// <summary>An error.</summary>
    /// <param name="message">What is wrong, in one sentence.</param>
    protected KQuantException(string message)
        : base(message)
    {
    }

    /// <summary>An error with a cause.</summary>
    /// <param name="message">What is wrong, in one sentence.</param>
    /// <param name="innerException">The cause.</param>
    protected KQuantException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }
}
