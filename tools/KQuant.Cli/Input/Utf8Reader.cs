using System.Buffers;
using System.Text;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Cli;

/// <summary>Characters of a stream that must be UTF-8. Other readers put a replacement in the place of what is none, which goes unnoticed.</summary>
internal sealed class Utf8Reader(Stream stream) : TextReader
{
    private const int MaxFileBytes = 1 << 30;

    private readonly byte[] _buffer = new byte[1 << 16];
    private int _start, _end;
    private long _offset;
    private int _waiting = -1, _lowSurrogate = -1;

    public override int Peek() => _waiting >= 0 ? _waiting : _waiting = Next();

    public override int Read()
    {
        int next = Peek();
        _waiting = -1;
        return next;
    }

    /// <summary>The text of a file.</summary>
    /// <exception cref="CommandException">There is no such file, or it is not UTF-8.</exception>
    /// <exception cref="ModelFormatException">It is longer than a gibibyte.</exception>
    /// <exception cref="IOException">It is a pipe, a device or a socket, or cannot be read.</exception>
    public static string ReadFile(string path)
    {
        if (!File.Exists(path))
        {
            throw new CommandException(Directory.Exists(path) ? $"{path} is a folder." : $"{path}: there is no such file.");
        }

        try
        {
            return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(WholeFile.Read(path, MaxFileBytes).Span);
        }
        catch (DecoderFallbackException exception)
        {
            throw new CommandException($"{path} is not valid UTF-8 at byte {exception.Index}.");
        }
    }

    protected override void Dispose(bool disposing)
    {
        stream.Dispose();
        base.Dispose(disposing);
    }

    private int Next()
    {
        if (_lowSurrogate >= 0)
        {
            int low = _lowSurrogate;
            _lowSurrogate = -1;
            return low;
        }

        OperationStatus status;
        Rune rune;
        int length;
        do
        {
            status = Rune.DecodeFromUtf8(_buffer.AsSpan(_start, _end - _start), out rune, out length);
        }
        while (status == OperationStatus.NeedMoreData && TryFill());
        if (_start == _end)
        {
            return -1;
        }

        if (status != OperationStatus.Done)
        {
            throw new CommandException($"The standard input is not valid UTF-8 at byte {_offset}.");
        }

        _start += length;
        _offset += length;
        Span<char> characters = stackalloc char[2];
        if (rune.EncodeToUtf16(characters) == 2)
        {
            _lowSurrogate = characters[1];
        }

        return characters[0];
    }

    // No more than is there: who waits for an answer to a line does not send the next one.
    private bool TryFill()
    {
        _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
        (_start, _end) = (0, _end - _start);
        int read = stream.Read(_buffer.AsSpan(_end));
        _end += read;
        return read > 0;
    }
}
