using KQuant.Matmul.Backends;

namespace KQuant.Metal;

/// <summary>Metal refused something or failed; the message holds what it said.</summary>
public sealed class MetalException : BackendException
{
    /// <summary>An error without a text.</summary>
    public MetalException()
    {
    }

    /// <summary>An error.</summary>
    /// <param name="message">What failed, and Metal's own words.</param>
    public MetalException(string message)
        : base(message)
    {
    }

    /// <summary>An error with a cause.</summary>
    /// <param name="message">What failed, and Metal's own words.</param>
    /// <param name="innerException">The cause.</param>
    public MetalException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
