using System.Text.Json;

namespace KQuant.Server.Protocol;

/// <summary>How JSON of clients is read.</summary>
internal static class JsonInput
{
    /// <summary>It nests no deeper.</summary>
    private const int MaxDepth = 64;

    /// <summary>Reads JSON.</summary>
    /// <param name="utf8">The text.</param>
    /// <param name="what">What it is, for a sentence.</param>
    /// <param name="parameter">The field that has it; null for none.</param>
    /// <exception cref="ApiException">It is no JSON.</exception>
    public static JsonDocument Parse(ReadOnlyMemory<byte> utf8, string what, string? parameter = null)
    {
        try
        {
            return JsonDocument.Parse(utf8, new JsonDocumentOptions { MaxDepth = MaxDepth, AllowDuplicateProperties = false });
        }
        catch (JsonException exception)
        {
            throw new ApiException(StatusCodes.Status400BadRequest, $"{what} is no JSON: {exception.Message}", parameter, inner: exception);
        }
        catch (InvalidOperationException exception)
        {
            // Names are compared, and this one cannot be.
            throw new ApiException(StatusCodes.Status400BadRequest, $"{what} has a name with half of a surrogate pair, which is no text.", parameter, inner: exception);
        }
    }
}
