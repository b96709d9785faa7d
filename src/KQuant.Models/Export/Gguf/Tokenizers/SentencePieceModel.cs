using System.Buffers.Binary;
using System.Text;
using System.Text.Unicode;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Export;

/// <summary>
/// The pieces of a SentencePiece <c>tokenizer.model</c>: a protocol buffer whose repeated field 1 is a piece with text (1), score (2) and
/// type (3), whose types have the numbers of a GGUF's.
/// </summary>
internal static class SentencePieceModel
{
    public const string FileName = "tokenizer.model";

    private const long MaxLength = 64 << 20;
    private const int MaxPieces = TokenizerFile.MaxTokens;
    private const int Varint = 0;
    private const int Fixed64 = 1;
    private const int Bytes = 2;
    private const int Fixed32 = 5;

    /// <summary>A piece; its id is its place.</summary>
    public readonly record struct Piece(string Text, float Score, GgufTokenType Type);

    /// <summary>Reads a file.</summary>
    /// <exception cref="ModelFormatException">The file is too large, or no such model.</exception>
    public static List<Piece> Read(string path)
    {
        using MappedFile file = MappedFile.Open(path);
        if (file.Length > MaxLength)
        {
            throw new ModelFormatException(path, $"the file has {file.Length} bytes; at most {MaxLength} are read");
        }

        ReadOnlySpan<byte> bytes = file.UnsafeBytes(0, (int)file.Length);
        var pieces = new List<Piece>();
        int at = 0;
        while (at < bytes.Length)
        {
            int start = at;
            if (!TryReadField(bytes, ref at, out int field, out int kind, out ReadOnlySpan<byte> value))
            {
                throw new ModelFormatException(path, "the file is no SentencePiece model", offset: start);
            }

            if (field == 1 && kind == Bytes)
            {
                if (pieces.Count == MaxPieces || !TryReadPiece(value, out Piece piece))
                {
                    throw new ModelFormatException(path, $"piece {pieces.Count} of the SentencePiece model is broken", offset: start);
                }

                pieces.Add(piece);
            }
        }

        return pieces.Count > 0 ? pieces : throw new ModelFormatException(path, "the file is no SentencePiece model: it has no pieces");
    }

    private static bool TryReadPiece(ReadOnlySpan<byte> bytes, out Piece piece)
    {
        piece = default;
        (string text, float score, GgufTokenType type) = ("", 0, GgufTokenType.Normal);
        int at = 0;
        while (at < bytes.Length)
        {
            if (!TryReadField(bytes, ref at, out int field, out int kind, out ReadOnlySpan<byte> value))
            {
                return false;
            }

            if (field == 1 && kind == Bytes)
            {
                if (!Utf8.IsValid(value))
                {
                    return false;
                }

                text = Encoding.UTF8.GetString(value);
            }
            else if (field == 2 && kind == Fixed32)
            {
                score = BinaryPrimitives.ReadSingleLittleEndian(value);
            }
            else if (field == 3 && kind == Varint)
            {
                int inner = 0;
                TryReadVarint(value, ref inner, out ulong number);
                type = (GgufTokenType)number;
            }
        }

        piece = new Piece(text, score, type);
        return type is >= GgufTokenType.Normal and <= GgufTokenType.Byte && float.IsFinite(score);
    }

    /// <summary>Reads one field: its number, how it is encoded, and its bytes.</summary>
    private static bool TryReadField(ReadOnlySpan<byte> bytes, ref int at, out int field, out int kind, out ReadOnlySpan<byte> value)
    {
        (field, kind) = (0, 0);
        value = default;
        if (!TryReadVarint(bytes, ref at, out ulong key))
        {
            return false;
        }

        (field, kind) = ((int)Math.Min(key >> 3, int.MaxValue), (int)(key & 7));
        int start = at;
        ulong length;
        switch (kind)
        {
            case Varint:
                if (!TryReadVarint(bytes, ref at, out _))
                {
                    return false;
                }

                value = bytes[start..at];
                return true;
            case Fixed64 or Fixed32:
                length = kind == Fixed64 ? 8u : 4u;
                break;
            case Bytes when TryReadVarint(bytes, ref at, out length):
                break;
            default:
                return false;
        }

        if (length > (ulong)(bytes.Length - at))
        {
            return false;
        }

        value = bytes.Slice(at, (int)length);
        at += (int)length;
        return field > 0;
    }

    private static bool TryReadVarint(ReadOnlySpan<byte> bytes, ref int at, out ulong value)
    {
        value = 0;
        for (int shift = 0; shift < 64 && at < bytes.Length; shift += 7)
        {
            byte next = bytes[at++];
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
            {
                return true;
            }
        }

        return false;
    }
}
