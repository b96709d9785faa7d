using System.Buffers;
using System.Text;
using System.Text.Json;

namespace KQuant.Server.Protocol;

/// <summary>An answer that comes in pieces, as server-sent events.</summary>
/// <param name="response">The answer.</param>
/// <param name="ping">What says that the connection is alive; null for a comment.</param>
/// <param name="cancellationToken">The client has gone.</param>
internal sealed class EventStream(HttpResponse response, byte[]? ping, CancellationToken cancellationToken) : IDisposable
{
    private readonly ArrayBufferWriter<byte> _buffer = new();
    private Utf8JsonWriter? _writer;

    /// <summary>Sends the headers.</summary>
    public async ValueTask StartAsync()
    {
        response.ContentType = "text/event-stream; charset=utf-8";
        response.Headers.CacheControl = "no-cache";

        // nginx would collect the pieces.
        response.Headers["X-Accel-Buffering"] = "no";
        await response.StartAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Sends an event.</summary>
    /// <param name="write">Writes its data, an object.</param>
    /// <param name="name">Its name; null for none.</param>
    public async ValueTask SendAsync(Action<Utf8JsonWriter> write, string? name = null)
    {
        _buffer.ResetWrittenCount();
        if (name is not null)
        {
            _buffer.Write("event: "u8);
            Encoding.UTF8.GetBytes(name, _buffer);
            _buffer.Write("\n"u8);
        }

        _buffer.Write("data: "u8);
        _writer ??= new Utf8JsonWriter(_buffer, JsonOutput.Options);
        _writer.Reset(_buffer);
        write(_writer);
        _writer.Flush();
        _buffer.Write("\n\n"u8);
        await response.BodyWriter.WriteAsync(_buffer.WrittenMemory, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Says that nothing follows.</summary>
    public ValueTask SendDoneAsync() => SendRawAsync("data: [DONE]\n\n"u8.ToArray());

    /// <summary>Says that the connection is alive.</summary>
    public ValueTask PingAsync() => SendRawAsync(ping ?? ": ping\n\n"u8.ToArray());

    public void Dispose() => _writer?.Dispose();

    private async ValueTask SendRawAsync(byte[] bytes) => await response.BodyWriter.WriteAsync(bytes, cancellationToken).ConfigureAwait(false);
}
