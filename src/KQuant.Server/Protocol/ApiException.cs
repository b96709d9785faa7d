namespace KQuant.Server.Protocol;

/// <summary>A request that is answered with an error.</summary>
internal sealed class ApiException : Exception
{
    /// <param name="status">The status of the answer.</param>
    /// <param name="message">A sentence with the value and the place.</param>
    /// <param name="parameter">The field of the body that is wrong; null for none.</param>
    /// <param name="code">What programs tell errors apart by; null for nothing.</param>
    /// <param name="inner">What went wrong.</param>
    public ApiException(int status, string message, string? parameter = null, string? code = null, Exception? inner = null)
        : base(message, inner) => (Status, Parameter, Code) = (status, parameter, code);

    public int Status { get; }

    public string? Parameter { get; }

    public string? Code { get; }

    /// <summary>Seconds after which another try makes sense; null for never.</summary>
    public int? RetryAfter { get; init; }

    /// <summary>A value of the body is wrong.</summary>
    public static ApiException Wrong(string parameter, string message) => new(StatusCodes.Status400BadRequest, message, parameter);
}
