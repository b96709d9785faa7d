using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace KQuant.Models.Grammars;

/// <summary>The rules of JSON, which every grammar of JSON texts has.</summary>
internal static class JsonRules
{
    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The rule that texts fit.</summary>
    public const string Root = "root";

    /// <summary>
    /// Whitespace is short, so that a model does not go on with it for ever; escapes are no halves of surrogate pairs, which no text has.
    /// </summary>
    public const string All = """
        ws ::= ( " " | "\n" [ \t]{0,20} )?
        hex ::= [0-9A-Fa-f]
        char ::= [^"\\\x00-\x1F] | "\\" ( ["\\/bfnrt] | "u" ( [0-9A-Ca-cE-Fe-f] hex hex hex | [Dd] [0-7] hex hex ) )
        string ::= "\"" char* "\""
        integer ::= "-"? ( "0" | [1-9] [0-9]{0,14} )
        number ::= integer ( "." [0-9]{1,15} )? ( [eE] [-+]? [0-9]{1,2} )?
        boolean ::= "true" | "false"
        null ::= "null"
        value ::= object | array | string | number | boolean | null
        object ::= "{" ws ( string ":" ws value ( "," ws string ":" ws value )* ws )? "}"
        array ::= "[" ws ( value ( "," ws value )* ws )? "]"

        """;

    /// <summary>An object with anything in it.</summary>
    public const string Object = All + "root ::= object\n";

    /// <summary>A JSON value as a text of a grammar, written in one way.</summary>
    public static string Quote(JsonNode? value) => QuoteText(value?.ToJsonString(Plain) ?? "null");

    /// <summary>A text as JSON.</summary>
    public static string Text(string text) => JsonValue.Create(text).ToJsonString(Plain);

    /// <summary>A text in quotes, as grammars have them.</summary>
    public static string QuoteText(string text)
    {
        var quoted = new StringBuilder("\"");
        foreach (char letter in text)
        {
            _ = letter switch
            {
                '"' => quoted.Append("\\\""),
                '\\' => quoted.Append("\\\\"),
                '\n' => quoted.Append("\\n"),
                '\r' => quoted.Append("\\r"),
                '\t' => quoted.Append("\\t"),
                < ' ' => quoted.Append(CultureInfo.InvariantCulture, $"\\x{(int)letter:X2}"),
                _ => quoted.Append(letter),
            };
        }

        return quoted.Append('"').ToString();
    }
}
