using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using KQuant.Server.Hosting;

namespace KQuant.Server.Protocol;

/// <summary>A request while it is answered.</summary>
/// <param name="http">The request and the answer.</param>
/// <param name="served">What is served.</param>
internal sealed class ApiCall(HttpContext http, ServedModel served) : IDisposable
{
    private readonly List<IDisposable> _owned = [];

    public HttpContext Http => http;

    public ServedModel Served => served;

    /// <summary>The client has gone.</summary>
    public CancellationToken Aborted => http.RequestAborted;

    /// <summary>The answer, when it comes in pieces and has begun.</summary>
    public EventStream? Stream { get; private set; }

    /// <summary>Reads the body.</summary>
    /// <returns>Its fields, until the call has ended.</returns>
    /// <exception cref="ApiException">It is too large, or no JSON object.</exception>
    public async Task<JsonFields> ReadBodyAsync()
    {
        byte[] body = await ReadBytesAsync().ConfigureAwait(false);
        if (!Utf8.IsValid(body))
        {
            throw new ApiException(StatusCodes.Status400BadRequest, "The body is not UTF-8.");
        }

        JsonDocument document = JsonInput.Parse(body, "The body");
        _owned.Add(document);
        return new JsonFields(document.RootElement);
    }

    /// <summary>Answers with an object.</summary>
    public async Task WriteAsync(Action<Utf8JsonWriter> write, int status = StatusCodes.Status200OK)
    {
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new Utf8JsonWriter(buffer, JsonOutput.Options);
        await using (writer.ConfigureAwait(false))
        {
            write(writer);
        }

        http.Response.StatusCode = status;
        http.Response.ContentType = "application/json; charset=utf-8";
        http.Response.ContentLength = buffer.WrittenCount;
        await http.Response.BodyWriter.WriteAsync(buffer.WrittenMemory, Aborted).ConfigureAwait(false);
    }

    /// <summary>Answers with a text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="type">What it is.</param>
    public async Task WriteTextAsync(string text, string type)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        http.Response.ContentType = type;
        http.Response.ContentLength = bytes.Length;
        await http.Response.BodyWriter.WriteAsync(bytes, Aborted).ConfigureAwait(false);
    }

    /// <summary>Begins an answer that comes in pieces.</summary>
    /// <param name="ping">What says that the connection is alive; null for a comment.</param>
    public async Task<EventStream> BeginStreamAsync(byte[]? ping = null)
    {
        var stream = new EventStream(http.Response, ping, Aborted);
        _owned.Add(stream);
        await stream.StartAsync().ConfigureAwait(false);
        return Stream = stream;
    }

    public void Dispose() => _owned.ForEach(owned => owned.Dispose());

    private async Task<byte[]> ReadBytesAsync()
    {
        int limit = served.Options.MaxBodyBytes;
        if (http.Request.ContentLength > limit)
        {
            throw TooLarge(limit);
        }

        using var bytes = new MemoryStream((int)(http.Request.ContentLength ?? 0));
        byte[] buffer = ArrayPool<byte>.Shared.Rent(16_384);
        try
        {
            while (await http.Request.Body.ReadAsync(buffer, Aborted).ConfigureAwait(false) is > 0 and int count)
            {
                if (bytes.Length + count > limit)
                {
                    throw TooLarge(limit);
                }

                bytes.Write(buffer, 0, count);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }

        return bytes.ToArray();
    }

    private static ApiException TooLarge(int limit) =>
        new(StatusCodes.Status413PayloadTooLarge, $"The body is larger than {limit} bytes, which is the most that is taken.");
}
