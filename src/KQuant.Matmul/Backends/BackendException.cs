using KQuant.Codecs;

namespace KQuant.Matmul.Backends;

/// <summary>A backend refused something or its device failed; weights that it does not take stay on the processor.</summary>
public class BackendException : KQuantException
{
    /// <summary>An error without a text.</summary>
    public BackendException()
    {
    }

    /// <summary>An error.</summary>
    /// <param name="message">What failed.</param>
    public BackendException(string message)
        : base(message)
    {
    }

    /// <summary>An error with a cause.</summary>
    /// <param name="message">What failed.</param>
    /// <param name="innerException">The cause.</param>
    public BackendException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
