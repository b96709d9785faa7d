using System.Text.Json;
using KQuant.Models;
using KQuant.Models.Grammars;
using KQuant.Models.Templates;
using KQuant.Server.Batching;

namespace KQuant.Server.Protocol;

/// <summary>From exceptions to what clients are told.</summary>
internal static class ApiErrors
{
    /// <summary>What an exception means to whoever asked.</summary>
    public static ApiException Describe(Exception exception) => exception switch
    {
        ApiException known => known,
        BadHttpRequestException wrong => new ApiException(wrong.StatusCode, wrong.Message, inner: wrong),
        ContextLengthException => new ApiException(StatusCodes.Status400BadRequest, exception.Message, "messages", "context_length_exceeded", exception),
        TemplateException or GrammarException => new ApiException(StatusCodes.Status400BadRequest, exception.Message, inner: exception),
        BatchQueueFullException => new ApiException(StatusCodes.Status429TooManyRequests, exception.Message, code: "queue_full", inner: exception) { RetryAfter = 1 },
        BatchStoppedException => new ApiException(StatusCodes.Status503ServiceUnavailable, exception.Message, code: "shutting_down", inner: exception) { RetryAfter = 5 },
        _ => new ApiException(StatusCodes.Status500InternalServerError, "The server failed to answer; its log says why.", inner: exception),
    };

    /// <summary>Writes an error as an object.</summary>
    public static void Write(Utf8JsonWriter writer, ApiException error, ErrorStyle style)
    {
        writer.WriteStartObject();
        if (style == ErrorStyle.Anthropic)
        {
            writer.WriteString("type", "error");
        }

        writer.WriteStartObject("error");
        writer.WriteString("message", error.Message);
        writer.WriteString("type", style == ErrorStyle.OpenAI ? OpenAIType(error.Status) : AnthropicType(error.Status));
        if (style == ErrorStyle.OpenAI)
        {
            writer.WriteString("param", error.Parameter);
            writer.WriteString("code", error.Code);
        }

        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    private static string OpenAIType(int status) => status switch
    {
        StatusCodes.Status401Unauthorized => "authentication_error",
        StatusCodes.Status429TooManyRequests => "rate_limit_error",
        StatusCodes.Status503ServiceUnavailable => "unavailable_error",
        >= 500 => "server_error",
        _ => "invalid_request_error",
    };

    private static string AnthropicType(int status) => status switch
    {
        StatusCodes.Status401Unauthorized => "authentication_error",
        StatusCodes.Status404NotFound => "not_found_error",
        StatusCodes.Status413PayloadTooLarge => "request_too_large",
        StatusCodes.Status429TooManyRequests => "rate_limit_error",
        StatusCodes.Status503ServiceUnavailable => "overloaded_error",
        >= 500 => "api_error",
        _ => "invalid_request_error",
    };
}
