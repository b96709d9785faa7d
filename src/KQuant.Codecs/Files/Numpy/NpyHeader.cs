using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace KQuant.Codecs.Files;

/// <summary>
/// The header of a <c>.npy</c> file: a Python dictionary such as <c>{'descr': '&lt;f4', 'fortran_order': False, 'shape': (3, 4), }</c>.
/// Only what NumPy writes for plain arrays is understood.
/// </summary>
internal ref struct NpyHeader
{
    private const int Alignment = 64;
    private const int MaxDimensions = 64;

    private static readonly (ElementType Type, string Descriptor)[] Types =
    [
        (ElementType.F32, "<f4"), (ElementType.F16, "<f2"), (ElementType.F64, "<f8"), (ElementType.BOOL, "|b1"),
        (ElementType.I8, "|i1"), (ElementType.I16, "<i2"), (ElementType.I32, "<i4"), (ElementType.I64, "<i8"),
        (ElementType.U8, "|u1"), (ElementType.U16, "<u2"), (ElementType.U32, "<u4"), (ElementType.U64, "<u8"),
    ];

    private readonly string _path;
    private readonly int _start;
    private readonly ReadOnlySpan<char> _text;
    private int _at;

    private NpyHeader(string path, int start, ReadOnlySpan<char> text)
    {
        _path = path;
        _start = start;
        _text = text;
    }

    /// <summary>Reads type and shape.</summary>
    /// <exception cref="ModelFormatException">The header is not understood, or the array is not stored in C order.</exception>
    public static (ElementType Type, ImmutableArray<long> Shape) Parse(string path, int start, string text) =>
        new NpyHeader(path, start, text).Parse();

    /// <summary>The bytes before the data: version 1.0, padded so that the data begins at a multiple of 64.</summary>
    public static byte[] Build(ElementType type, ReadOnlySpan<long> shape)
    {
        string? descriptor = Types.FirstOrDefault(entry => entry.Type == type).Descriptor;
        if (descriptor is null)
        {
            throw new ArgumentException($"NumPy has no type for {type}.", nameof(type));
        }

        ArgumentOutOfRangeException.ThrowIfGreaterThan(shape.Length, MaxDimensions, nameof(shape));
        var text = new StringBuilder($"{{'descr': '{descriptor}', 'fortran_order': False, 'shape': (");
        foreach (long dimension in shape)
        {
            text.Append(CultureInfo.InvariantCulture, $"{dimension}, ");
        }

        // Python writes (), (3,) and (3, 4).
        text.Length -= shape.Length switch { 0 => 0, 1 => 1, _ => 2 };
        text.Append("), }");
        const int Preamble = 10;
        text.Append(' ', -(Preamble + text.Length + 1) & (Alignment - 1)).Append('\n');

        var bytes = new byte[Preamble + text.Length];
        bytes[0] = 0x93;
        "NUMPY"u8.CopyTo(bytes.AsSpan(1));
        bytes[6] = 1;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(8), (ushort)text.Length);
        System.Text.Encoding.ASCII.GetBytes(text.ToString(), bytes.AsSpan(Preamble));
        return bytes;
    }

    private (ElementType Type, ImmutableArray<long> Shape) Parse()
    {
        ElementType? type = null;
        bool? fortran = null;
        ImmutableArray<long>? shape = null;
        Take('{');
        while (!TryTake('}'))
        {
            string key = TakeString();
            Take(':');
            switch (key)
            {
                case "descr" when type is null:
                    type = TakeType();
                    break;
                case "fortran_order" when fortran is null:
                    fortran = TakeBoolean();
                    break;
                case "shape" when shape is null:
                    shape = TakeShape();
                    break;
                default:
                    throw Problem($"the key '{Printable.Shorten(key)}' is unknown or occurs twice");
            }

            if (!TryTake(','))
            {
                Take('}');
                break;
            }
        }

        SkipSpace();
        if (_at != _text.Length)
        {
            throw Problem("text follows the dictionary");
        }

        if (type is null || fortran is null || shape is null)
        {
            throw Problem("one of 'descr', 'fortran_order' and 'shape' is missing");
        }

        // With fewer than two dimensions both orders are the same.
        return fortran.Value && shape.Value.Length > 1
            ? throw Problem("the array is in Fortran order; only C order is read")
            : (type.Value, shape.Value);
    }

    private ElementType TakeType()
    {
        string descriptor = TakeString();
        foreach ((ElementType type, string candidate) in Types)
        {
            if (descriptor == candidate)
            {
                return type;
            }
        }

        string known = string.Join(" ", Types.Select(entry => entry.Descriptor));
        throw Problem($"the type '{Printable.Shorten(descriptor)}' is not read; the types are {known}");
    }

    private bool TakeBoolean()
    {
        SkipSpace();
        foreach (string word in (ReadOnlySpan<string>)["True", "False"])
        {
            if (_text[_at..].StartsWith(word, StringComparison.Ordinal))
            {
                _at += word.Length;
                return word == "True";
            }
        }

        throw Problem("'fortran_order' is neither True nor False");
    }

    private ImmutableArray<long> TakeShape()
    {
        Take('(');
        ImmutableArray<long>.Builder shape = ImmutableArray.CreateBuilder<long>();
        while (!TryTake(')'))
        {
            SkipSpace();
            int digits = Math.Max(0, _text[_at..].IndexOfAnyExceptInRange('0', '9'));
            if (!long.TryParse(_text.Slice(_at, digits), NumberStyles.None, CultureInfo.InvariantCulture, out long dimension))
            {
                throw Problem("a dimension is no whole number");
            }

            if (shape.Count == MaxDimensions)
            {
                throw Problem($"the array has more than {MaxDimensions} dimensions");
            }

            shape.Add(dimension);
            _at += digits;
            if (!TryTake(','))
            {
                Take(')');
                break;
            }
        }

        return shape.ToImmutable();
    }

    private string TakeString()
    {
        SkipSpace();
        char quote = _at < _text.Length ? _text[_at] : '\0';
        int length = quote is '\'' or '"' ? _text[(_at + 1)..].IndexOf(quote) : -1;
        if (length < 0)
        {
            throw Problem("a string is missing");
        }

        string text = _text.Slice(_at + 1, length).ToString();
        _at += length + 2;
        return text;
    }

    private void Take(char c)
    {
        if (!TryTake(c))
        {
            throw Problem($"'{c}' is missing");
        }
    }

    private bool TryTake(char c)
    {
        SkipSpace();
        if (_at >= _text.Length || _text[_at] != c)
        {
            return false;
        }

        _at++;
        return true;
    }

    private void SkipSpace()
    {
        while (_at < _text.Length && _text[_at] is ' ' or '\n')
        {
            _at++;
        }
    }

    private readonly ModelFormatException Problem(string problem) => new(_path, problem, offset: _start + _at);
}
