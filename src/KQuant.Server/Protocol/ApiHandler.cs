using System.Security.Cryptography;
using System.Text;
using KQuant.Server.Hosting;
using Microsoft.Extensions.Primitives;

namespace KQuant.Server.Protocol;

/// <summary>What happens around the answer to every request: its id, who may ask, other origins, errors.</summary>
internal static partial class ApiHandler
{
    /// <summary>Makes an endpoint of what answers.</summary>
    /// <param name="answer">Answers; it throws what clients are to be told.</param>
    /// <param name="style">Whose clients read errors.</param>
    /// <param name="isOpen">Whether no key is needed.</param>
    public static RequestDelegate Create(Func<ApiCall, Task> answer, ErrorStyle style = ErrorStyle.OpenAI, bool isOpen = false) => async http =>
    {
        ServedModel served = http.RequestServices.GetRequiredService<ServedModel>();
        http.Response.Headers[style == ErrorStyle.Anthropic ? "request-id" : "x-request-id"] = "req_" + Guid.NewGuid().ToString("N");
        AllowOrigin(http, served.Options);
        using var call = new ApiCall(http, served);
        try
        {
            if (!isOpen)
            {
                Authorize(http.Request, served.Options);
            }

            await answer(call).ConfigureAwait(false);
        }
        catch (Exception exception) when (http.RequestAborted.IsCancellationRequested)
        {
            LogAborted(served.Logger, exception, http.Request.Path);
        }
        catch (Exception exception)
        {
            await FailAsync(call, ApiErrors.Describe(exception), style).ConfigureAwait(false);
        }
    };

    /// <summary>Answers a browser that asks whether a page of another origin may send a request.</summary>
    public static Task PreflightAsync(HttpContext http)
    {
        ServedModel served = http.RequestServices.GetRequiredService<ServedModel>();
        if (AllowOrigin(http, served.Options))
        {
            http.Response.Headers.AccessControlAllowMethods = "GET, POST, DELETE, OPTIONS";

            // A literal * would not cover Authorization.
            http.Response.Headers.AccessControlAllowHeaders = http.Request.Headers.AccessControlRequestHeaders;
            http.Response.Headers.AccessControlMaxAge = "86400";
        }

        http.Response.StatusCode = StatusCodes.Status204NoContent;
        return Task.CompletedTask;
    }

    private static async Task FailAsync(ApiCall call, ApiException error, ErrorStyle style)
    {
        HttpContext http = call.Http;
        if (error.Status >= StatusCodes.Status500InternalServerError && error.InnerException is not null)
        {
            LogFailed(call.Served.Logger, error.InnerException, http.Request.Path);
        }

        if (call.Stream is not null)
        {
            await call.Stream.SendAsync(writer => ApiErrors.Write(writer, error, style), style == ErrorStyle.Anthropic ? "error" : null).ConfigureAwait(false);
            return;
        }

        if (http.Response.HasStarted)
        {
            http.Abort();
            return;
        }

        if (error.RetryAfter is int seconds)
        {
            http.Response.Headers.RetryAfter = seconds.ToString(System.Globalization.CultureInfo.InvariantCulture);
        }
        else if (error.Status >= StatusCodes.Status500InternalServerError)
        {
            http.Response.Headers["x-should-retry"] = "false";
        }

        await call.WriteAsync(writer => ApiErrors.Write(writer, error, style), error.Status).ConfigureAwait(false);
    }

    private static bool AllowOrigin(HttpContext http, KQuantServerOptions options)
    {
        StringValues origin = http.Request.Headers.Origin;
        if (StringValues.IsNullOrEmpty(origin) || !options.AllowedOrigins.Any(allowed => allowed == "*" || allowed.Equals(origin, StringComparison.OrdinalIgnoreCase)))
        {
            return false;
        }

        http.Response.Headers.AccessControlAllowOrigin = origin;
        http.Response.Headers.AccessControlExposeHeaders = "x-request-id, request-id";
        http.Response.Headers.Vary = "Origin";
        return true;
    }

    private static void Authorize(HttpRequest request, KQuantServerOptions options)
    {
        if (options.ApiKeys.Count == 0)
        {
            return;
        }

        const string scheme = "Bearer ";
        string header = request.Headers.Authorization.ToString();
        string key = header.StartsWith(scheme, StringComparison.OrdinalIgnoreCase) ? header[scheme.Length..].Trim() : request.Headers["x-api-key"].ToString();
        if (key.Length == 0)
        {
            throw new ApiException(StatusCodes.Status401Unauthorized, "A key is needed: send 'Authorization: Bearer KEY' or 'x-api-key: KEY'.", code: "invalid_api_key");
        }

        // As long for every wrong key.
        byte[] digest = SHA256.HashData(Encoding.UTF8.GetBytes(key));
        bool isKnown = false;
        foreach (string known in options.ApiKeys)
        {
            isKnown |= CryptographicOperations.FixedTimeEquals(digest, SHA256.HashData(Encoding.UTF8.GetBytes(known)));
        }

        if (!isKnown)
        {
            throw new ApiException(StatusCodes.Status401Unauthorized, "The key is not one of this server's.", code: "invalid_api_key");
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Path}: the client has gone.")]
    private static partial void LogAborted(ILogger logger, Exception exception, PathString path);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Path} failed.")]
    private static partial void LogFailed(ILogger logger, Exception exception, PathString path);
}
