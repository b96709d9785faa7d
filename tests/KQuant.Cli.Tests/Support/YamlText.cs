using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace KQuant.Cli.Tests;

/// <summary>
/// Reads the part of YAML in which the files of docs/deploy are written, and throws at everything else: mappings and lists by indentation, one-line
/// scalars, literal blocks, comments, several documents. A scalar without quotes is a number, a truth value or a text, as YAML 1.2 has it.
/// </summary>
internal sealed class YamlText
{
    private readonly string[] _lines;
    private int _at;

    private YamlText(string[] lines) => _lines = lines;

    /// <summary>The documents of a file.</summary>
    public static JsonObject[] ReadFile(string path) => Read(File.ReadAllText(path));

    /// <summary>The documents of a text.</summary>
    /// <exception cref="FormatException">A line is none of those that are read.</exception>
    public static JsonObject[] Read(string text)
    {
        var reader = new YamlText(text.Split('\n'));
        var documents = new List<JsonObject>();
        while (reader.Peek() is not null)
        {
            if (reader.Peek() == "---")
            {
                reader._at++;
            }

            documents.Add(reader.ReadNode(0) as JsonObject ?? throw reader.Wrong("a mapping"));
            if (reader.Peek() is not (null or "---"))
            {
                throw reader.Wrong("the end of the document");
            }
        }

        return [.. documents];
    }

    /// <summary>The next line that says something, without its comment; null at the end.</summary>
    private string? Peek()
    {
        while (_at < _lines.Length && WithoutComment(_lines[_at]).Length == 0)
        {
            _at++;
        }

        string? line = _at < _lines.Length ? WithoutComment(_lines[_at]) : null;
        return line?.Contains('\t', StringComparison.Ordinal) == true ? throw Wrong("no tab") : line;
    }

    private static string WithoutComment(string line)
    {
        int start = line.TrimStart().StartsWith('#') ? 0 : line.IndexOf(" #", StringComparison.Ordinal);
        return (start < 0 || line[..start].Count(c => c == '"') % 2 != 0 ? line : line[..start]).TrimEnd();
    }

    private static int IndentOf(string line) => line.Length - line.TrimStart(' ').Length;

    private JsonNode ReadNode(int indent)
    {
        string line = Peek() ?? throw Wrong("a node");
        return IndentOf(line) != indent ? throw Wrong($"{indent} spaces")
            : IsItem(line) ? ReadList(indent)
            : ReadMapping(indent);
    }

    private static bool IsItem(string line) => line.TrimStart(' ') is "-" or ['-', ' ', ..];

    private JsonArray ReadList(int indent)
    {
        var list = new JsonArray();
        while (Peek() is { } line && IndentOf(line) == indent && IsItem(line))
        {
            string content = line[(indent + 1)..].TrimStart(' ');
            int inner = line.Length - content.Length;
            if (content.Length > 0 && SplitKey(content) is not null)
            {
                // The mapping begins behind the dash, where its other lines do.
                _lines[_at] = new string(' ', inner) + content;
                list.Add((JsonNode)ReadMapping(inner));
            }
            else
            {
                _at++;
                list.Add(content.Length > 0 ? ReadScalar(content, indent) : ReadNode(NextIndent(indent)));
            }
        }

        return list;
    }

    private JsonObject ReadMapping(int indent)
    {
        var mapping = new JsonObject();
        while (Peek() is { } line && IndentOf(line) >= indent && line != "---")
        {
            if (IndentOf(line) != indent || SplitKey(line[indent..]) is not var (key, value))
            {
                throw Wrong($"a key behind {indent} spaces");
            }

            if (mapping.ContainsKey(key))
            {
                throw Wrong($"a key that is new, unlike '{key}',");
            }

            _at++;

            // A list may stand as far to the left as its key.
            mapping[key] = value.Length > 0 ? ReadScalar(value, indent)
                : Peek() is { } next && IsItem(next) && IndentOf(next) == indent ? ReadList(indent)
                : ReadNode(NextIndent(indent));
        }

        return mapping;
    }

    private int NextIndent(int indent) => Peek() is { } line && IndentOf(line) > indent ? IndentOf(line) : throw Wrong("something deeper");

    private static (string Key, string Value)? SplitKey(string text)
    {
        int colon = text.EndsWith(':') ? text.Length - 1 : text.IndexOf(": ", StringComparison.Ordinal);
        bool isKey = colon > 0 && text[..colon].All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.' or '/');
        return isKey ? (text[..colon], text[(colon + 1)..].Trim()) : null;
    }

    private JsonValue ReadScalar(string text, int indent)
    {
        if (text == "|")
        {
            return ReadBlock(indent);
        }

        if (text[0] == '"')
        {
            return text.Length > 1 && text[^1] == '"' && !text[1..^1].Contains('"', StringComparison.Ordinal) && !text.Contains('\\', StringComparison.Ordinal)
                ? JsonValue.Create(text[1..^1])
                : throw Wrong("a text in quotes without escapes");
        }

        return "[]{}&*!|>'%@`,?#".Contains(text[0], StringComparison.Ordinal) || text.Contains(": ", StringComparison.Ordinal) ? throw Wrong("a plain scalar")
            : text is "true" or "false" ? JsonValue.Create(text == "true")
            : text is "null" or "~" or "yes" or "no" or "on" or "off" ? throw Wrong("a scalar of which all readers think the same")
            : long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number) ? JsonValue.Create(number)
            : JsonValue.Create(text);
    }

    /// <summary>A literal block: everything deeper, comments too, without the indentation of its first line.</summary>
    private JsonValue ReadBlock(int indent)
    {
        var text = new StringBuilder();
        int inner = IndentOf(_lines[_at]);
        for (; _at < _lines.Length && (_lines[_at].Trim().Length == 0 || IndentOf(_lines[_at]) > indent); _at++)
        {
            text.Append(_lines[_at].Length >= inner ? _lines[_at][inner..] : "").Append('\n');
        }

        return JsonValue.Create(text.ToString().TrimEnd('\n') + "\n");
    }

    private FormatException Wrong(string expected) =>
        new($"Line {_at + 1} should have {expected}: '{(_at < _lines.Length ? _lines[_at] : "")}'.");
}
